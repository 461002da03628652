"""A target's health for tests of what shows it: all is well, and everything is known."""

from exporter.metrics.health import Health

HEALTH = Health(
    collector="demo",
    account="prod",
    success=True,
    last_success=900.0,
    duration=0.5,
    truncated=False,
    series=7,
    requests={},
    counting_since=800.0,
    rate_limit_remaining=None,
    budget_used_ratio=0.25,
    oldest_value=900.0,
    first_poll_ended=True,
    last_error="",
    last_error_at=None,
    next_poll=1010.0,
    paused_until=None,
    paused_reason="",
)
