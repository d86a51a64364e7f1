"""send: drawn tasks go to the annotator, each exactly once."""
