"""The HTTP endpoints. Nothing here sends a request to a vendor."""
