"""The prediction log on Apache Iceberg, read by DuckDB."""
