"""Snapshots → the page: rendered once per change, by one thread, and swapped at once.

Scrapes only hand out bytes that are there, all of them the same ones. The exporter's own families are rendered when
somebody asks, at most once a second while nothing changes. Targets whose collectors state a family of the same name
form one group: its HELP and TYPE are told once.
"""

import ctypes
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.metrics.exporter_metrics import Running, own_families, python_lines
from exporter.metrics.text_format import Body, Page, Rendered, compose, pack, render
from exporter.polling.poller import Poller

REST = 10
"""After a render the target rests for so many times what it took: a big page costs at most a tenth of one core."""
_OWN_AGE = 1.0
_LARGE = 0.05
_EOF = pack(b"# EOF\n")
_log = logging.getLogger(__name__)


def groups(stated: Mapping[str, set[str]]) -> dict[str, str]:
    """Return each collector's group, named after a member: those that state a family of one name share a group."""
    found: dict[str, str] = {}
    names: dict[str, set[str]] = {}
    for name, families in stated.items():
        touched = [group for group, held in names.items() if held & families]
        names[name] = families.union(*(names.pop(group) for group in touched))
        found.update({member: name for member, group in found.items() if group in touched})
        found[name] = name
    return found


@dataclass(slots=True, eq=False)
class _Slot:
    """A target on the page. `rests_until` is of the monotonic clock."""

    poller: Poller
    group: str
    rendered: Rendered = field(default_factory=dict)
    dirty: bool = True
    rests_until: float = 0.0

    def alive(self, now: float) -> bool:
        expires = self.poller.expires()
        return expires is None or now < expires


@dataclass(frozen=True, slots=True)
class _Own:
    """The exporter's own families, as of a moment of the monotonic clock."""

    text: Body
    openmetrics: Body
    at: float
    changes: tuple[int, int]


class PageCache:
    """The page of all targets. `clock` tells epoch seconds. All methods are safe from any thread."""

    def __init__(self, clock: Callable[[], float], running: Running) -> None:
        self._clock = clock
        self._running = running
        self._slots: list[_Slot] = []
        self._pages: dict[str, Page] = {}
        self._own: _Own | None = None
        self._changes = 0
        self._stopping = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="exposition", daemon=True)

    def start(self) -> None:
        """Render what is known already, which after a restart is what was stored; then go on beside the caller."""
        for slot in list(self._slots):
            self._attempt(slot)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End rendering; wait at most `timeout` seconds."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(timeout)

    def serve(self, pollers: Sequence[Poller]) -> None:
        """Put exactly these targets on the page; those that were there keep what is rendered of them."""
        stated = {poller.settings.collector: {metric.name for metric in poller.collector.metrics} for poller in pollers}
        group = groups(stated)
        with self._wake:
            known = {slot.poller: slot for slot in self._slots}
            self._slots = [known.get(poller) or _Slot(poller, "") for poller in pollers]
            for slot in self._slots:
                slot.group = group[slot.poller.settings.collector]
            self._pages = {name: self._composed(name, self._clock()) for name in sorted(set(group.values()))}
            self._changes += 1
            self._wake.notify_all()

    def changed(self, poller: Poller) -> None:
        """Note that a target has something new to tell."""
        with self._wake:
            self._changes += 1
            for slot in self._slots:
                if slot.poller is poller:
                    slot.dirty = True
                    self._wake.notify_all()

    def pollers(self) -> list[Poller]:
        """Return the targets on the page, in the order of exporter.yml."""
        with self._wake:
            return [slot.poller for slot in self._slots]

    def page(self, *, openmetrics: bool, packed: bool) -> list[bytes]:
        """Return the page in one form, as blobs to be sent one after the other."""
        now = self._clock()
        bodies: list[Page | _Own] = [self._own_body(), *(self._fresh(name, now) for name in list(self._pages))]
        chosen = [body.openmetrics if openmetrics else body.text for body in bodies]
        blobs = [blob for body in chosen for blob in (body.packed if packed else body.plain)]
        if openmetrics:
            blobs.append(_EOF.packed if packed else _EOF.plain)
        return blobs

    def _fresh(self, group: str, now: float) -> Page:
        """Return a group's page without what has expired: its thread may hang, and ours may be late."""
        page = self._pages.get(group, Page(Body(), Body()))
        if page.expires is None or now < page.expires:
            return page
        with self._wake:
            page = self._composed(group, now)
            if group in self._pages:
                self._pages[group] = page
        return page

    def _composed(self, group: str, now: float) -> Page:
        slots = [slot for slot in self._slots if slot.group == group and slot.rendered and slot.alive(now)]
        expiries = [expires for slot in slots if (expires := slot.poller.expires()) is not None]
        targets = [(slot.poller.settings.account, slot.rendered) for slot in slots]
        return compose(targets, min(expiries, default=None))

    def _own_body(self) -> _Own:
        own, at, changes = self._own, time.monotonic(), (self._changes, self._running.changes)
        if own is None or own.changes != changes or at - own.at > _OWN_AGE:
            healths = [poller.health() for poller in self.pollers()]
            page = compose([("", render(own_families(healths, self._running.families())))])
            text = page.text.extended(python_lines(openmetrics=False))
            openmetrics = page.openmetrics.extended(python_lines(openmetrics=True))
            own = self._own = _Own(text, openmetrics, at, changes)
        return own

    def _run(self) -> None:
        while True:
            with self._wake:
                slot = self._next()
                while slot is None and not self._stopping:
                    self._wake.wait(self._patience())
                    slot = self._next()
                if self._stopping or slot is None:
                    return
            self._attempt(slot)

    def _attempt(self, slot: _Slot) -> None:
        slot.dirty = False
        try:
            self._render(slot)
        except Exception:  # noqa: BLE001  a collector that fails to state its metrics stops no other
            _log.exception("cannot render %s %s", slot.poller.settings.collector, slot.poller.settings.account)

    def _next(self) -> _Slot | None:
        at = time.monotonic()
        due = [slot for slot in self._slots if slot.dirty and slot.rests_until <= at]
        return min(due, key=lambda slot: slot.rests_until, default=None)

    def _patience(self) -> float | None:
        """Return the seconds until the next target has rested, None when none waits."""
        resting = [slot.rests_until for slot in self._slots if slot.dirty]
        return max(0.0, min(resting) - time.monotonic()) if resting else None

    def _render(self, slot: _Slot) -> None:
        began = time.monotonic()
        now = self._clock()
        account = slot.poller.settings.account
        rendered = slot.poller.stated(now, lambda families: render(families, account))
        with self._wake:
            slot.rendered = rendered
            if slot in self._slots:
                self._pages[slot.group] = self._composed(slot.group, now)
        took = time.monotonic() - began
        slot.rests_until = began + (1 + REST) * took
        if took > _LARGE:
            _give_back()


def _give_back() -> None:
    """Return what a large render has freed to the system: glibc would keep it for itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
