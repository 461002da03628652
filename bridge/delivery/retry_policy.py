"""The decision about a request that BigPanda did not accept.

It depends on the kind of error, never on the number of attempts: an outage of a week loses nothing, and an event that
will never be accepted holds up no others. Nothing here sleeps, sends or stores.
"""

from dataclasses import dataclass
from typing import Final

from bridge.errors import DeliveryError, Fault

FIRST_PAUSE: Final = 1.0
"""Longest pause in seconds after the first failure. It doubles with each further one."""
LONGEST_PAUSE: Final = 60.0
SHORTEST_PAUSE: Final = 0.1
"""Shortest pause in seconds: full jitter may draw zero."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Longest `Retry-After` in seconds that is honoured: more than an hour is a gateway's mistake."""
PROBE_INTERVAL: Final = 60.0
_MOST_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Send the same request again at `at` (epoch seconds) or later."""

    at: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """This event will never be accepted, for `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """One of several events spoils the request: send its halves separately."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing will be accepted until someone fixes the destination; probe it at `until` (epoch seconds)."""

    until: float


Decision = RetryAt | DeadLetter | Split | Pause


def decide(error: DeliveryError, *, events: int, failures: int, now: float, chance: float) -> Decision:
    """Decide about a failed request of `events` events, the `failures`th failure in a row.

    `chance` is a random number in [0, 1).
    """
    match error.fault:
        case Fault.EVENT:
            return Split() if events > 1 else DeadLetter(str(error))
        case Fault.DESTINATION:
            return pause(now, chance)
        case Fault.TRANSIENT:
            wished = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
            return RetryAt(now + max(SHORTEST_PAUSE, wished, chance * ceiling(failures)))


def pause(now: float, chance: float) -> Pause:
    """Return the pause before the next probe of a destination, with jitter so that replicas do not coincide."""
    return Pause(now + PROBE_INTERVAL * (0.95 + 0.1 * chance))


def ceiling(failures: int) -> float:
    """Return the longest pause, in seconds, after the `failures`th failure in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(failures, 1) - 1, _MOST_DOUBLINGS)))
