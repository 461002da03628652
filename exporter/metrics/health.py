"""How the polling of one target goes, and what its vendor says now.

For the exporter's own metrics, for its page, and for service discovery.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that a vendor says now, in words: `3 monitors down: shop, api, mail`. `bad`: somebody should look."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What blackbox_exporter and its like may probe as well: a URL or an address, and what is known of it.

    `labels` are names without `__meta_<collector>_`, and values; the account is not among them.
    """

    address: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one target's polling goes. Times are epoch seconds; what is not known is None, never 0."""

    collector: str
    account: str
    success: bool | None
    """None before the first round ended; False while anything of the target cannot be polled."""
    reason: str = ""
    """Why `success` is False."""
    last_success: float | None
    """As of when the oldest status that is shown holds."""
    duration: float | None
    """Seconds that the last whole round took."""
    truncated: bool
    series: int
    requests: Mapping[tuple[str, str], int]
    """By endpoint (a template) and outcome (`ok` or a PollError's `reason`)."""
    counting_since: float
    """Since when `requests` are counted."""
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
    """What fails now, one line for each request or endpoint."""
