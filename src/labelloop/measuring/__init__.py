"""Rounds and labels -> estimates: accuracy, classes, trend, learned risk, guarantees."""
