"""Alerts, events, deduplication, incidents. Pure; imports no other package of the bridge."""
