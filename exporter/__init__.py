"""A Prometheus exporter for the monitoring vendors that operators pay for.

The path of one number: `poller` picks the most urgent Ask that the `budget` allows (`schedule`), `session`
or `certificate` carries it out, the target's collector learns from the answer and states its metrics,
`exposition` renders them to bytes, and `web` hands those bytes to Prometheus without waiting for anyone.
"""
