"""Rejected requests: each is counted, and logged at most once a minute per reason, receiver and who rejected it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_BY_STATUS = {
    401: "unauthorized", 403: "unauthorized", 404: "not_found", 405: "method", 413: "too_large", 431: "too_large",
    415: "unsupported", 400: "malformed", 408: "timeout", 429: "overloaded", 503: "overloaded",
}  # fmt: skip
REASONS = tuple(dict.fromkeys(_BY_STATUS.values()))
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
        return _BY_STATUS.get(self.status, "malformed")


class Refusals:
    """Counts refusals with `count`, and logs them. Called from one thread."""

    def __init__(self, count: Callable[[Refusal], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._clock = count, clock
        self._logged: dict[tuple[str, str, bool], tuple[float, int]] = {}
        """By reason, receiver and who rejected it: when one was logged, and how many were not since."""

    def note(self, refusal: Refusal) -> None:
        """Count a refusal, and log it unless one like it was logged within the last minute."""
        self._count(refusal)
        # Webhooks for a receiver that is not configured are no page that strangers look for.
        kind, now = (refusal.reason, refusal.receiver, refusal.by_application), self._clock()
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
