"""How a reconciler does, for the operator's page."""

from dataclasses import dataclass
from typing import Final

_GRACE: Final = 30.0
"""Seconds beyond three intervals without a success, after which a reconciler is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerStatus:
    """How a reconciler does. `last_success`: when all Alertmanagers last answered this process, None: not yet."""

    last_success: float | None = None
    failures: int = 0
    corrections: int = 0
    interval: float

    def late(self, now: float) -> bool:
        """Tell whether no round has succeeded for much longer than one takes."""
        return self.last_success is not None and now - self.last_success > 3 * self.interval + _GRACE
