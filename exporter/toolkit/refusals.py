"""Rejected requests: each is counted, and logged at most once a minute per reason and receiver."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_STATUSES = {
    "unauthorized": (401, 403),
    "not_found": (404,),
    "method": (405,),
    "too_large": (413, 431),
    "unsupported": (415, 417),
    "malformed": (400, 505),
    "timeout": (408,),
    "overloaded": (429, 503),
}
REASONS = tuple(_STATUSES)
_EVERY = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rejected request. `receiver`: the receiver it was for, if known."""

    status: int
    message: str
    peer: str
    receiver: str = ""
    by_application: bool = False

    @property
    def reason(self) -> str:
        """The metric's label."""
        return next((reason for reason, statuses in _STATUSES.items() if self.status in statuses), "malformed")


class Refusals:
    """Counts refusals with `count`, and logs them. Called from one thread."""

    def __init__(self, count: Callable[[Refusal], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._clock = count, clock
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}
        """By reason and receiver: when one was logged, and how many were not since."""

    def note(self, refusal: Refusal) -> None:
        """Count a refusal, and log it unless one like it was logged within the last minute."""
        self._count(refusal)
        kind, now = (refusal.reason, refusal.receiver), self._clock()
        at, more = self._logged.get(kind, (-_EVERY, 0))
        if now - at < _EVERY:
            self._logged[kind] = at, more + 1
            return
        self._logged[kind] = now, 0
        _log.warning(
            "Request%s from %s rejected (%d): %s%s",
            f" for {refusal.receiver}" if refusal.receiver else "",
            refusal.peer,
            refusal.status,
            refusal.message,
            f"; {more} more since the last such line" if more else "",
        )
