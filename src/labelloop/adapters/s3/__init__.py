"""An S3-compatible bucket as the store of the inputs."""
