"""Many Vigilmon accounts in one exporter: what stands behind the rows of deploy/SCALING.md.

The real collector for each account, side by side in simulated time; each token has a strict limit of its own, or two
programs share one.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from exporter.collectors.contract import Get
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.collectors.vigilmon.rotation import round_every
from exporter.polling.rate_budget import Budget
from exporter.polling.target_state import Target
from tests.bench.account import PAGE, settings
from tests.bench.figures import Promise, Table
from tests.bench.freshness import Strict, Watch
from tests.exporter.simulation import START, Run, step

LATENCY = 0.1
START_WITHIN = 1.0
"""Seconds over which the exporter spreads its accounts' first requests."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Accounts of one size. `programs` share each token, and `rate` (requests a minute) is what each of them has."""

    accounts: int
    monitors: int
    minutes: float
    rate: float = 55.0
    programs: int = 1

    def chosen(self) -> Settings:
        """Return the settings of one account."""
        return settings(rate=self.rate, max_age="1h", certificates=False)

    def every(self) -> float:
        """Return the seconds after which each status is asked for again, by arithmetic."""
        return round_every(self.chosen(), ceil(self.monitors / PAGE))


class Member:
    """One account as one program polls it."""

    def __init__(self, fleet: Fleet, vendor: Strict, begins: float) -> None:
        chosen = fleet.chosen()
        self._collector = Collector(chosen)
        self._vendor = vendor
        budget = Budget.start(chosen.requests_per_minute, begins)
        self.run = Run(Target(knowledge=self._collector.start(), budget=budget), begins)
        self.watch = Watch(START + 2.2 * fleet.every())

    def step(self) -> float:
        """Do one thing, and return when the next one is to be done."""
        step(self._collector, self.run, self._vendor, LATENCY)
        self.watch(self.run.target, self.run.now)
        return self.run.now


def together(members: Sequence[Member], until: float) -> None:
    """Let every member do what it does, whoever is first in time, `until` an epoch second."""
    waiting = [(member.run.now, place) for place, member in enumerate(members)]
    heapq.heapify(waiting)
    while waiting[0][0] < until:
        _, place = waiting[0]
        heapq.heapreplace(waiting, (members[place].step(), place))


def simulated(fleet: Fleet) -> dict[str, float]:
    """Return what the minutes after the second round were like."""
    vendors = [Strict(fleet.monitors) for _ in range(fleet.accounts)]
    count = fleet.accounts * fleet.programs
    members = [
        Member(
            fleet,
            vendors[place % fleet.accounts],
            START + START_WITHIN * place / count,
        )
        for place in range(count)
    ]
    began = members[0].watch.since
    together(members, began + 60 * fleet.minutes)
    requests = sum(isinstance(request, Get) and at >= began for member in members for at, request in member.run.sent)
    return {
        "requests a minute": requests / fleet.minutes,
        "answered 429": sum(vendor.refused for vendor in vendors),
        "a status is asked every, by arithmetic": fleet.every(),
        "oldest status ever shown": max(member.watch.oldest_status for member in members),
    }


CASES: Mapping[str, Fleet] = {
    "2 accounts of 500": Fleet(2, 500, 10),
    "10 accounts of 1,000": Fleet(10, 1_000, 3),
    "100 accounts of 500": Fleet(100, 500, 2),
    "20 accounts of 2,000": Fleet(20, 2_000, 2),
    "5 accounts of 10,000": Fleet(5, 10_000, 2),
    "2 programs on one token, 25 a minute each, 500 monitors": Fleet(1, 500, 10, rate=25.0, programs=2),
}


def table(*, quick: bool = False) -> Table:
    """Simulate every case."""
    cases: dict[str, Any] = {"2 accounts of 100": Fleet(2, 100, 1)} if quick else dict(CASES)
    rows = {name: simulated(fleet) for name, fleet in cases.items()}
    promises = [
        Promise(f"{name}: oldest status ever shown", rows[name]["oldest status ever shown"], fleet.every() + 5, "s")
        for name, fleet in cases.items()
    ]
    promises.append(Promise("many accounts: answers 429", sum(row["answered 429"] for row in rows.values()), 0))
    notes = [
        "Seconds, but for the counts. Simulated in one process; 55 requests a minute of a strict 60 where not said."
    ]
    return Table("fleet", "Many accounts", "s", rows, notes, [] if quick else promises)
