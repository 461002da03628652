"""A loop that comes round again and again in a thread of its own, until it is stopped.

It outlives whatever it did not foresee, rests until its next round or a hint, and says a trouble once.
"""

import logging
import threading
from collections.abc import Callable

from bridge.errors import Unavailable

_log = logging.getLogger(__name__)


class Rounds:
    """The thread of one loop, its rests and its log. `doing` begins its log lines: "Looking after the watchdog"."""

    def __init__(self, name: str, doing: str, run: Callable[[], object]) -> None:
        self._doing = doing
        self._told: dict[str, str] = {}
        self._hinted, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=run, name=name, daemon=True)

    @property
    def ended(self) -> bool:
        """Whether the loop is to end."""
        return self._stopping.is_set()

    @property
    def running(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hint(self) -> None:
        """End the rest, or the next one."""
        self._hinted.set()

    def stop(self, patience: float) -> None:
        """End after what is under way, or after `patience` seconds without it."""
        self._stopping.set()
        self._hinted.set()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def rest(self, seconds: float | None) -> bool:
        """Rest for so long, None: for ever, or until a hint; tell whether one came."""
        if not self._hinted.wait(seconds):
            return False
        self._hinted.clear()
        return not self.ended

    def pause(self, seconds: float) -> None:
        """Rest for so long, whoever hints."""
        self._stopping.wait(seconds)

    def guarded(self, act: Callable[[], object]) -> bool:
        """Act; tell whether that went well. What fails while the loop ends is nobody's trouble."""
        try:
            act()
        except Unavailable as error:
            if not self.ended:
                self.say("database", f"{self._doing} must wait: {error}")
        except Exception:  # noqa: BLE001  the loop outlives it
            if not self.ended:
                _log.exception("%s failed unexpectedly", self._doing)
        else:
            self.say("database", "")
            return True
        return False

    def say(self, about: str, told: str) -> None:
        """Log what is new about something; "": all is well."""
        if told and self._told.get(about) != told:
            _log.warning("%s", told)
        self._told[about] = told
