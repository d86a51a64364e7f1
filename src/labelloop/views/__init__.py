"""Read models: frozen results for text, JSON, HTML and the web."""
