"""build: dataset versions from the labels that hold."""
