"""init: what is there -> a labelloop.toml."""
