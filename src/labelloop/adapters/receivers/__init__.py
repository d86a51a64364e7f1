"""Programs that hear of events, over HTTP."""
