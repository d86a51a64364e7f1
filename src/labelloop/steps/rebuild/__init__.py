"""Rebuilds a lost ledger."""
