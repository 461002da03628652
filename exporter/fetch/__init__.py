"""The ways out: HTTP requests and TLS probes, each ending in an answer or a named error."""
