"""The page of all targets: each is rendered when it changes, by one thread; a scrape puts together what is there.

Only the exporter's own families are rendered for a scrape: they say how things are at that moment.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Protocol

from exporter.metrics.exporter_metrics import Running, own_families, python_lines
from exporter.metrics.families import Family, Metric
from exporter.metrics.health import Endpoint, Figure, Health
from exporter.metrics.text_format import Block, Rendered, block, compose, joined, render

REST: Final = 10
"""After a render the target rests for so many times what it took: a big one costs at most a tenth of one core."""
PROCESS_AGE: Final = 1.0
"""Seconds for which what client_python tells of the process is served again: it takes a millisecond to read."""
_EOF: Final = block(b"# EOF\n")
_log = logging.getLogger(__name__)


class Source(Protocol):
    """A target, as far as the page needs to know it. All methods are safe from any thread."""

    @property
    def identity(self) -> tuple[str, str]:
        """Collector and account."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """Every metric that it may have."""

    def rendered(self, now: float, form: Callable[[Iterable[Family]], Rendered]) -> Rendered:
        """Return what `form` makes of its families, one at a time; of none when it has nothing to show."""

    def expires(self) -> float | None:
        """Return the epoch second from which nothing of it may be shown; None while nothing is known."""

    def health(self) -> Health:
        """Return how its polling goes."""

    def figures(self) -> Sequence[Figure]:
        """Return what its vendor says now."""

    @property
    def discovers(self) -> bool:
        """Whether its collector knows what others may probe."""

    def endpoints(self) -> Sequence[Endpoint] | None:
        """Return what others may probe; None while it is not known."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A target on the page. `rests_until` is of the monotonic clock."""

    source: Source
    rendered: Rendered = field(default_factory=dict)
    is_dirty: bool = True
    rests_until: float = 0.0

    def shown(self, now: float) -> Rendered:
        """Return what is rendered until it expires: the target's thread may hang, and the render thread be late."""
        expires = self.source.expires()
        return self.rendered if expires is None or now < expires else {}


class PageCache:
    """The page of all targets. `clock` tells epoch seconds. All methods are safe from any thread."""

    def __init__(self, clock: Callable[[], float], running: Running) -> None:
        self._clock = clock
        self._running = running
        self._slots: list[_Slot] = []
        self._own: dict[str, tuple[Family, Rendered]] = {}
        self._process: dict[bool, tuple[float, Block]] = {}
        self._stopping = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="page cache", daemon=True)

    def start(self) -> None:
        """Render what changes from now on; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End rendering; wait at most `timeout` seconds."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def serve(self, sources: Sequence[Source]) -> None:
        """Put exactly these targets on the page; those that were there keep what is rendered of them.

        What new ones know already, from a snapshot or from before a reload, is rendered first: between two pages no
        series is missing.
        """
        known = {slot.source: slot for slot in self._slots}
        slots = [known.get(source) or _Slot(source) for source in sources]
        for slot in slots:
            if slot.source not in known:
                self._render(slot)
        with self._wake:
            self._slots = slots
            self._wake.notify_all()

    def changed(self, source: Source) -> None:
        """Note that a target has something new to show."""
        with self._wake:
            for slot in self._slots:
                if slot.source is source:
                    slot.is_dirty = True
                    self._wake.notify_all()

    def sources(self) -> list[Source]:
        """Return the targets on the page, in the order of exporter.yml."""
        return [slot.source for slot in self._slots]

    def page(self, *, openmetrics: bool, packed: bool) -> list[bytes]:
        """Return the page in one form, in pieces: the large ones are those that every scrape is given, not copies."""
        now, slots = self._clock(), self._slots
        blocks = [
            *compose([self._own_rendered()], openmetrics=openmetrics),
            self._process_block(openmetrics=openmetrics),
            *compose((slot.shown(now) for slot in slots), openmetrics=openmetrics),
            *([_EOF] if openmetrics else []),
        ]
        return joined(each.packed if packed else each.plain for each in blocks)

    def _own_rendered(self) -> Rendered:
        """Render the exporter's own families, those that have changed since the last scrape."""
        before = self._own
        own = {
            family.metric.name: before[family.metric.name]
            if before.get(family.metric.name, (None, None))[0] == family
            else (family, render([family]))
            for family in own_families([source.health() for source in self.sources()], self._running.families())
        }
        self._own = own
        return {name: block for _, rendered in own.values() for name, block in rendered.items()}

    def _process_block(self, *, openmetrics: bool) -> Block:
        now = time.monotonic()
        at, found = self._process.get(openmetrics, (-PROCESS_AGE, _EOF))
        if now - at >= PROCESS_AGE:
            found = block(python_lines(openmetrics=openmetrics))
            self._process[openmetrics] = now, found
        return found

    def _run(self) -> None:
        while slot := self._next():
            self._render(slot)

    def _next(self) -> _Slot | None:
        """Return the next target to be rendered, once it has rested; None when the program stops."""
        with self._wake:
            while not self._stopping:
                now = time.monotonic()
                slot = min((slot for slot in self._slots if slot.is_dirty), key=attrgetter("rests_until"), default=None)
                if slot and slot.rests_until <= now:
                    return slot
                self._wake.wait(slot.rests_until - now if slot else None)
        return None

    def _render(self, slot: _Slot) -> None:
        began, (collector, account) = time.monotonic(), slot.source.identity
        slot.is_dirty = False  # before it is read: a change meanwhile is rendered next
        try:
            slot.rendered = slot.source.rendered(self._clock(), lambda families: render(families, account))
        except Exception:  # noqa: BLE001  a target that cannot be rendered stops no other
            _log.exception("Cannot render %s %s", collector, account)
        slot.rests_until = time.monotonic() + REST * (time.monotonic() - began)
