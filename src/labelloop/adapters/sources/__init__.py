"""Tables of predictions that somebody else writes."""
