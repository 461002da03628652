"""How the queue went in the last hour, and since when BigPanda takes nothing: kept in memory."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from bridge.errors import Unavailable

INTERVAL: Final = 15.0
"""Seconds between two looks."""
_KEPT: Final = 240


class Trend:
    """Looks at what waits and whether the destination is up: `look() -> (events, up)`."""

    def __init__(self, look: Callable[[], tuple[int, bool]], clock: Callable[[], float] = time.time) -> None:
        self._look, self._clock = look, clock
        self._samples: deque[tuple[float, int]] = deque(maxlen=_KEPT)
        self._down_since: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trend", daemon=True)

    @property
    def samples(self) -> list[tuple[float, int]]:
        """What waited, as (epoch seconds, events), the oldest first; where the database could not be read, nothing."""
        return list(self._samples)

    @property
    def down_since(self) -> float | None:
        """When the destination was first seen down, in epoch seconds; None while it is up."""
        return self._down_since

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """End."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def turn(self) -> None:
        """Look once."""
        now = self._clock()
        try:
            events, up = self._look()
        except Unavailable:
            return
        self._samples.append((now, events))
        if up:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now

    def _run(self) -> None:
        self.turn()
        while not self._stopping.wait(INTERVAL):
            self.turn()
