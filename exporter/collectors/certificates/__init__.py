"""TLS certificates of the endpoints that the configuration lists, read by our own probe. See README.md."""
