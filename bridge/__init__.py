"""A durable bridge from Alertmanager, and the vendors' own webhooks, to BigPanda.

The path of one alert: `web` authenticates and reads the webhook, a module of `receivers` translates it into alerts,
`outbox` asks `domain.dedup` what each of them changes and commits the new state with the event to send, and only then
`web` answers 200. `delivery` claims queued events, paces and sends them. `reconcile` closes what nobody said has ended.
"""
