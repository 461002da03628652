"""The periodic thread: one loop for everything that runs at intervals.

It survives any exception of a tick, rests until the next tick or a wake, and logs when a condition begins and ends.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from exporter.toolkit.logs import Conditions

RETRY: Final = 1.0
"""Seconds until the next tick after a failed one."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """The sources of time and chance. `wall`: epoch seconds; `steady`: monotonic seconds; `chance`: 0 to 1."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


CLOCK: Final = Clock()


class Paused(Exception):
    """The work of a tick cannot be done now; the message says why. The next tick may succeed."""


class PeriodicThread:
    """Calls `tick` repeatedly; it returns the seconds until the next call, or None to wait for `wake`.

    `doing` names the work in log lines ("Reconciling prod"). `at_end`: called once when the loop has ended.
    """

    def __init__(
        self,
        name: str,
        doing: str,
        tick: Callable[[], float | None],
        *,
        at_end: Callable[[], object] | None = None,
        retry: float = RETRY,
    ) -> None:
        self._doing, self._tick, self._at_end, self._retry = doing, tick, at_end, retry
        self.conditions = Conditions(_log)
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether the loop is stopping."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start ticking, at once."""
        self._thread.start()

    def wake(self) -> None:
        """End the current rest, or skip the next one."""
        self._woken.set()

    def stop(self, patience: float = 1.0) -> None:
        """Stop after the current tick, waiting at most `patience` seconds for it."""
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def run(self) -> None:
        """Tick until stopped."""
        while not self.stopping:
            rest = self.guarded(self._tick)
            if rest is None or rest > 0:
                self._woken.wait(rest)
            self._woken.clear()
        if self._at_end is not None:
            self.guarded(self._at_end)

    def guarded(self, act: Callable[[], float | object]) -> float | None:
        """Return the result of `act`, or the pause after a failure. Failures while the loop is stopping are ignored."""
        try:
            rest = act()
        except Paused as error:
            # The database may be closed before the last tick ends: not worth reporting.
            if not self.stopping:
                self.conditions.report("paused", f"{self._doing} paused: {error}")
            return self._retry
        except Exception:  # noqa: BLE001  the loop outlives whatever it did not foresee
            if not self.stopping:
                _log.exception("%s failed unexpectedly", self._doing)
            return self._retry
        self.conditions.report("paused", "")
        return rest if isinstance(rest, float | int) else None


def stop_all(loops: Iterable[PeriodicThread], patience: float) -> None:
    """Stop loops after their current ticks, waiting at most `patience` seconds for all of them together."""
    stopping = list(loops)
    for loop in stopping:
        loop.stop(0.0)
    end = time.monotonic() + patience
    for loop in stopping:
        loop.stop(max(0.0, end - time.monotonic()))
