"""The cached metrics page: one thread renders each target when it changes; a scrape only joins the rendered parts.

Only the exporter's own families are rendered by a scrape, if they have changed: they describe that moment.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.metrics.exporter_metrics import Running, own_families, python_lines
from exporter.metrics.families import Family
from exporter.metrics.gzip_stream import Beginning, Block, begin, block, end, joined
from exporter.metrics.health import Health
from exporter.metrics.text_format import Rendered, compose, plain, render
from exporter.polling.poller import Poller
from exporter.toolkit.periodic import PeriodicThread

REST: Final = 10
"""After a render, a target rests this many times its duration, so that a big one costs at most a tenth of one core."""
AGAIN: Final = 10.0
"""Seconds after which a target is rendered again without a change: its parts expire one by one, days count down."""
PROCESS_AGE: Final = 1.0
"""Seconds for which client_python's process metrics are cached: reading them takes a millisecond."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A target on the page. `rests_until` is by the monotonic clock."""

    poller: Poller
    rendered: Rendered = field(default_factory=dict)
    is_dirty: bool = True
    rests_until: float = 0.0

    def due(self) -> float:
        """Return when to render it next, by the monotonic clock."""
        return self.rests_until if self.is_dirty else self.rests_until + AGAIN

    def shown(self, now: float) -> Rendered:
        """Return the rendered families unless expired: the target's thread may hang, the render thread be late."""
        return self.rendered if self.poller.shows(now) else {}


class PageCache:
    """The page of all targets. `clock` returns epoch seconds. All methods are safe from any thread."""

    def __init__(self, clock: Callable[[], float], running: Running) -> None:
        self._clock = clock
        self._running = running
        self._slots: list[_Slot] = []
        self._vendors: tuple[list[Rendered], dict[bool, tuple[list[Block], Beginning]]] = ([], {})
        """The targets shown by the last scrape, and by format what was composed of them."""
        self._own: dict[bool, tuple[tuple[list[Health], list[Family]], float, Block]] = {}
        """By format: the exporter's own families as rendered last, from what and when."""
        self._thread = PeriodicThread("page cache", "Rendering the page", self._tick)

    def start(self) -> None:
        """Start rendering changed targets; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Stop rendering; wait at most `timeout` seconds."""
        self._thread.stop(timeout)

    def serve(self, pollers: Sequence[Poller]) -> None:
        """Put exactly these targets on the page; those already on it keep their rendered families.

        Data that new targets already have, from a snapshot or from before a reload, is rendered first, so that no
        series is missing from the next page.
        """
        known = {slot.poller: slot for slot in self._slots}
        slots = [known.get(poller) or _Slot(poller) for poller in pollers]
        for slot in slots:
            if slot.poller not in known:
                self._render(slot)
        self._slots = slots
        self._thread.wake()

    def changed(self, poller: Poller) -> None:
        """Mark a target as changed."""
        for slot in self._slots:
            if slot.poller is poller:
                slot.is_dirty = True
                self._thread.wake()

    def pollers(self) -> list[Poller]:
        """Return the targets on the page, in the order of exporter.yml."""
        return [slot.poller for slot in self._slots]

    def page(self, *, openmetrics: bool, packed: bool) -> list[bytes]:
        """Return the page in one form, in pieces; large pieces are shared between scrapes, not copied."""
        now = self._clock()
        shown = [slot.shown(now) for slot in self._slots]
        known = self._vendors
        if known[0] != shown:
            known = self._vendors = shown, {}
        if openmetrics not in known[1]:
            blocks = compose(shown, openmetrics=openmetrics)
            known[1][openmetrics] = blocks, begin(blocks)
        vendors, beginning = known[1][openmetrics]
        own = self._own_block(openmetrics=openmetrics)
        return [end(beginning, own)] if packed else joined([each.plain for each in (*vendors, own)])

    def _own_block(self, *, openmetrics: bool) -> Block:
        """Return the exporter's own families and client_python's, rendered again if they have changed."""
        state = [poller.health() for poller in self.pollers()], self._running.families()
        now = time.monotonic()
        known = self._own.get(openmetrics)
        if known is None or known[0] != state or now - known[1] >= PROCESS_AGE:
            lines = plain(own_families(*state), openmetrics=openmetrics) + python_lines(openmetrics=openmetrics)
            known = self._own[openmetrics] = state, now, block(lines)
        return known[2]

    def _tick(self) -> float | None:
        """Render the target that is due next, changed or not, or return the seconds until it is."""
        slot = min(self._slots, key=_Slot.due, default=None)
        if slot is None:
            return None
        rest = slot.due() - time.monotonic()
        if rest <= 0:
            self._render(slot)
        return max(0.0, rest)

    def _render(self, slot: _Slot) -> None:
        began, (_, account) = time.monotonic(), slot.poller.identity
        slot.is_dirty = False  # cleared before reading, so that a change meanwhile is rendered next
        slot.rendered = slot.poller.rendered(self._clock(), lambda families: render(families, account, slot.rendered))
        slot.rests_until = time.monotonic() + REST * (time.monotonic() - began)
