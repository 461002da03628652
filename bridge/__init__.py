"""A durable bridge from Alertmanager, and the vendors' own webhooks, to BigPanda.

The path of one alert: `door` authenticates and reads the webhook, a module of `receivers` translates it into
Alerts, `outbox` asks the `ledger` what each of them changes and commits the new state with the event to send
(`event`), and only then the door answers 200. `delivery` claims what waits, paces and sends it by `bigpanda`,
and `retry` decides about what was not accepted. `reconciler` closes what nobody said has ended.
"""
