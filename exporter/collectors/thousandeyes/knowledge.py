"""The knowledge of each account group, and how a page of its alerts changes it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.collectors.contract import MOST_ROWS
from exporter.collectors.parts import Part, any_behind, keeping_up

from .answers import Alert, AlertPage, Test
from .readings import Value

RULES, TESTS = "/alerts/rules", "/tests"
"""The endpoints of the names."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An unfinished listing of alerts: when it began, and the cursors followed, the last of them being next."""

    began: float
    cursors: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    told_at: float = 0.0
    """When its last page was requested."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The values of one response, as of `at`. `denied`: the token may not see them. `truncated`: some are missing."""

    at: float
    values: tuple[Value, ...] = ()
    denied: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Group(Part):
    """One account group, whose rounds are listings of its alerts. `types` holds every alert type seen."""

    as_of: float | None = None
    truncated: bool = False
    pages: int = 1
    """Of its last complete listing."""
    alerts: tuple[Alert, ...] = ()
    types: tuple[str, ...] = ()
    unfinished: dict[str, Listing] = field(default_factory=dict)
    """By the state of the alerts listed: `trigger` or `clear`."""
    rules_at: float | None = None
    rules: dict[str, str] = field(default_factory=dict)
    tests_at: float | None = None
    tests: dict[str, Test] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    """By kind, for results `kind/test id`."""
    emptied_at: float | None = None
    """When its alerts suddenly were all gone, until that is confirmed."""
    emptied: dict[str, float] = field(default_factory=dict)
    """When names or a reading suddenly became empty, by endpoint or as in `readings`, until that is confirmed."""

    def holds(self, key: str) -> bool:
        """Return whether there are names of an endpoint, or values of a reading."""
        if key in self.readings:
            return bool(self.readings[key].values)
        return bool({RULES: self.rules, TESTS: self.tests}.get(key))


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The knowledge of all account groups, by id."""

    groups: dict[str, Group] = field(default_factory=dict)

    @property
    def as_of(self) -> float | None:
        """The oldest of the last complete listings, without groups that have none or are left behind."""
        return min((each.as_of for each in keeping_up(self.groups).values() if each.as_of is not None), default=None)

    @property
    def round_at(self) -> float | None:
        """The same, once every group that is not left behind has a listing."""
        return None if any(each.as_of is None for each in keeping_up(self.groups).values()) else self.as_of

    @property
    def truncated(self) -> bool:
        """Whether alerts are missing: by `max_pages`, or of a group that is left behind."""
        groups = self.groups.values()
        is_cut = any(group.truncated or any(each.truncated for each in group.readings.values()) for group in groups)
        return is_cut or any_behind(self.groups)


def with_page(group: Group, params: Mapping[str, str], page: AlertPage, at: float, max_pages: int) -> Group:
    """Return the group after a page of alerts; a listing replaces the old one only when it is complete.

    `params` are those of the request: with the state `trigger` it lists the active alerts, with `clear` those that have
    ended. The first page, requested without a cursor, always begins a new listing.
    """
    state, cursor = params["state"], params.get("cursor")
    listing = Listing(at) if cursor is None else group.unfinished.get(state)
    if listing is None or (cursor is not None and listing.cursors[-1:] != (cursor,)):
        return group  # a page of an abandoned listing
    grown = replace(listing, told_at=at, alerts=(*listing.alerts, *page.alerts))
    goes_on = page.cursor is not None and page.cursor not in listing.cursors
    is_full = len(listing.cursors) + 1 >= max_pages or len(grown.alerts) >= MOST_ROWS
    if page.cursor is not None and goes_on and not is_full:
        following = replace(grown, cursors=(*listing.cursors, page.cursor))
        return replace(group, unfinished={**group.unfinished, state: following})
    group = replace(group, unfinished={other: each for other, each in group.unfinished.items() if other != state})
    # One that moved between pages counts once, as last listed.
    distinct = {alert.id or f"unnamed {place}": alert for place, alert in enumerate(grown.alerts)}
    alerts = tuple(alert for alert in distinct.values() if alert.active is (state == "trigger"))
    # A link back to a page already read means that the rest cannot be reached.
    truncated = page.cursor is not None or page.broken
    if state == "clear":
        counts = Counter((alert.type, alert.severity) for alert in alerts)
        values = tuple(("cleared_alerts", kind, float(count)) for kind, count in sorted(counts.items()))
        reading = Reading(grown.began, values, truncated=truncated)
        return with_reading(group, "cleared_alerts", reading)
    if group.alerts and not grown.alerts and group.emptied_at is None:
        # A listing that is suddenly empty must be confirmed: one bad response would end every alert.
        return replace(group, emptied_at=grown.began)
    return replace(
        group,
        as_of=grown.began,
        truncated=truncated,
        pages=len(grown.cursors) + 1,
        alerts=alerts,
        types=tuple(sorted({*group.types, *(alert.type for alert in alerts)})),
        emptied_at=None,
    )


def with_reading(group: Group, key: str, reading: Reading) -> Group:
    """Return the group after a reading."""
    return unless_emptied(group, replace(group, readings={**group.readings, key: reading}), key, reading.at)


def unless_emptied(before: Group, after: Group, key: str, at: float) -> Group:
    """Return `after`, but `before` if what `key` names is suddenly empty, until a second response confirms it."""
    emptied = {other: since for other, since in before.emptied.items() if other != key}
    if before.holds(key) and not after.holds(key) and key not in before.emptied:
        return replace(before, emptied={**emptied, key: at})
    return replace(after, emptied=emptied)
