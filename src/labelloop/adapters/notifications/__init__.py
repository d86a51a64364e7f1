"""What a bucket tells of its objects by itself."""
