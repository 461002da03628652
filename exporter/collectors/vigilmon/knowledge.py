"""What is known of one Vigilmon account, and what an answer about one monitor changes in it; the listing: rounds.py.

`uptimes` and `incidents` are kept in the order in which they were asked, the oldest first and those never asked
before all: the head of the dictionary is what comes next, however many monitors there are.
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
    """Percent by window, asked for at `at`. Not `answered`: `at` is when the monitor was found."""

    at: float
    answered: bool = False
    windows: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incidents:
    """Incidents of one monitor (see `History`), asked for at `at`. Not `answered`: `at` is when it was found."""

    at: float
    answered: bool = False
    ongoing: int | None = None
    recorded: int | None = None
    newest: Incident | None = None
    last_duration: float | None = None


Found = TypeVar("Found", Uptime, Incidents)


@dataclass(frozen=True, slots=True)
class Listing:
    """A round of the listing on its way. `at`: when its first page was asked for; `told_at`: its last one so far.

    `firsts` are the ids that its pages began with, `rows` how many monitors the first one held, `told` how many all of
    them, `urgent` how many monitors went down and had their incidents asked before the next page. `total`: what its
    first page said; `rereads`: how often it was begun again because a later one said something else.
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
    """All that is known. Times are epoch seconds; dictionaries are by monitor id unless they say otherwise.

    `as_of` is as of when the oldest status of `monitors` holds, None before the first whole round; `round_at` when the
    last whole round began. `seen` is when each status was asked for, the oldest first. `missing` are monitors that the
    last whole round ended without, at that time.
    `changed` holds when a monitor was seen to change until its incidents and uptime were asked since, `urgent` those
    whose incidents are tried once before the next page of the round. `troubled` are down or have ongoing incidents.
    `unprobed` and `sightings` are by `host:port`.
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
    """When no monitor was listed all of a sudden, until that is confirmed."""


def place(monitor: Monitor) -> str:
    """Return where the monitor's certificate is, `host:port`; "" when it has none."""
    return f"{monitor.host}:{monitor.port}" if monitor.host else ""


def with_uptime(known: Known, identity: str, at: float, windows: dict[str, float]) -> Known:
    """Return the knowledge after a monitor's uptime. A day's uptime that fell tells of an outage between two polls."""
    before, monitor = known.uptimes.get(identity), known.monitors.get(identity)
    changed = known.changed
    # A day that is not told on either side did not fall.
    if before and monitor and monitor.up and windows.get("24h", 100.0) < before.windows.get("24h", 0.0):
        changed = {**changed, identity: at}
    uptimes = _last(known.uptimes, identity, Uptime(at, answered=True, windows=windows))
    return _settled(replace(known, uptimes=uptimes, changed=changed), identity)


def with_incidents(known: Known, identity: str, at: float, history: History) -> Known:
    """Return the knowledge after a monitor's incidents."""
    told = Incidents(
        at,
        answered=True,
        ongoing=history.ongoing,
        recorded=history.recorded,
        newest=history.newest,
        last_duration=history.last_duration,
    )
    incidents = _last(known.incidents, identity, told)
    urgent = less(known.urgent, (identity,))
    return _settled(replace(known, incidents=incidents, urgent=urgent), identity)


def with_certificate(known: Known, where: str, certificate: Certificate) -> Known:
    """Return the knowledge after a probe of `where`, `host:port`."""
    seen = observe(known.observations.get(where), certificate)
    return replace(known, unprobed=less(known.unprobed, (where,)), observations=_last(known.observations, where, seen))


def unsettled(known: Known, identity: str) -> tuple[bool, bool]:
    """Return whether the monitor's incidents, and its uptime, are still to be asked since it changed."""
    at = known.changed.get(identity)
    if at is None:
        return False, False
    return _older(known.incidents.get(identity), at), _older(known.uptimes.get(identity), at)


def unasked(known: Known) -> list[tuple[str, float]]:
    """Return the missing monitors that were not asked for themselves since, with when they were missed."""
    return [(identity, at) for identity, at in known.missing.items() if _older(known.uptimes.get(identity), at)]


def _older(told: Uptime | Incidents | None, at: float) -> bool:
    return told is None or not told.answered or told.at < at


def _settled(known: Known, identity: str) -> Known:
    if identity not in known.changed or any(unsettled(known, identity)):
        return known
    return replace(known, changed=less(known.changed, (identity,)))


def _last(known: Mapping[str, T], key: str, told: T) -> dict[str, T]:
    """Return `known` with `key` at its end."""
    after = dict(known)
    after.pop(key, None)
    after[key] = told
    return after


def less(known: Mapping[str, T], keys: Iterable[str]) -> dict[str, T]:
    """Return `known` without `keys`."""
    after = dict(known)
    for key in keys:
        after.pop(key, None)
    return after
