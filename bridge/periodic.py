"""One loop for everything that runs every so often, in a thread of its own.

It outlives whatever a tick raises, rests until the next tick or a wake, and reports a condition once while it lasts.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from bridge.errors import Unavailable

RETRY: Final = 1.0
"""Seconds until the next tick after one that failed."""
_log = logging.getLogger(__name__)


class PeriodicThread:
    """Calls `tick` again and again; it returns the seconds until the next call, None: until `wake`.

    `doing` names the work in log lines ("Reconciling prod"). `at_end`: what to do once, when the loop has ended.
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
        """Whether the loop is to end."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin to tick, at once."""
        self._thread.start()

    def wake(self) -> None:
        """End the rest, or the next one."""
        self._woken.set()

    def stop(self, patience: float = 1.0) -> None:
        """End after the tick under way, or after `patience` seconds without it."""
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
        """Return what `act` returns, or the pause after a failure. What fails while the loop ends is no trouble."""
        try:
            rest = act()
        except Unavailable as error:
            # The database may be closed before the last tick is over: then there is nothing to report.
            if not self.stopping:
                self.conditions.report("database", f"{self._doing} paused: {error}")
            return self._retry
        except Exception:  # noqa: BLE001  the loop outlives whatever it did not foresee
            if not self.stopping:
                _log.exception("%s failed unexpectedly", self._doing)
            return self._retry
        self.conditions.report("database", "")
        return rest if isinstance(rest, float | int) else None


class Conditions:
    """Logs a condition when it is new or says something else, not at every tick that finds it."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._reported: dict[str, str] = {}

    def report(self, about: str, message: str, level: int = logging.WARNING) -> bool:
        """Log what is new about something; "": all is well again. Tell whether that is a change."""
        changed = self._reported.get(about, "") != message
        if message and changed:
            self._log.log(level, "%s", message)
        self._reported[about] = message
        return changed
