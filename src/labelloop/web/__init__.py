"""What `labelloop serve` answers over HTTP."""
