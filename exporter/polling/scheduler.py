"""The choice of the next request: status first, then changed items, then the rest, the longest overdue first. Pure.

A failed request backs off by itself, longer each time, so that a deleted monitor's 404 never stops the rotation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from exporter.collectors.contract import Get, Probe, Reason, Request
from exporter.polling.rate_budget import FIRST_REFUSAL, REFUSED, doubled
from exporter.toolkit.http_errors import ClientError, HttpError, Malformed, RateLimited, Refused, ServerError

Identity = tuple[str, ...]
R = TypeVar("R", Get, Probe)

FIRST: Final = 5.0
"""Backoff in seconds after a request's first failure."""
STATUS: Final = 60.0
"""Longest backoff in seconds of a status request, which is how a recovery is noticed."""
VENDOR_DOWN: Final = 300.0
"""Longest backoff in seconds of other requests while the vendor is down, so that all data is fresh soon after."""
MAINTENANCE: Final = 120.0
"""Longest backoff in seconds for a 5xx with Retry-After, less than any default `max_age`: it may end earlier."""
BAD_REQUEST: Final = 3600.0
"""Longest backoff in seconds of a request that itself is at fault."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """A request that failed `failures` times in a row is not sent before `not_before` (epoch seconds)."""

    not_before: float
    failures: int
    endpoint: str
    reason: str
    """Of the last error."""
    failing_since: float = 0.0
    message: str = ""


def choose(requests: Iterable[R], now: float, backoffs: Mapping[Identity, Backoff]) -> tuple[R | None, float | None]:
    """Return the most urgent request that is due and not backing off, and when it or the next is due.

    That is in epoch seconds; None if nothing is wanted.
    """
    best: R | None = None
    best_urgency: tuple[int, float] = (len(Reason), 0.0)
    next_due: float | None = None
    for request in requests:
        start = request.due
        if backoffs and (backoff := backoffs.get(request.identity)):
            # Count it as overdue only from then on: otherwise one that always fails would come first every time.
            start = max(start, backoff.not_before)
        if start > now:
            next_due = start if next_due is None else min(next_due, start)
            continue
        # How overdue it is in units of its own interval, negated: smaller is more urgent.
        urgency = (request.reason, (start - now) / request.every)
        if urgency < best_urgency:
            best, best_urgency = request, urgency
    return best, now if best else next_due


def back_off(earlier: Backoff | None, request: Request, error: HttpError, now: float) -> Backoff:
    """Return the backoff of `request` after `error`, given its earlier backoff."""
    failures = earlier.failures + 1 if earlier else 1
    if isinstance(error, RateLimited):
        seconds = 0.0  # a rate limit pauses the whole target instead
    elif isinstance(error, Refused):
        was_refused = earlier is not None and earlier.reason == Refused.reason
        seconds = doubled(REFUSED, failures - 2) if was_refused else FIRST_REFUSAL
    elif request.reason is Reason.STATUS:
        seconds = doubled((FIRST, min(STATUS, max(FIRST, request.every))), failures - 1)
    elif isinstance(error, ClientError | Malformed):
        seconds = doubled((FIRST, BAD_REQUEST), failures - 1)
    else:
        seconds = doubled((FIRST, min(request.every, VENDOR_DOWN)), failures - 1)
    if isinstance(error, ServerError):  # of this request alone: an endpoint may fail by itself
        seconds = max(seconds, min(error.retry_after or 0.0, MAINTENANCE))
    return Backoff(
        not_before=now + seconds,
        failures=failures,
        endpoint=request.endpoint,
        reason=error.reason,
        failing_since=earlier.failing_since if earlier else now,
        message=f"{request.endpoint}: {error.reason}: {error}",
    )
