"""A folder of files as the store of the inputs."""
