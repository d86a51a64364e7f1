"""Label Studio as an annotator."""
