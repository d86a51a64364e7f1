"""forget: samples leave everything that labelloop keeps."""
