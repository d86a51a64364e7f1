"""The labelling page's state in a database: SQLite, or a schema of PostgreSQL."""
