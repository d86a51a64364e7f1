"""index: new predictions go into the prediction log, once."""
