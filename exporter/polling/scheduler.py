"""Which request comes next: status first, then what changed, then the rest, the longest overdue first. Pure.

A request that failed is put off for itself alone, longer each time: a deleted monitor's 404 never stops the rotation.
It is overdue from then on: what was never told, such as the parts of an environment that always fails, cannot come
first each time and leave no turn to the others.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from exporter.collectors.contract import Get, Probe, Reason
from exporter.errors import ClientError, Malformed, PollError, RateLimited, Refused

Identity = tuple[str, ...]
Request = TypeVar("Request", Get, Probe)

FIRST: Final = 5.0
"""Seconds for which a request is put off after its first failure."""
REFUSED: Final = (300.0, 900.0)
"""Seconds for which a request is put off after its first refusal, and the most: 100 refusals a minute make ThousandEyes
block the address."""
STATUS: Final = 60.0
"""Seconds; the most for a status, which is how a recovery is noticed."""
VENDOR_DOWN: Final = 300.0
"""Seconds; the most for anything else while the vendor is down, so that everything is fresh soon after it recovers."""
BAD_REQUEST: Final = 3600.0
"""Seconds; the most when it is the request itself that fails."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """A request that failed `failures` times in a row is not asked from `since` until `not_before` (epoch seconds).

    A clock that was set back to before `since` ends it: it might be set back by hours, as at boot.
    """

    not_before: float
    failures: int
    endpoint: str
    reason: str
    """The last error's."""
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice(Generic[Request]):
    """What to ask now, or when the next request is due (epoch seconds; None: nothing is wanted)."""

    request: Request | None
    next_due: float | None


def choose(
    requests: Iterable[Request], now: float, busy: AbstractSet[Identity], backoffs: Mapping[Identity, Backoff]
) -> Choice[Request]:
    """Return the most urgent request that is due, neither `busy` (in flight) nor in `backoffs` (failed lately)."""
    best: Request | None = None
    urgency: tuple[int, float] = (len(Reason), 0.0)
    next_due: float | None = None
    for request in requests:
        start = _start(request, now, busy, backoffs)
        if start is None:
            continue
        if start > now:
            next_due = start if next_due is None else min(next_due, start)
            continue
        candidate = (request.reason, (start - now) / request.every)
        if candidate < urgency:
            best, urgency = request, candidate
    return Choice(best, now if best else next_due)


def _start(
    request: Get | Probe, now: float, busy: AbstractSet[Identity], backoffs: Mapping[Identity, Backoff]
) -> float | None:
    """Return from when `request` may be asked, None while it is in flight."""
    if not busy and not backoffs:
        return request.due
    identity = request.identity
    if identity in busy:
        return None
    backoff = backoffs.get(identity)
    return request.due if backoff is None or now < backoff.since else max(request.due, backoff.not_before)


def back_off(earlier: Backoff | None, request: Get | Probe, error: PollError, now: float) -> Backoff:
    """Return until when `request` is put off after `error`, given how it was put off before."""
    failures = earlier.failures + 1 if earlier else 1
    least = REFUSED[0] if isinstance(error, Refused) else FIRST
    seconds = min(_most(request, error), least * 2 ** min(failures - 1, 20))
    return Backoff(now + seconds, failures, request.endpoint, error.reason, now)


def _most(request: Get | Probe, error: PollError) -> float:
    """Return the most seconds for which `request` is put off. A limit pauses the whole target instead."""
    if isinstance(error, RateLimited):
        return 0.0
    if isinstance(error, Refused):
        return REFUSED[1]
    if request.reason is Reason.STATUS:
        return min(STATUS, max(FIRST, request.every))
    return BAD_REQUEST if isinstance(error, ClientError | Malformed) else min(request.every, VENDOR_DOWN)


def refused(backoffs: Mapping[Identity, Backoff]) -> bool:
    """Tell whether something is put off because the vendor refused it."""
    return any(backoff.reason == Refused.reason for backoff in backoffs.values())


def credentials_changed(backoffs: Mapping[Identity, Backoff]) -> dict[Identity, Backoff]:
    """Return the backoffs after the credentials changed: what the old ones were refused may be asked again."""
    return {identity: backoff for identity, backoff in backoffs.items() if backoff.reason != Refused.reason}


def without_expired(backoffs: Mapping[Identity, Backoff], now: float) -> dict[Identity, Backoff]:
    """Return the backoffs without those of requests that have not come back for an hour: they are wanted no more."""
    return {identity: backoff for identity, backoff in backoffs.items() if backoff.not_before > now - BAD_REQUEST}
