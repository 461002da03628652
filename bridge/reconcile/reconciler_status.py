"""The status of a reconciler, for the operator's page."""

from dataclasses import dataclass
from typing import Final

_GRACE: Final = 30.0
"""Seconds beyond three intervals without a success, after which a reconciler is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerStatus:
    """The status of a reconciler. `last_success`: when all Alertmanagers last answered this process, None: not yet."""

    last_success: float | None = None
    failures: int = 0
    corrections: int = 0
    interval: float

    def late(self, now: float) -> bool:
        """Return whether no poll has succeeded for much longer than the interval."""
        return self.last_success is not None and now - self.last_success > 3 * self.interval + _GRACE
