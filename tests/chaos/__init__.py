"""Kills the loop wherever something outside changes, and looks whether anything is lost or twice."""
