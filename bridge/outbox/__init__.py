"""The durable store: what alerts and events there are, and every query. All SQL is here."""
