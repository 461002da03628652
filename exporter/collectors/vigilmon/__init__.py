"""Vigilmon: monitors from its REST API, their certificates by our own probe. See README.md."""
