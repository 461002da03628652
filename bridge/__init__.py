"""A durable bridge from Alertmanager, and the vendors' own webhooks, to BigPanda.

The path of an alert: `web` authenticates and reads the webhook, a module of `receivers` translates it into alerts,
`outbox` applies `domain.dedup` to each of them and commits the new state with the event to send, and only then `web`
answers 200. `delivery` claims queued events, paces and sends them. `reconcile` resolves alerts whose end was missed.
"""
