"""The doctor: one line a check, each with its remedy. A file a group of checks."""
