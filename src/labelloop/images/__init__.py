"""Images of strangers, decoded by processes that have limits and nothing to take."""
