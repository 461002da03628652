"""The health of one target's polling."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of one target's polling. Times are epoch seconds; an unknown value is None, never 0."""

    collector: str
    account: str
    success: bool | None
    """None before the end of the first round; False while any part of the target cannot be polled."""
    reason: str = ""
    """Why `success` is False."""
    last_success: float | None
    """Time as of which the oldest status shown is valid."""
    duration: float | None
    """Duration of the last complete round, in seconds."""
    truncated: bool
    series: int
    requests: Mapping[tuple[str, str], int]
    """By endpoint (a template) and outcome (`ok` or an HttpError's `reason`)."""
    counting_since: float
    """When `requests` started counting."""
    rate_limit_remaining: float | None
    budget_used_ratio: float
    oldest_value: float | None
    first_poll_ended: bool
    last_error: str
    last_error_at: float | None
    next_poll: float | None
    paused_until: float | None
    paused_reason: str
    problems: tuple[str, ...] = ()
    """The current failures, one line for each request or endpoint."""
