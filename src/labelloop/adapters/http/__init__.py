"""What every adapter that speaks HTTP shares."""
