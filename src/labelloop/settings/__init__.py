"""labelloop.toml -> Settings: every setting declared, documented and checked once, a file a section."""
