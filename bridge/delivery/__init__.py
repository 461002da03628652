"""Delivery from the outbox to BigPanda: claim, pace, send, record. Only this package calls the Alerts API."""
