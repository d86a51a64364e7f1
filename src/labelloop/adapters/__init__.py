"""Adapters: one file a technology."""
