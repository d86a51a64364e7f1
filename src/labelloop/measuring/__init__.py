"""Rounds and labels -> estimates."""
