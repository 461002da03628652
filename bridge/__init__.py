"""A durable bridge from Alertmanager, and the vendors' own webhooks, to BigPanda."""
