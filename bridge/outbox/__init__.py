"""The durable store of alerts and events. All SQL is here."""
