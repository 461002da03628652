"""The knowledge of one Vigilmon account, and how responses about single monitors change it; for the listing: rounds.py.

`uptimes` and `incidents` are in the order of their requests, the oldest first: the head of the dictionary is always
next, however many monitors there are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from exporter.collectors.certificate_observations import CertificateObservation

from .answers import History, Monitor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Uptime:
    """Percent by window, requested at `at`."""

    at: float
    windows: dict[str, float]


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

    `as_of`: time as of which the oldest status of `monitors` is valid, None before the first complete round;
    `round_at`: when the last complete round began. `seen`: when each status was requested, the oldest first.
    `missing`: monitors absent from the last complete round, with its time.
    `changed`: when a monitor was seen to change, at least until its incidents and uptime have been requested since.
    `troubled`: monitors that are down or have ongoing incidents. `observations` are by `host:port`.
    """

    as_of: float | None = None
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
