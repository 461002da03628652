"""The knowledge of each account group, and how a page of its alerts changes it.

A group that the others are several listings ahead of is failing: it is left behind, so that the age of the target is
that of the groups that do answer.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from exporter.collectors.contract import MOST_ROWS

from .answers import Alert, AlertPage, Test
from .readings import Value

ROUNDS_BEHIND = 2
"""A group this many listings behind must be failing, because the longest overdue one is read first."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of alerts: when it began, and the cursors followed, the last of them being next.

    `whole`: no further page is requested; `truncated`: pages are missing.
    """

    began: float
    cursors: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    whole: bool = False
    truncated: bool = False

    def distinct(self) -> tuple[Alert, ...]:
        """Return its alerts; one that moved between pages counts once, as last listed."""
        return tuple({alert.id or f"unnamed {place}": alert for place, alert in enumerate(self.alerts)}.values())


@dataclass(frozen=True, slots=True)
class Reading:
    """The values read by one request, as of `at`. `denied`: the token may not see them."""

    at: float
    values: tuple[Value, ...] = ()
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One account group. `types` holds every alert type seen; lookups are by id.

    `rounds`: the number of its complete listings. `emptied_at`: when its alerts suddenly were all gone, until that is
    confirmed.
    """

    as_of: float | None = None
    truncated: bool = False
    pages: int = 1
    """Of its last complete listing."""
    alerts: tuple[Alert, ...] = ()
    types: tuple[str, ...] = ()
    unfinished: Listing | None = None
    rules_at: float | None = None
    rules: dict[str, str] = field(default_factory=dict)
    tests_at: float | None = None
    tests: dict[str, Test] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    """By kind, for results `kind/test id`."""
    cleared: Listing | None = None
    """The unfinished listing of cleared alerts."""
    rounds: int = 0
    emptied_at: float | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The knowledge of all account groups, by id."""

    groups: dict[str, Group] = field(default_factory=dict)

    @property
    def as_of(self) -> float | None:
        """The oldest of the groups' last complete listings, without groups that have none or are left behind."""
        return min(self._listings(), default=None)

    @property
    def round_at(self) -> float | None:
        """The same, once every group that is not left behind has a listing."""
        wanted = sum(not self.is_behind(aid) for aid in self.groups)
        return self.as_of if len(self._listings()) == wanted else None

    def _listings(self) -> list[float]:
        return [
            group.as_of for aid, group in self.groups.items() if group.as_of is not None and not self.is_behind(aid)
        ]

    def is_behind(self, aid: str) -> bool:
        """Return whether the other groups went on without this one, which happens only while it fails."""
        return self.rounds() - self.groups[aid].rounds >= ROUNDS_BEHIND

    def rounds(self) -> int:
        """Return the number of complete listings of the group that is furthest ahead."""
        return max((group.rounds for group in self.groups.values()), default=0)

    def with_group(self, aid: str, group: Group) -> "Knowledge":
        """Return the knowledge with one group changed; a complete listing brings it level with the others."""
        before = self.groups[aid]
        if group.as_of != before.as_of:
            group = replace(group, rounds=max(before.rounds + 1, self.rounds()))
        return Knowledge({**self.groups, aid: group})

    @property
    def truncated(self) -> bool:
        """Whether a listing had more pages than `max_pages`."""
        return any(group.truncated for group in self.groups.values())


def grown(listing: Listing | None, page: AlertPage, *, at: float, cursor: str | None, max_pages: int) -> Listing | None:
    """Return a listing with one more page; None if the page belongs to an abandoned listing.

    The first page, requested without a cursor, always begins a new listing.
    """
    if cursor is None:
        listing = Listing(at)
    elif listing is None or listing.cursors[-1:] != (cursor,):
        return None
    grown = replace(listing, alerts=(*listing.alerts, *page.alerts))
    goes_on = page.cursor is not None and page.cursor not in listing.cursors
    is_full = len(listing.cursors) + 1 >= max_pages or len(grown.alerts) >= MOST_ROWS
    if page.cursor is not None and goes_on and not is_full:
        return replace(grown, cursors=(*listing.cursors, page.cursor))
    # A link back to a page already read means that the rest cannot be reached.
    return replace(grown, whole=True, truncated=page.cursor is not None or page.broken)


def with_page(group: Group, page: AlertPage, *, at: float, cursor: str | None, max_pages: int) -> Group:
    """Return the group after a page of alerts; the listing replaces the old one only when it is complete."""
    listing = grown(group.unfinished, page, at=at, cursor=cursor, max_pages=max_pages)
    if listing is None:
        return group
    if not listing.whole:
        return replace(group, unfinished=listing)
    if group.alerts and not listing.alerts and group.emptied_at is None:
        # A listing that is suddenly empty must be confirmed: one bad response would end every alert.
        return replace(group, emptied_at=listing.began, unfinished=None)
    alerts = tuple(alert for alert in listing.distinct() if alert.active)
    types = tuple(sorted({*group.types, *(alert.type for alert in alerts)}))
    return replace(
        group,
        as_of=listing.began,
        truncated=listing.truncated,
        pages=len(listing.cursors) + 1,
        alerts=alerts,
        types=types,
        unfinished=None,
        emptied_at=None,
    )


def with_cleared_page(group: Group, page: AlertPage, *, at: float, cursor: str | None, max_pages: int) -> Group:
    """Return the group after a page of cleared alerts, which are counted once the listing is complete."""
    listing = grown(group.cleared, page, at=at, cursor=cursor, max_pages=max_pages)
    if listing is None:
        return group
    if not listing.whole:
        return replace(group, cleared=listing)
    counts = Counter((alert.type, alert.severity) for alert in listing.distinct() if not alert.active)
    values = tuple(("cleared_alerts", kind, float(count)) for kind, count in sorted(counts.items()))
    readings = {**group.readings, "cleared_alerts": Reading(listing.began, values)}
    return replace(group, cleared=None, readings=readings)
