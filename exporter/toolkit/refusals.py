"""Rejected requests: each is counted, and logged at most once a minute per reason and receiver."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

REASONS = ("unauthorized", "not_found", "method", "too_large", "unsupported", "malformed", "timeout", "overloaded")
_BY_STATUS = {
    400: "malformed",
    401: "unauthorized",
    403: "unauthorized",
    404: "not_found",
    405: "method",
    408: "timeout",
    413: "too_large",
    415: "unsupported",
    417: "unsupported",
    429: "overloaded",
    431: "too_large",
    503: "overloaded",
    505: "malformed",
}
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
        self._logged: dict[tuple[str, str], float] = {}
        self._since: dict[tuple[str, str], int] = {}

    def note(self, refusal: Refusal) -> None:
        """Count a refusal, and log it unless one like it was logged within the last minute."""
        self._count(refusal)
        kind, now = (refusal.reason, refusal.receiver), self._clock()
        if now - self._logged.get(kind, -_EVERY) < _EVERY:
            self._since[kind] = self._since.get(kind, 0) + 1
            return
        self._logged[kind] = now
        more = self._since.pop(kind, 0)
        _log.warning(
            "Request%s from %s rejected (%d): %s%s",
            f" for {refusal.receiver}" if refusal.receiver else "",
            refusal.peer,
            refusal.status,
            refusal.message,
            f"; {more} more since the last such line" if more else "",
        )
