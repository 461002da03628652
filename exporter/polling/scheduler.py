"""Which ask comes next: status first, then what changed, then the rest, the longest overdue first. Pure.

An ask that failed is put off for itself alone, longer each time: a deleted monitor's 404 never stops the rotation.
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
"""Seconds for which an ask is put off after its first failure."""
REFUSED: Final = (300.0, 900.0)
"""Seconds for which an ask is put off after its first refusal, and the most: 100 refusals a minute make ThousandEyes
block the address."""
STATUS: Final = 60.0
"""Seconds; the most for a status, which is how a recovery is noticed."""
ILL: Final = 300.0
"""Seconds; the most for anything else while the vendor is down, so that everything is fresh soon after it recovers."""
WRONG: Final = 3600.0
"""Seconds; the most when it is the ask itself that fails."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """An ask that failed `failures` times in a row is not asked from `since` until `not_before` (epoch seconds).

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
    """What to ask now, or when the next ask is due (epoch seconds; None: nothing is wanted)."""

    ask: Request | None
    next_due: float | None


def choose(
    asks: Iterable[Request], now: float, busy: AbstractSet[Identity], deferred: Mapping[Identity, Deferral]
) -> Choice[Request]:
    """Return the most urgent ask that is due, neither `busy` (in flight) nor `deferred` (failed lately)."""
    best: Request | None = None
    urgency: tuple[int, float] = (len(Reason), 0.0)
    next_due: float | None = None
    for ask in asks:
        start = _start(ask, now, busy, deferred)
        if start is None:
            continue
        if start > now:
            next_due = start if next_due is None else min(next_due, start)
            continue
        candidate = (ask.reason, (start - now) / ask.every)
        if candidate < urgency:
            best, urgency = ask, candidate
    return Choice(best, now if best else next_due)


def _start(
    ask: Get | Probe, now: float, busy: AbstractSet[Identity], deferred: Mapping[Identity, Deferral]
) -> float | None:
    """Return from when `ask` may be asked, None while it is in flight."""
    if not busy and not deferred:
        return ask.due
    identity = ask.identity
    if identity in busy:
        return None
    deferral = deferred.get(identity)
    return ask.due if deferral is None or now < deferral.since else max(ask.due, deferral.not_before)


def defer(earlier: Deferral | None, ask: Get | Probe, error: PollError, now: float) -> Deferral:
    """Return until when `ask` is put off after `error`, given how it was put off before."""
    failures = earlier.failures + 1 if earlier else 1
    least = REFUSED[0] if isinstance(error, Refused) else FIRST
    seconds = min(_most(ask, error), least * 2 ** min(failures - 1, 20))
    return Deferral(now + seconds, failures, ask.endpoint, error.reason, now)


def _most(ask: Get | Probe, error: PollError) -> float:
    """Return the most seconds for which `ask` is put off. A limit pauses the whole target instead."""
    if isinstance(error, RateLimited):
        return 0.0
    if isinstance(error, Refused):
        return REFUSED[1]
    if ask.reason is Reason.STATUS:
        return min(STATUS, max(FIRST, ask.every))
    return WRONG if isinstance(error, ClientError | Malformed) else min(ask.every, ILL)


def refused(deferred: Mapping[Identity, Deferral]) -> bool:
    """Tell whether something is put off because the vendor refused it."""
    return any(deferral.reason == Refused.reason for deferral in deferred.values())


def trusted_anew(deferred: Mapping[Identity, Deferral]) -> dict[Identity, Deferral]:
    """Return the deferrals after the credentials changed: what the old ones were refused may be asked again."""
    return {identity: deferral for identity, deferral in deferred.items() if deferral.reason != Refused.reason}


def settle(deferred: Mapping[Identity, Deferral], now: float) -> dict[Identity, Deferral]:
    """Return the deferrals without those of asks that have not come back for an hour: they are wanted no more."""
    return {identity: deferral for identity, deferral in deferred.items() if deferral.not_before > now - WRONG}
