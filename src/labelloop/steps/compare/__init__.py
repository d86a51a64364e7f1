"""compare: a candidate against the serving model on the same blind labels."""
