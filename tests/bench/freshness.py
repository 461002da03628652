"""How fresh a Vigilmon account is kept by its budget: simulated hours of the real collector, against the arithmetic.

The vendor of the simulation counts as the real one may: no minute of the clock and no 60 s hold more than its limit.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from exporter.collector import Answer, Ask, Get
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.collectors.vigilmon.rotation import rotation, round_every
from exporter.target import Target
from tests.bench.account import PAGE, Account, settings
from tests.bench.figures import Promise, Table
from tests.exporter.simulation import START, Run, simulate

LIMIT = 60
LONGEST = 7200.0
"""Seconds; a rotation that is longer is not waited for."""
_STEP = 5.0


class Strict:
    """An account that answers 429 to whatever goes beyond its limit."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._window: deque[float] = deque()
        self._minutes: dict[int, int] = {}
        self.refused = 0

    def __call__(self, ask: Ask, now: float) -> Any:
        if isinstance(ask, Get):
            while self._window and self._window[0] <= now - 60:
                self._window.popleft()
            self._window.append(now)
            minute = int(now // 60)
            self._minutes[minute] = self._minutes.get(minute, 0) + 1
            if max(len(self._window), self._minutes[minute]) > LIMIT:
                self.refused += 1
                return Answer(now, 429, b"")
        return self._account(ask, now)


@dataclass
class Watch:
    """Looks at the target every few seconds of simulated time, once the first rotation is over."""

    since: float
    ages: list[float] = field(default_factory=list)
    uptimes: list[float] = field(default_factory=list)
    next_look: float = 0.0

    def __call__(self, target: Target[Any], now: float) -> None:
        known = target.knowledge
        if now < max(self.since, self.next_look) or known.as_of is None:
            return
        self.next_look = now + _STEP
        self.ages.append(now - known.as_of)
        if int(now / _STEP) % 12 == 0:
            told = [now - one.at for one in known.uptimes.values()]
            self.uptimes.append(sum(told) / len(told))


@dataclass(frozen=True, slots=True)
class Freshness:
    """What an hour was like. Seconds, but for counts."""

    requests: int
    refused: int
    asked_every: float
    """The longest time between two askings for the same page of statuses."""
    at_round_end: float
    oldest_status: float
    mean_uptime: float | None
    uptime_bound: float


def bound(chosen: Settings, monitors: int) -> float:
    """Return the seconds in which a budget can ask for every uptime once, beside the rounds of statuses."""
    pages = ceil(monitors / PAGE)
    left = chosen.requests_per_minute - pages * 60 / round_every(chosen, pages)
    return max(chosen.uptime_interval, 60 * monitors / left)


def hour(chosen: Settings, monitors: int, hours: float = 1.0) -> Freshness:
    """Simulate a first rotation, or half an hour of one that takes longer than two, then `hours`."""
    vendor = Strict(Account(monitors))
    whole = 1.3 * bound(chosen, monitors) + 120
    warm = whole if whole < LONGEST else 1800.0
    watch = Watch(START + warm)
    run = simulate(Collector(chosen), chosen, vendor, warm + 3600 * hours, observe=watch)
    pages = rounds(run, START + warm)
    return Freshness(
        requests=sum(isinstance(ask, Get) and at >= START + warm for at, ask in run.sent),
        refused=vendor.refused,
        asked_every=max(_gaps(pages)),
        at_round_end=max(_spans(pages, ceil(monitors / PAGE))),
        oldest_status=max(watch.ages),
        mean_uptime=sum(watch.uptimes) / len(watch.uptimes) if warm == whole else None,
        uptime_bound=rotation(chosen, run.target.knowledge),
    )


def rounds(run: Run, since: float) -> list[tuple[float, int]]:
    """Return when each page of statuses was asked for."""
    return [
        (at, int(dict(ask.params).get("page", "1")))
        for at, ask in run.sent
        if isinstance(ask, Get) and ask.path == "/monitors" and at >= since
    ]


def _gaps(pages: Sequence[tuple[float, int]]) -> list[float]:
    last: dict[int, float] = {}
    gaps = []
    for at, number in pages:
        if number in last:
            gaps.append(at - last[number])
        last[number] = at
    return gaps


def _spans(pages: Sequence[tuple[float, int]], count: int) -> list[float]:
    begins, spans = None, []
    for at, number in pages:
        begins = at if number == 1 else begins
        if number == count and begins is not None:
            spans.append(at - begins)
    return spans


def until_incidents(chosen: Settings, monitors: int) -> int:
    """Return how many requests after the page that tells of it the incidents of a monitor that went down are asked."""
    account = Account(monitors)
    run = simulate(Collector(chosen), chosen, Strict(account), 600)
    account.down.add(monitors // 2)
    before = len(run.sent)
    run = simulate(Collector(chosen), chosen, Strict(account), 180, resume=run)
    paths = [(ask.path, dict(ask.params).get("page", "1")) for _, ask in run.sent[before:] if isinstance(ask, Get)]
    page = str(-(-(monitors // 2) // PAGE))
    seen = next(place for place, (path, number) in enumerate(paths) if path == "/monitors" and number == page)
    return paths.index((f"/monitors/{monitors // 2}/incidents", "1"), seen) - seen


CASES: Mapping[str, tuple[int, dict[str, Any]]] = {
    "100 monitors": (100, {"rate": 55.0}),
    "500 monitors": (500, {"rate": 55.0}),
    "500 monitors, poll_interval 30s": (500, {"rate": 55.0, "poll_interval": "30s"}),
    "500 monitors, poll_interval 30s, status_share 0.9": (
        500,
        {"rate": 55.0, "poll_interval": "30s", "status_share": 0.9},
    ),
    "2,000 monitors": (2_000, {"rate": 55.0, "max_age": "10m"}),
    "10,000 monitors": (10_000, {"rate": 55.0, "max_age": "1h"}),
}


def tables(*, quick: bool = False) -> list[Table]:
    """Simulate every case."""
    rows: dict[str, dict[str, float]] = {}
    found: dict[str, Freshness] = {}
    for name, (monitors, more) in CASES.items():
        if quick and monitors != 100:
            continue
        found[name] = one = hour(settings(**more), monitors, 1.0 if monitors == 500 else 0.5)
        rows[name] = {
            "requests": one.requests,
            "answered 429": one.refused,
            "a status is asked every": one.asked_every,
            "oldest status as a round ends": one.at_round_end,
            "oldest status ever shown": one.oldest_status,
            "uptimes, arithmetic bound": one.uptime_bound,
        }
        if one.mean_uptime is not None:
            rows[name]["uptimes, mean age"] = one.mean_uptime
    notes = ["Seconds, but for the counts. Simulated; 55 requests a minute of a strict 60."]
    return [Table("freshness", "Freshness on one token", "s", rows, notes, [] if quick else _promised(found))]


def _promised(found: Mapping[str, Freshness]) -> list[Promise]:
    usual, strict = found["500 monitors"], found["500 monitors, poll_interval 30s, status_share 0.9"]
    allowed = ceil(500 / PAGE) * 60 / 55 + 5
    told = until_incidents(settings(rate=55.0), 500)
    return [
        Promise("500 monitors: oldest status as a round ends", usual.at_round_end, allowed, "s"),
        Promise(
            "500 monitors, poll_interval 30s, status_share 0.9: a status is asked every",
            strict.asked_every,
            allowed,
            "s",
        ),
        Promise("500 monitors: oldest status ever shown", usual.oldest_status, allowed, "s"),
        Promise(
            "500 monitors: mean age of the uptimes times the arithmetic bound",
            (usual.mean_uptime or 0.0) / usual.uptime_bound,
            1.1,
        ),
        Promise("500 monitors: answers 429 in an hour", usual.refused, 0, ""),
        Promise("a monitor goes down: requests until its incidents", told, 2, ""),
    ]
