"""When to retry a request that was not accepted, unless an event is at fault.

It depends on the kind of error, never on the number of attempts alone: an outage of a week loses nothing.
"""

from typing import Final

from bridge.errors import DeliveryError, Stopped

FIRST_PAUSE: Final = 1.0
"""Longest pause in seconds after the first failure. It doubles with each further one."""
LONGEST_PAUSE: Final = 60.0
SHORTEST_PAUSE: Final = 0.1
"""Shortest pause in seconds: full jitter may draw zero."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Longest `Retry-After` in seconds that is honoured: more than an hour is a gateway's mistake."""
PROBE_INTERVAL: Final = 60.0
"""Seconds between two probes of a destination that someone must fix."""
_MOST_DOUBLINGS: Final = 16


def retry_at(error: DeliveryError, failures: int, now: float, chance: float) -> float:
    """Return when to retry after the `failures`th failure in a row. `chance`: a random number in [0, 1)."""
    if isinstance(error, Stopped):
        # With jitter, so that replicas do not coincide.
        return now + PROBE_INTERVAL * (0.95 + 0.1 * chance)
    wished = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
    return now + max(SHORTEST_PAUSE, wished, chance * ceiling(failures))


def ceiling(failures: int) -> float:
    """Return the longest pause, in seconds, after the `failures`th failure in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(failures, 1) - 1, _MOST_DOUBLINGS)))
