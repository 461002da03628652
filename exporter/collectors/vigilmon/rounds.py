"""How a page of the listing, and the end of a round, change the knowledge.

A row takes effect as soon as it is read. Removing a monitor takes more, because rows shift between pages during a
round: a monitor absent from a round of several pages is requested singly, and dropped if the vendor answers that it
does not exist, or if it is absent from the next round too. In the first round, where nothing can be missed yet, pages
with differing totals are read again.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import takewhile

from exporter.collectors.contract import MOST_ROWS

from .answers import Page
from .knowledge import Known, Listing, less, unsettled

URGENT_PER_PAGE = 2
URGENT_PER_ROUND = 4
"""Monitors that went down whose incidents may be requested during a round, delaying it."""
REREADS = 2
"""How often the first round is restarted because the list shifted; after that it counts as is, truncated."""


def with_page(known: Known, number: int, at: float, page: Page, most: int) -> Known:
    """Return the knowledge after page `number` (from 1) of the listing, of at most `most` pages."""
    if number == 1 and not page.monitors and known.monitors and known.emptied_at is None:
        # A listing that is suddenly empty must be confirmed: one bad response would end every alert.
        return replace(known, emptied_at=at, listing=None)
    if known.emptied_at is not None:
        known = replace(known, emptied_at=None)
    before = known.listing
    rereads = before.rereads if before and not before.firsts else 0
    listing = Listing(at, at, total=page.total, rereads=rereads) if number == 1 else before
    if listing is None or number != len(listing.firsts) + 1:
        return known
    # A removed monitor moves every later one up by a row, so that one slips between two pages unnoticed.
    shifted = known.round_at is None and None not in {listing.total, page.total} and listing.total != page.total
    if shifted and listing.rereads < REREADS:
        return replace(known, listing=Listing(at, at, rereads=listing.rereads + 1))
    is_new = bool(page.monitors) and page.monitors[0].id not in listing.firsts
    if is_new:
        known, listing = _read(known, listing, at, page)
    ended = not is_new or _is_last(listing, page)
    if not ended and number < most and listing.told < MOST_ROWS:
        return known
    short = page.total is not None and listing.told < page.total
    # Also if the vendor names a next page that our page parameter does not reach.
    truncated = shifted or short or page.goes_on or not ended
    return _whole(known, listing, alone=number == 1 and (is_new or not short), truncated=truncated)


def without(known: Known, identities: Iterable[str]) -> Known:
    """Return the knowledge without monitors that are gone."""
    gone = frozenset(identities)
    if not gone:
        return known
    seen = less(known.seen, gone)
    return replace(
        known,
        as_of=None if known.as_of is None else next(iter(seen.values()), known.as_of),
        monitors=less(known.monitors, gone),
        seen=seen,
        missing=less(known.missing, gone),
        uptimes=less(known.uptimes, gone),
        incidents=less(known.incidents, gone),
        changed=less(known.changed, gone),
        troubled=tuple(identity for identity in known.troubled if identity not in gone),
    )


def _read(known: Known, listing: Listing, at: float, page: Page) -> tuple[Known, Listing]:
    """Return the knowledge with the rows of `page` applied, and the listing with the page."""
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
    seen = {**less(known.seen, rows), **dict.fromkeys(rows, at)}
    known = replace(
        known,
        # None in the first round: half a list looks like a whole one.
        as_of=None if known.as_of is None else next(iter(seen.values())),
        listing=listing,
        monitors={**known.monitors, **rows},
        seen=seen,
        missing=less(known.missing, rows),
        changed={**known.changed, **dict.fromkeys([*moved, *fallen], at)},
    )
    return known, listing


def _whole(known: Known, listing: Listing, *, alone: bool, truncated: bool) -> Known:
    """Return the knowledge at the end of a round. A round of one page, read `alone`, cannot have missed a monitor."""
    unlisted = [identity for identity, _ in takewhile(lambda item: item[1] < listing.at, known.seen.items())]
    sure = alone or known.round_at is None
    known = without(known, unlisted if sure else (one for one in unlisted if one in known.missing))
    ongoing = {identity for identity, each in known.incidents.items() if each.ongoing}
    places = {one.place for one in known.monitors.values()}
    known = replace(
        known,
        round_at=listing.at,
        truncated=truncated,
        pages=max(1, len(listing.firsts)),
        listing=None,
        missing={one: listing.told_at for one in unlisted if one in known.monitors},
        changed={one: at for one, at in known.changed.items() if any(unsettled(known, one))},
        troubled=tuple(one for one, each in known.monitors.items() if each.up is False or one in ongoing),
        observations={where: each for where, each in known.observations.items() if where in places},
    )
    return replace(known, as_of=next(iter(known.seen.values()), listing.at))


def _is_last(listing: Listing, page: Page) -> bool:
    """Return whether `page`, just read, ends the list: a full page whose total differs from the rows read does not."""
    pages = page.last_page
    if not pages:
        if page.total is None:
            return False  # only an empty or repeated page shows the end
        pages = -(-page.total // (page.per_page or listing.rows))
    contradicted = page.total not in {None, listing.told} and len(page.monitors) >= listing.rows
    return len(listing.firsts) >= pages and not contradicted
