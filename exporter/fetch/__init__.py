"""Outgoing HTTP requests and TLS probes, each ending in a response or a named error."""
