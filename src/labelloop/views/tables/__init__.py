"""What results hold, as tables: a file a subject."""
