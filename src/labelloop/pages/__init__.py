"""Views and charts -> HTML."""
