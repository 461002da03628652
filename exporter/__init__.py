"""A Prometheus exporter for the monitoring vendors that operators pay for.

The path of a sample: `polling` picks the most urgent request that the rate budget allows, `fetch` sends it, the
target's collector updates its knowledge from the response and yields its metrics, `metrics` renders them to bytes, and
`web` serves those bytes to Prometheus without waiting for anything.
"""
