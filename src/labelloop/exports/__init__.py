"""A dataset version -> a format. One file a format."""
