"""TLS certificates of the configured endpoints, read by our own probe. See README.md."""
