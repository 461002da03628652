"""The knowledge of one Vigilmon account, and how responses about single monitors change it; for the listing: rounds.py.

`uptimes` and `incidents` are in the order of their requests, never requested ones first, then the oldest: the head of
the dictionary is always next, however many monitors there are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from exporter.collectors.certificate_observations import CertificateObservation, observe
from exporter.collectors.contract import Certificate

from .answers import History, Incident, Monitor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Uptime:
    """Percent by window, requested at `at`. Not `answered`: `at` is when the monitor was found."""

    at: float
    answered: bool = False
    windows: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incidents:
    """Incidents of one monitor (see `History`), requested at `at`. Not `answered`: `at` is when it was found."""

    at: float
    answered: bool = False
    ongoing: int | None = None
    recorded: int | None = None
    newest: Incident | None = None
    last_duration: float | None = None


Found = TypeVar("Found", Uptime, Incidents)


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing in progress. `at`: when its first page was requested; `told_at`: its latest one.

    `firsts`: the first id of each page; `rows`: the number of monitors on the first page, `told`: on all of them;
    `urgent`: monitors that went down, whose incidents were requested before the next page. `total`: as on the first
    page; `rereads`: how often the listing was restarted because a later page gave another total.
    """

    at: float
    told_at: float
    firsts: tuple[str, ...] = ()
    rows: int = 0
    told: int = 0
    urgent: int = 0
    total: int | None = None
    rereads: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """The knowledge of one account. Times are epoch seconds; dictionaries are by monitor id unless noted.

    `as_of`: time as of which the oldest status of `monitors` is valid, None before the first complete round;
    `round_at`: when the last complete round began. `seen`: when each status was requested, the oldest first.
    `missing`: monitors absent from the last complete round, with its time.
    `changed`: when a monitor was seen to change, until its incidents and uptime have been requested since; `urgent`:
    monitors whose incidents are requested once before the next page. `troubled`: monitors that are down or have ongoing
    incidents. `unprobed` and `observations` are by `host:port`.
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
    incidents: dict[str, Incidents] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    urgent: dict[str, float] = field(default_factory=dict)
    troubled: tuple[str, ...] = ()
    unprobed: dict[str, float] = field(default_factory=dict)
    observations: dict[str, CertificateObservation] = field(default_factory=dict)
    emptied_at: float | None = None
    """When the listing suddenly became empty, until that is confirmed."""


def place(monitor: Monitor) -> str:
    """Return the `host:port` of the monitor's certificate; "" if it has none."""
    return f"{monitor.host}:{monitor.port}" if monitor.host else ""


def with_uptime(known: Known, identity: str, at: float, windows: dict[str, float]) -> Known:
    """Return the knowledge after a monitor's uptime. A fall of the day's uptime reveals an outage between two polls."""
    before, monitor = known.uptimes.get(identity), known.monitors.get(identity)
    changed = known.changed
    # If either value is missing, it did not fall.
    if before and monitor and monitor.up and windows.get("24h", 100.0) < before.windows.get("24h", 0.0):
        changed = {**changed, identity: at}
    uptimes = _last(known.uptimes, identity, Uptime(at, answered=True, windows=windows))
    return _settled(replace(known, uptimes=uptimes, changed=changed), identity)


def with_incidents(known: Known, identity: str, at: float, history: History) -> Known:
    """Return the knowledge after a monitor's incidents."""
    found = Incidents(
        at,
        answered=True,
        ongoing=history.ongoing,
        recorded=history.recorded,
        newest=history.newest,
        last_duration=history.last_duration,
    )
    incidents = _last(known.incidents, identity, found)
    urgent = less(known.urgent, (identity,))
    return _settled(replace(known, incidents=incidents, urgent=urgent), identity)


def with_certificate(known: Known, where: str, certificate: Certificate) -> Known:
    """Return the knowledge after a probe of `where`, `host:port`."""
    seen = observe(known.observations.get(where), certificate)
    return replace(known, unprobed=less(known.unprobed, (where,)), observations=_last(known.observations, where, seen))


def unsettled(known: Known, identity: str) -> tuple[bool, bool]:
    """Return whether the monitor's incidents, and its uptime, are yet to be requested since it changed."""
    at = known.changed.get(identity)
    if at is None:
        return False, False
    return _older(known.incidents.get(identity), at), _older(known.uptimes.get(identity), at)


def unasked(known: Known) -> list[tuple[str, float]]:
    """Return the missing monitors that have not been requested singly since, with the time they went missing."""
    return [(identity, at) for identity, at in known.missing.items() if _older(known.uptimes.get(identity), at)]


def _older(found: Uptime | Incidents | None, at: float) -> bool:
    return found is None or not found.answered or found.at < at


def _settled(known: Known, identity: str) -> Known:
    if identity not in known.changed or any(unsettled(known, identity)):
        return known
    return replace(known, changed=less(known.changed, (identity,)))


def _last(known: Mapping[str, T], key: str, value: T) -> dict[str, T]:
    """Return `known` with `key` moved to its end."""
    after = dict(known)
    after.pop(key, None)
    after[key] = value
    return after


def less(known: Mapping[str, T], keys: Iterable[str]) -> dict[str, T]:
    """Return `known` without `keys`."""
    after = dict(known)
    for key in keys:
        after.pop(key, None)
    return after
