"""A Prometheus exporter for the monitoring vendors that operators pay for.

The path of one number: `polling` picks the most urgent request that the rate budget allows, `fetch` carries it out, the
target's collector learns from the answer and states its metrics, `metrics` renders them to bytes, and `web` hands those
bytes to Prometheus without waiting for anyone.
"""
