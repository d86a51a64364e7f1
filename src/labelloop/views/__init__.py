"""What people are shown: frozen results, tables and sentences, one wording for all screens."""
