"""Vigilmon accounts of all sizes, hours at a time, without a socket: requests at the budget's pace."""

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from exporter.collectors.contract import Get, Request, Response
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.errors import ServerError
from exporter.polling.scheduler import back_off, choose

pytestmark = pytest.mark.slow

PER_PAGE = 20


@dataclass
class Account:
    """A Vigilmon account of `size` monitors and a collector that polls it, one request every 60/`budget` seconds."""

    size: int
    budget: float
    down: set = field(default_factory=set)
    failing: str = "nothing"
    poll_interval: float = 30.0
    log: list = field(default_factory=list)
    backoffs: dict = field(default_factory=dict)
    now: float = 1000.0

    def __post_init__(self):
        self.collector = Collector(
            Settings(
                collector="vigilmon",
                account="any",
                token="t",
                requests_per_minute=self.budget,
                poll_interval=self.poll_interval,
                certificates=False,
                max_age=3600.0,
            )
        )
        self.known = self.collector.start()

    def run(self, seconds):
        until = self.now + seconds
        while self.now < until:
            self.step()
        return self

    def step(self):
        choice = choose(self.collector.requests(self.known, self.now), self.now, frozenset(), self.backoffs)
        if choice.request is None:
            self.now = max(choice.next_due, self.now)
            return
        self.log.append((self.now, choice.request))
        earlier = self.backoffs.pop(choice.request.identity, None)
        if choice.request.endpoint == self.failing:
            self.backoffs[choice.request.identity] = back_off(earlier, choice.request, ServerError("ill"), self.now)
        else:
            response = Response(self.now, 200, json.dumps(self.response(choice.request)).encode())
            self.known = self.collector.update(self.known, choice.request, response)
        self.now += 60.0 / self.budget

    def response(self, request: Request):
        assert isinstance(request, Get)
        if request.path == "/monitors":
            return self.page(int(dict(request.params).get("page", "1")))
        identity = int(request.path.split("/")[2])
        if request.path.endswith("/incidents"):
            ongoing = [{"id": 1, "status": "ongoing", "resolved_at": None}] if identity in self.down else []
            return {"data": ongoing, "meta": {"total": len(ongoing)}}
        return {"data": {"id": identity, "uptime": {"24h": 100.0, "7d": 100.0, "30d": 100.0}}}

    def page(self, number):
        listed = range((number - 1) * PER_PAGE + 1, min(number * PER_PAGE, self.size) + 1)
        monitors = [{"id": one, "current_status": "down" if one in self.down else "up"} for one in listed]
        return {"data": monitors, "meta": {"current_page": number, "total": self.size}}

    def told(self, name):
        (family,) = [one for one in self.collector.families(self.known, self.now) if one.metric.name == name]
        return dict(family.samples)

    def ages(self):
        return [self.now - told.at for told in self.known.uptimes.values()]

    def times(self, path):
        return [at for at, request in self.log if request.path == path]

    def rounds(self):
        """Return the seconds that each round of statuses took, up to the answer of its last page."""
        pages = [(at, request.params) for at, request in self.log if request.path == "/monitors"]
        starts = [place for place, (_, params) in enumerate(pages) if not params]
        return [pages[end - 1][0] - pages[start][0] for start, end in pairwise(starts)]


def test_forty_five_monitors_are_all_known_within_a_minute():
    """At 55 requests a minute every status and every uptime is told within the first minute, down ones included."""
    account = Account(45, 55.0, down={7, 31}).run(59.0)

    assert len(account.told("vigilmon_monitor_up")) == 45
    assert len(account.told("vigilmon_monitor_uptime_percent")) == 3 * 45
    assert account.told("vigilmon_monitor_ongoing_incidents")[("31",)] == 1


def test_small_account_learns_all_incidents_soon_and_then_rests():
    """All incident counts come within three minutes; then nothing is asked before it is wanted."""
    account = Account(45, 55.0).run(180.0)
    assert len(account.told("vigilmon_monitor_incidents")) == 45

    seen = len(account.log)
    account.run(3600.0)
    spent = len(account.log) - seen
    assert spent <= 120 * 3 + 12.5 * 45
    assert min(b - a for a, b in pairwise(account.times("/monitors/7"))) >= 300


def test_rounds_of_five_hundred_monitors_are_never_held_up():
    """A round takes its pages' share of the budget and at most five seconds more, even when fifty go down at once."""
    account = Account(500, 55.0).run(600.0)
    account.down = set(range(1, 500, 10))
    account.run(3000.0)

    assert max(account.rounds()) <= math.ceil(500 / PER_PAGE) / 55 * 60 + 5
    starts = [at for at, request in account.log if request.path == "/monitors" and not request.params]
    assert max(b - a for a, b in pairwise(starts)) <= 32


def test_uptimes_of_five_hundred_monitors_are_as_fresh_as_the_budget_allows():
    """The mean age stays within 1.1 of the bound, every request that is left goes into it, and in even turns."""
    rotation = 500 / (55 * 0.1) * 60
    account = Account(500, 55.0).run(1.5 * rotation)
    means = []
    for _ in range(20):
        account.run(60.0)
        means.append(sum(account.ages()) / 500)

    assert sum(means) / len(means) <= 1.1 * rotation / 2
    assert max(account.ages()) <= 1.1 * rotation
    hour = [request for at, request in account.log if at >= 1000.0 + 1.1 * rotation]
    assert {request.endpoint for request in hour} == {"/monitors", "/monitors/{id}"}


@pytest.mark.parametrize("victim", [1, 20, 21, 250, 481, 500])
def test_incidents_follow_within_two_requests(victim):
    """Wherever in the list a monitor goes down, its incidents are asked right after the page that tells it."""
    account = Account(500, 55.0).run(900.0)
    account.down = {victim}
    seen = len(account.log)
    account.run(120.0)

    asked = [(request.path, dict(request.params).get("page", "1")) for _, request in account.log[seen:]]
    page = str((victim - 1) // PER_PAGE + 1)
    told = next(place for place, (at, request) in enumerate(account.log[seen:]) if asked[place] == ("/monitors", page))
    assert asked[told + 1 : told + 3].count((f"/monitors/{victim}/incidents", "1")) == 1
    assert account.told("vigilmon_monitor_ongoing_incidents")[(str(victim),)] == 1


def test_uptimes_go_on_while_everything_is_down():
    """When all monitors are down, incidents take half of what statuses leave."""
    account = Account(500, 55.0).run(60.0)
    account.down = set(range(1, 501))
    account.run(2 * 3600.0)

    late = [request.endpoint for at, request in account.log if at > 1000.0 + 3600.0]
    assert late.count("/monitors/{id}") >= 0.04 * len(late)
    assert late.count("/monitors/{id}/incidents") <= 0.06 * len(late)
    assert len(account.told("vigilmon_monitor_ongoing_incidents")) == 500


def test_incidents_that_cannot_be_had_stop_nothing_else():
    """While every call for incidents fails, statuses keep their pace and uptimes go on, if slowly."""
    account = Account(500, 55.0, failing="/monitors/{id}/incidents").run(60.0)
    account.down = set(range(1, 101))
    account.run(3600.0)

    assert max(account.rounds()) <= math.ceil(500 / PER_PAGE) / 55 * 60 + 5
    assert len(account.told("vigilmon_monitor_up")) == 500
    late = [request.endpoint for at, request in account.log if at > 1000.0 + 1200.0]
    assert late.count("/monitors/{id}") > 0
    assert account.told("vigilmon_monitor_ongoing_incidents") == {}


def test_fresh_outage_goes_before_those_that_last():
    """With thirty monitors down for long, the one that goes down now is still asked about within two requests."""
    account = Account(500, 55.0, down=set(range(100, 130))).run(900.0)
    account.down = account.down | {490}
    seen = len(account.log)
    account.run(120.0)
    asked = [(request.path, dict(request.params).get("page")) for _, request in account.log[seen:]]

    assert "/monitors/490/incidents" in [path for path, _ in asked[asked.index(("/monitors", "25")) + 1 :][:2]]


def test_large_account_still_hears_of_its_uptimes():
    """Statuses take at most nine tenths of the budget, however many pages they need."""
    account = Account(3000, 50.0).run(3 * 3600.0)
    statuses = sum(request.path == "/monitors" for _, request in account.log)

    assert statuses <= 0.91 * len(account.log)
    assert len(account.told("vigilmon_monitor_up")) == 3000
    assert len(account.ages()) > 800


def test_an_operator_may_give_uptimes_more_than_statuses():
    """With a round a minute 500 uptimes come round in a quarter of an hour."""
    account = Account(500, 55.0, poll_interval=60.0).run(1200.0)
    assert max(account.ages()) <= 1.1 * 500 / (55 - 25) * 60
    assert len(account.ages()) == 500


def test_asking_is_cheap_for_ten_thousand_monitors():
    """What is wanted is a short list, however many monitors there are."""
    account = Account(10_000, 600.0).run(120.0)
    assert len(account.known.monitors) == 10_000
    assert sum(1 for _ in account.collector.requests(account.known, account.now)) <= 250
