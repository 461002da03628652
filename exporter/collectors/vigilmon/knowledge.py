"""The knowledge of one Vigilmon account, and how pages of the listing and responses about single monitors change it.

`uptimes` and `incidents` are in the order of their requests, the oldest first: the head of the dictionary is always
next, however many monitors there are.

A row takes effect as soon as it is read. Removing a monitor takes more, because rows shift between pages during a
round: a monitor absent from a round of several pages is requested singly, and dropped if the vendor answers that it
does not exist, or if it is absent from the next round too. In the first round, where nothing can be missed yet, pages
with differing totals are read again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TypeVar

from exporter.collectors.certificate_observations import CertificateObservation
from exporter.collectors.contract import MOST_ROWS

from .answers import History, Monitor, Page

URGENT_PER_PAGE = 2
URGENT_PER_ROUND = 4
"""Monitors that went down whose incidents may be requested during a round, delaying it."""
REREADS = 2
"""How often the first round is restarted because the list shifted; after that it counts as is, truncated."""
CONFIRMED_BY = 3600.0
"""Seconds after which what was suddenly gone has been confirmed, or is about a monitor that no longer exists."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Uptime:
    """Percent by window, requested at `at`."""

    at: float
    windows: dict[str, float]

    @property
    def is_empty(self) -> bool:
        """Whether it has no value."""
        return not self.windows


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing in progress. `at`: when its first page was requested; `told_at`: its latest one.

    `firsts`: the first id of each page; `rows`: the number of monitors on the first page, `told`: on all of them;
    `urgent`: monitors that went down, whose incidents are requested once before the next page. `total`: as on the
    first page; `rereads`: how often the listing was restarted because a later page gave another total.
    """

    at: float
    told_at: float
    firsts: tuple[str, ...] = ()
    rows: int = 0
    told: int = 0
    urgent: tuple[str, ...] = ()
    total: int | None = None
    rereads: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """The knowledge of one account. Times are epoch seconds; dictionaries are by monitor id unless noted.

    `round_at`: when the last complete round began. `seen`: when each status was requested, the oldest first.
    `missing`: monitors absent from the last complete round, with its time.
    `changed`: when a monitor was seen to change, at least until its incidents and uptime have been requested since.
    `troubled`: monitors that are down or have ongoing incidents. `observations` are by `host:port`.
    """

    round_at: float | None = None
    truncated: bool = False
    pages: int = 1
    listing: Listing | None = None
    monitors: dict[str, Monitor] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    uptimes: dict[str, Uptime] = field(default_factory=dict)
    incidents: dict[str, History] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    troubled: tuple[str, ...] = ()
    observations: dict[str, CertificateObservation] = field(default_factory=dict)
    emptied_at: float | None = None
    """When the listing suddenly became empty, until that is confirmed."""
    emptied: dict[str, float] = field(default_factory=dict)
    """When the uptime or the incidents of a monitor suddenly were gone, by path, until that is confirmed."""
    since: float | None = None
    """When the round before this one began, complete or not: older statuses are of pages that keep failing."""

    @property
    def as_of(self) -> float | None:
        """Time as of which the oldest status is valid, without those of pages that keep failing.

        None in the first round: half a list looks like a whole one.
        """
        since = self.round_at if self.since is None else self.since
        return None if since is None else next((at for at in self.seen.values() if at >= since), self.round_at)


def with_answer(known: Known, identity: str, path: str, answer: Uptime | History) -> Known:
    """Return the knowledge after a monitor's uptime or incidents, requested at `path`.

    What is suddenly gone must be confirmed: one bad response would end the incidents of a monitor that is down.
    """
    before: Uptime | History | None = (known.uptimes if isinstance(answer, Uptime) else known.incidents).get(identity)
    if before and not before.is_empty and answer.is_empty and path not in known.emptied:
        return replace(known, emptied={**known.emptied, path: answer.at})
    known = replace(known, emptied=less(known.emptied, (path,)))
    if isinstance(answer, Uptime):
        return with_uptime(known, identity, answer.at, answer.windows)
    return replace(known, incidents={**less(known.incidents, (identity,)), identity: answer})


def with_uptime(known: Known, identity: str, at: float, windows: dict[str, float]) -> Known:
    """Return the knowledge after a monitor's uptime. A fall of the day's uptime reveals an outage between two polls."""
    before, monitor = known.uptimes.get(identity), known.monitors.get(identity)
    changed, uptimes = known.changed, {**less(known.uptimes, (identity,)), identity: Uptime(at, windows)}
    # If either value is missing, it did not fall.
    if before and monitor and monitor.up and windows.get("24h", 100.0) < before.windows.get("24h", 0.0):
        changed = {**changed, identity: at}
    return replace(known, uptimes=uptimes, changed=changed)


def unsettled(known: Known, identity: str) -> tuple[bool, bool]:
    """Return whether the monitor's incidents, and its uptime, are yet to be requested since it changed."""
    at = known.changed.get(identity)
    if at is None:
        return False, False
    incidents, uptime = known.incidents.get(identity), known.uptimes.get(identity)
    return incidents is None or incidents.at < at, uptime is None or uptime.at < at


def unasked(known: Known) -> list[tuple[str, float]]:
    """Return the missing monitors that have not been requested singly since, with the time they went missing."""
    asked = {one for one, at in known.missing.items() if (uptime := known.uptimes.get(one)) and uptime.at >= at}
    return [(identity, at) for identity, at in known.missing.items() if identity not in asked]


def less(known: Mapping[str, T], keys: Iterable[str]) -> dict[str, T]:
    """Return `known` without `keys`."""
    after = dict(known)
    for key in keys:
        after.pop(key, None)
    return after


def with_page(known: Known, number: int, at: float, page: Page, most: int) -> Known:
    """Return the knowledge after page `number` (from 1) of the listing, of at most `most` pages."""
    if number == 1 and not page.monitors and known.monitors and known.emptied_at is None:
        # A listing that is suddenly empty must be confirmed: one bad response would end every alert.
        return replace(known, emptied_at=at, listing=None)
    begun = _begun(known, at, page) if number == 1 else known
    listing = begun.listing
    if listing is None or number != len(listing.firsts) + 1:
        return known  # a page of an abandoned round
    # A removed monitor moves every later one up by a row, so that one slips between two pages unnoticed.
    shifted = known.round_at is None and None not in {listing.total, page.total} and listing.total != page.total
    if shifted and listing.rereads < REREADS:
        return replace(known, listing=Listing(at, at, rereads=listing.rereads + 1))
    read, listing = _read(begun, listing, at, page)
    is_last = read is begun or _is_last(listing, page)
    if not is_last and number < most and listing.told < MOST_ROWS:
        return read
    listed = sum(seen >= listing.at for seen in read.seen.values())
    short = page.total is not None and listed < page.total
    # Also if the vendor names a next page that our page parameter does not reach.
    truncated = shifted or short or page.goes_on or not is_last
    # A round of one page cannot have missed a monitor, unless that page lacks those it counts.
    sure = known.round_at is None or (number == 1 and not (short and not page.monitors))
    # A monitor that is listed twice, as without a stable order, takes the place of another.
    return _ended(read, listing, sure=sure, hiding=listed < listing.told, truncated=truncated)


def without(known: Known, identities: Iterable[str]) -> Known:
    """Return the knowledge without monitors that are gone."""
    gone = frozenset(identities)
    if not gone:
        return known
    return replace(
        known,
        monitors=less(known.monitors, gone),
        seen=less(known.seen, gone),
        missing=less(known.missing, gone),
        uptimes=less(known.uptimes, gone),
        incidents=less(known.incidents, gone),
        changed=less(known.changed, gone),
        troubled=tuple(identity for identity in known.troubled if identity not in gone),
    )


def _begun(known: Known, at: float, page: Page) -> Known:
    """Return the knowledge at the beginning of a round, whose first page is `page`."""
    before, since, truncated, rereads = known.listing, known.round_at, known.truncated, 0
    if before and before.firsts:
        # A page kept failing, so that the last round was not read to its end: the others are still good.
        since, truncated = before.at, True
    elif before:
        rereads = before.rereads
    listing = Listing(at, at, total=page.total, rereads=rereads)
    return replace(known, emptied_at=None, since=since, truncated=truncated, listing=listing)


def _read(known: Known, listing: Listing, at: float, page: Page) -> tuple[Known, Listing]:
    """Return the knowledge with the rows of `page` applied, and the listing with the page.

    Both are unchanged after an empty or repeated page: the list has no further one.
    """
    if not page.monitors or page.monitors[0].id in listing.firsts:
        return known, listing
    rows, fallen, moved = {}, [], []
    for one in page.monitors:
        before = known.monitors.get(one.id)
        rows[one.id] = replace(one, found=before.found if before else at)
        if one.up is False and (before is None or before.up is not False):
            fallen.append(one.id)
        if before is not None and (before.status, before.active) != (one.status, one.active):
            moved.append(one.id)
    listing = replace(
        listing,
        told_at=at,
        firsts=(*listing.firsts, page.monitors[0].id),
        rows=listing.rows or len(page.monitors),
        told=listing.told + len(page.monitors),
        urgent=(*listing.urgent, *fallen[:URGENT_PER_PAGE])[:URGENT_PER_ROUND],
    )
    known = replace(
        known,
        listing=listing,
        monitors={**known.monitors, **rows},
        seen={**less(known.seen, rows), **dict.fromkeys(rows, at)},
        missing=less(known.missing, rows),
        changed={**known.changed, **dict.fromkeys([*moved, *fallen], at)},
    )
    return known, listing


def _ended(known: Known, listing: Listing, *, sure: bool, hiding: bool, truncated: bool) -> Known:
    """Return the knowledge at the end of a round. `sure`: what it does not list is gone; `hiding`: some may not be."""
    unlisted = [identity for identity, _ in takewhile(lambda item: item[1] < listing.at, known.seen.items())]
    again = () if hiding else known.missing
    known = without(known, unlisted if sure else (one for one in unlisted if one in again))
    ongoing = {identity for identity, each in known.incidents.items() if each.ongoing}
    places = {one.place for one in known.monitors.values()}
    return replace(
        known,
        round_at=listing.at,
        truncated=truncated,
        pages=max(1, len(listing.firsts)),
        listing=None,
        missing={one: listing.told_at for one in unlisted if one in known.monitors},
        changed={one: at for one, at in known.changed.items() if any(unsettled(known, one))},
        troubled=tuple(one for one, each in known.monitors.items() if each.up is False or one in ongoing),
        observations={where: each for where, each in known.observations.items() if where in places},
        emptied={path: at for path, at in known.emptied.items() if at > listing.at - CONFIRMED_BY},
    )


def _is_last(listing: Listing, page: Page) -> bool:
    """Return whether `page`, just read, ends the list: a full page whose total differs from the rows read does not."""
    pages = page.last_page
    if not pages:
        if page.total is None:
            return False  # only an empty or repeated page shows the end
        pages = -(-page.total // (page.per_page or listing.rows))
    contradicted = page.total not in {None, listing.told} and len(page.monitors) >= listing.rows
    return len(listing.firsts) >= pages and not contradicted
