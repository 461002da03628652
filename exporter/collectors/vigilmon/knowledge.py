"""What is known of one Vigilmon account, and what an answer changes in it.

A listing of several pages is gathered aside and replaces the old one only when it is whole. What each page tells
about a monitor that went down is acted on at once.

`uptimes` and `incidents` are kept in the order in which they were asked, the oldest first and those never asked
before all: the head of the dictionary is what comes next, however many monitors there are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from exporter.collector import Certificate, Sighting, sight

from .answers import Monitor, Page

URGENT_PER_PAGE = 2
URGENT_PER_ROUND = 4
"""How many monitors that went down may have their incidents asked before the round goes on: it is late by that."""
_PER_PAGE = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Uptime:
    """Percent by window, asked for at `at`. Not `answered`: `at` is when the monitor was found."""

    at: float
    answered: bool = False
    windows: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incidents:
    """Incidents of one monitor, asked for at `at`. Not `answered`: `at` is when the monitor was found."""

    at: float
    answered: bool = False
    ongoing: int | None = None
    recorded: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing that is not whole yet. `at`: its first page; `told_at`: its last one so far."""

    at: float
    told_at: float
    pages: tuple[tuple[Monitor, ...], ...] = ()
    urgent: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known. Times are epoch seconds; dictionaries are by monitor id unless they say otherwise.

    `changed` holds when a monitor was seen to change until its incidents and uptime were asked since, `urgent` those
    whose incidents are tried once before the next page of the round. `troubled` are down or have ongoing incidents.
    `unprobed` and `sightings` are by `host:port`.
    """

    as_of: float | None = None
    truncated: bool = False
    pages: int = 1
    listing: Listing | None = None
    monitors: dict[str, Monitor] = field(default_factory=dict)
    uptimes: dict[str, Uptime] = field(default_factory=dict)
    incidents: dict[str, Incidents] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    urgent: dict[str, float] = field(default_factory=dict)
    troubled: tuple[str, ...] = ()
    unprobed: dict[str, float] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)


def place(monitor: Monitor) -> str:
    """Return where the monitor's certificate is, `host:port`; "" when it has none."""
    return f"{monitor.host}:{monitor.port}" if monitor.host else ""


def with_page(known: Known, number: int, at: float, page: Page, most: int) -> Known:
    """Return the knowledge after page `number` (from 1) of the listing, of at most `most` pages."""
    begun = known.listing if number > 1 else Listing(at, at)
    if begun is None or number != len(begun.pages) + 1:
        return known
    if not page.monitors or _repeats(begun, page):
        return _whole(known, begun, truncated=_short(begun, page) and bool(page.monitors))
    fallen = [one.id for one in page.monitors if one.up is False and _was(known, one) is not False]
    hurried = fallen[: min(URGENT_PER_PAGE, URGENT_PER_ROUND - begun.urgent)]
    listing = Listing(begun.at, at, (*begun.pages, page.monitors), begun.urgent + len(hurried))
    moved = [one.id for one in page.monitors if _moved(known.monitors.get(one.id), one)]
    known = replace(
        known,
        listing=listing,
        changed={**known.changed, **dict.fromkeys([*moved, *fallen], at)},
        urgent=dict.fromkeys(hurried, at),
    )
    expected = _expected(listing, page)
    if expected is not None and number >= expected:
        return _whole(known, listing, truncated=False)
    return _whole(known, listing, truncated=True) if number >= most else known


def with_uptime(known: Known, identity: str, at: float, windows: dict[str, float]) -> Known:
    """Return the knowledge after a monitor's uptime. A day's uptime that fell tells of an outage between two polls."""
    before = known.uptimes.get(identity)
    monitor = known.monitors.get(identity)
    changed = known.changed
    if before and monitor and monitor.up and _fell(before.windows, windows):
        changed = {**changed, identity: at}
    uptimes = _last(known.uptimes, identity, Uptime(at, answered=True, windows=windows))
    return _settled(replace(known, uptimes=uptimes, changed=changed), identity)


def with_incidents(known: Known, identity: str, at: float, ongoing: int | None, recorded: int | None) -> Known:
    """Return the knowledge after a monitor's incidents."""
    told = Incidents(at, answered=True, ongoing=ongoing, recorded=recorded)
    incidents = _last(known.incidents, identity, told)
    urgent = _without(known.urgent, identity)
    return _settled(replace(known, incidents=incidents, urgent=urgent), identity)


def with_certificate(known: Known, where: str, certificate: Certificate) -> Known:
    """Return the knowledge after a probe of `where`, `host:port`."""
    seen = sight(known.sightings.get(where), certificate)
    return replace(known, unprobed=_without(known.unprobed, where), sightings=_last(known.sightings, where, seen))


def unsettled(known: Known, identity: str) -> tuple[bool, bool]:
    """Return whether the monitor's incidents, and its uptime, are still to be asked since it changed."""
    at = known.changed.get(identity)
    if at is None:
        return False, False
    return _older(known.incidents.get(identity), at), _older(known.uptimes.get(identity), at)


def _older(told: Uptime | Incidents | None, at: float) -> bool:
    return told is None or not told.answered or told.at < at


def _settled(known: Known, identity: str) -> Known:
    if identity not in known.changed or any(unsettled(known, identity)):
        return known
    return replace(known, changed=_without(known.changed, identity))


def _fell(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    return "24h" in before and "24h" in after and after["24h"] < before["24h"]


def _was(known: Known, monitor: Monitor) -> bool | None:
    before = known.monitors.get(monitor.id)
    return before.up if before else None


def _moved(before: Monitor | None, after: Monitor) -> bool:
    return before is not None and (before.status, before.active) != (after.status, after.active)


def _repeats(listing: Listing, page: Page) -> bool:
    return any(page.monitors[0].id == earlier[0].id for earlier in listing.pages)


def _short(listing: Listing, page: Page) -> bool:
    return page.total is not None and len({one.id for earlier in listing.pages for one in earlier}) < page.total


def _expected(listing: Listing, page: Page) -> int | None:
    """Return how many pages there are; None when only an empty or a repeated page will tell."""
    if page.last_page:
        return page.last_page
    if page.total is None:
        return None
    return -(-page.total // (page.per_page or len(listing.pages[0]) or _PER_PAGE))


def _whole(known: Known, listing: Listing, *, truncated: bool) -> Known:
    """Return the knowledge once the listing is whole: new monitors are found, vanished ones forgotten."""
    monitors = {one.id: one for page in listing.pages for one in page}
    places = {where: listing.at for one in monitors.values() if (where := place(one))}
    return replace(
        known,
        as_of=listing.at,
        truncated=truncated,
        pages=max(1, len(listing.pages)),
        listing=None,
        monitors=monitors,
        uptimes=_kept(known.uptimes, monitors, Uptime(listing.at)),
        incidents=_kept(known.incidents, monitors, Incidents(listing.at)),
        changed={identity: at for identity, at in known.changed.items() if identity in monitors},
        urgent={},
        troubled=tuple(one.id for one in monitors.values() if one.up is False or _open(known, one)),
        unprobed={where: known.unprobed.get(where, at) for where, at in places.items() if where not in known.sightings},
        sightings={where: seen for where, seen in known.sightings.items() if where in places},
    )


def _open(known: Known, monitor: Monitor) -> bool:
    told = known.incidents.get(monitor.id)
    return told is not None and bool(told.ongoing)


def _kept(known: Mapping[str, T], identities: Iterable[str], found: T) -> dict[str, T]:
    """Return `known` for `identities` alone, in its order, after those that it lacks."""
    new = {identity: found for identity in identities if identity not in known}
    present = set(identities)
    return {**new, **{identity: told for identity, told in known.items() if identity in present}}


def _last(known: Mapping[str, T], key: str, told: T) -> dict[str, T]:
    """Return `known` with `key` at its end."""
    after = dict(known)
    after.pop(key, None)
    after[key] = told
    return after


def _without(known: Mapping[str, T], key: str) -> dict[str, T]:
    return {other: told for other, told in known.items() if other != key}
