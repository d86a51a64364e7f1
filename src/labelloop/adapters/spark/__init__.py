"""Selections of the prediction log on Apache Spark."""
