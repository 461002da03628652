"""The freshness of Vigilmon accounts within their budgets: simulated hours of the real collector, against the formulas.

The vendor of the simulation counts as the real one may: no minute of the clock and no 60 s hold more than its limit.
It tells of each monitor that it was checked just now, so the page itself says how old what it shows is.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from exporter.collectors.contract import Get, Request, Response
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.collectors.vigilmon.knowledge import Known
from exporter.collectors.vigilmon.rotation import round_every
from exporter.polling.target_state import Target
from tests.bench.account import PAGE, Checked, settings
from tests.bench.figures import Promise, Table
from tests.exporter.simulation import START, Run, simulate

LIMIT = 60
LONGEST = 7200.0
"""Seconds; a turn of the uptimes that is longer is not waited for."""
OUTAGES = 300.0
"""Seconds after which another monitor goes down, where monitors do."""


class Strict:
    """An account that answers 429 to whatever goes beyond its limit; with `outages` a monitor at a time is down."""

    def __init__(self, monitors: int, *, outages: bool = False) -> None:
        self._account = Checked(monitors)
        self._outages = outages
        self._window: deque[float] = deque()
        self._minutes: dict[int, int] = {}
        self.refused = 0

    def __call__(self, request: Request, now: float) -> Any:
        if isinstance(request, Get):
            if not self._allows(now):
                self.refused += 1
                return Response(now, 429, b"")
            self._account.down = {self.victim(now)} if self._outages else set()
        return self._account(request, now)

    def victim(self, now: float) -> int:
        """Return the monitor that is down at `now`: all over the list, in no order."""
        return 1 + int(now // OUTAGES) * 37 % self._account.count

    def _allows(self, now: float) -> bool:
        while self._window and self._window[0] <= now - 60:
            self._window.popleft()
        self._window.append(now)
        minute = int(now // 60)
        self._minutes[minute] = self._minutes.get(minute, 0) + 1
        return max(len(self._window), self._minutes[minute]) <= LIMIT


@dataclass
class Watch:
    """Looks at what a scrape would show, just before each answer changes it, from `since` on."""

    since: float
    oldest_status: float = 0.0
    uptimes: list[float] = field(default_factory=list)
    _shown: Known | None = None
    _checked: float = 0.0
    _next_look: float = 0.0

    def __call__(self, target: Target, now: float) -> None:
        if self._shown and now >= self.since:
            self.oldest_status = max(self.oldest_status, now - self._checked)
            if now >= self._next_look:
                self._next_look = now + 60
                ages = [now - one.at for one in self._shown.uptimes.values()]
                self.uptimes.append(sum(ages) / len(ages))
        known = target.knowledge
        if known.as_of is not None and (self._shown is None or known.monitors is not self._shown.monitors):
            self._checked = min(one.checked_at or 0.0 for one in known.monitors.values())
        self._shown = None if known.as_of is None else known


@dataclass(frozen=True, slots=True)
class Freshness:
    """The figures of an hour: seconds, except for counts."""

    requests: int
    refused: int
    oldest_status: float
    action: float
    """In which the budget can ask for every uptime once, beside as many rounds of statuses as there were."""
    mean_uptime: float | None
    """The mean age of the uptimes; None where no turn was waited for."""
    until_incidents: int
    """The most requests from the page that showed an outage to the incidents of that monitor; 0: no outage."""


def hour(chosen: Settings, monitors: int, hours: float = 1.0, *, outages: bool = False) -> Freshness:
    """Simulate a first turn of the uptimes, or half an hour of one that takes longer than two, then `hours`."""
    vendor = Strict(monitors, outages=outages)
    whole = 1.1 * action(chosen, monitors, 60 / round_every(chosen, ceil(monitors / PAGE))) + 120
    warm = whole if whole < LONGEST else 1800.0
    watch = Watch(START + warm)
    run = simulate(Collector(chosen), chosen, vendor, warm + 3600 * hours, observe=watch)
    asked = [(at, place(request)) for at, request in run.sent if isinstance(request, Get) and at >= START + warm]
    rounds = sum(what == ("/monitors", "1") for _, what in asked) / (60 * hours)
    return Freshness(
        requests=len(asked),
        refused=vendor.refused,
        oldest_status=watch.oldest_status,
        action=action(chosen, monitors, rounds),
        mean_uptime=sum(watch.uptimes) / len(watch.uptimes) if warm == whole else None,
        until_incidents=max(_until_incidents(vendor, asked, run)) if outages else 0,
    )


def action(chosen: Settings, monitors: int, rounds: float) -> float:
    """Return the seconds in which a budget can ask for every uptime once, beside so many rounds a minute."""
    left = chosen.requests_per_minute - ceil(monitors / PAGE) * rounds
    return max(chosen.uptime_interval, 60 * monitors / left)


def place(request: Get) -> tuple[str, str]:
    """Return the path of a request, and the page."""
    return request.path, dict(request.params).get("page", "1")


def _until_incidents(vendor: Strict, asked: Sequence[tuple[float, tuple[str, str]]], run: Run) -> list[int]:
    found, begins = [], (asked[0][0] // OUTAGES + 1) * OUTAGES
    while begins + OUTAGES < run.now:
        down = vendor.victim(begins)
        page, wanted = ("/monitors", str(ceil(down / PAGE))), (f"/monitors/{down}/incidents", "1")
        shown = next(n for n, (at, what) in enumerate(asked) if at >= begins and what == page)
        found.append(next(n for n, (_, what) in enumerate(asked[shown:]) if what == wanted))
        begins += OUTAGES
    return found


CASES: Mapping[str, tuple[int, dict[str, Any], bool]] = {
    "100 monitors": (100, {}, False),
    "500 monitors": (500, {}, False),
    "500 monitors, another one down every 5 minutes": (500, {}, True),
    "500 monitors, poll_interval 60s": (500, {"poll_interval": "60s"}, False),
    "2,000 monitors": (2_000, {"max_age": "10m"}, False),
    "10,000 monitors": (10_000, {"max_age": "1h"}, False),
}


def table(*, quick: bool = False) -> Table:
    """Simulate every case."""
    rows: dict[str, dict[str, float]] = {}
    found: dict[str, Freshness] = {}
    for name, (monitors, more, outages) in CASES.items():
        if quick and monitors != 100:
            continue
        found[name] = one = hour(
            settings(rate=55.0, certificates=False, **more), monitors, 1.0 if monitors == 500 else 0.5, outages=outages
        )
        rows[name] = {
            "requests": one.requests,
            "answered 429": one.refused,
            "oldest status ever shown": one.oldest_status,
            "a turn of the uptimes, by arithmetic": one.action,
        }
        if one.mean_uptime is not None:
            rows[name]["uptimes, mean age"] = one.mean_uptime
    notes = ["Seconds, but for the counts. Simulated; 55 requests a minute of a strict 60, each answered after 0.1 s."]
    return Table("freshness", "Freshness on one token", "s", rows, notes, [] if quick else _promised(found))


def _promised(found: Mapping[str, Freshness]) -> list[Promise]:
    calm, eventful = found["500 monitors"], found["500 monitors, another one down every 5 minutes"]
    allowed = ceil(500 / PAGE) * 60 / 55 + 5
    return [
        Promise("500 monitors: oldest status ever shown", calm.oldest_status, allowed, "s"),
        Promise("the same while monitors go down", eventful.oldest_status, allowed, "s"),
        Promise(
            "500 monitors: mean age of the uptimes times the arithmetic bound, half a turn",
            (calm.mean_uptime or 0.0) / (calm.action / 2),
            1.1,
        ),
        Promise("500 monitors: answers 429 in an hour", calm.refused + eventful.refused, 0, ""),
        Promise("a monitor goes down: requests until its incidents", eventful.until_incidents, 2, ""),
    ]
