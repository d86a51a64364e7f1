"""collect: people's answers come home."""
