"""The health of one target's polling, and a summary of its vendor's data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a vendor's summary: `3 monitors down: shop, api, mail`. `bad`: needs attention."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL or address that blackbox_exporter can probe too, with its labels.

    `labels` are names without the prefix `__meta_<collector>_`, and values, without the account.
    """

    address: str
    labels: tuple[tuple[str, str], ...] = ()


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
