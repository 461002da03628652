"""From the outbox to BigPanda: claim, pace, send, record. Only this room talks to the Alerts API."""
