"""Vigilmon accounts of all sizes, hours at a time, without a socket: requests at the budget's pace."""

import json
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from exporter.collectors.contract import Get, Request, Response
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.polling.scheduler import back_off, choose
from exporter.toolkit.http_errors import ServerError

pytestmark = pytest.mark.slow

PER_PAGE = 20
BUSY = (200, 22.0)
"""Monitors and budget: their statuses take nine tenths of it, as those of 500 monitors do of 55 a minute."""
PAGES = 10
ROUND = (PAGES + 4) / 22 * 60
"""Longest time of a round in seconds: other requests get in its way four times at most."""


@dataclass
class Account:
    """A Vigilmon account of `size` monitors and a collector that polls it, one request every 60/`budget` seconds."""

    size: int
    budget: float
    down: set = field(default_factory=set)
    failing: set = field(default_factory=set)
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
        wanted = self.collector.requests(self.known, self.now, len(self.backoffs))
        request, due = choose(wanted, self.now, self.backoffs)
        if request is None:
            self.now = max(due, self.now)
            return
        self.log.append((self.now, request))
        earlier = self.backoffs.pop(request.identity, None)
        if self.failing & {request.endpoint, request.path}:
            self.backoffs[request.identity] = back_off(earlier, request, ServerError("ill"), self.now)
        else:
            response = Response(self.now, 200, json.dumps(self.response(request)).encode())
            self.known = self.collector.update(self.known, request, response)
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

    def samples(self, name):
        (family,) = [one for one in self.collector.families(self.known, self.now) if one.metric.name == name]
        return dict(family.samples)

    def ages(self):
        return [self.now - uptime.at for uptime in self.known.uptimes.values()]

    def times(self, path):
        return [at for at, request in self.log if request.path == path]

    def rounds(self):
        """Return the seconds that each round of statuses took, up to the answer of its last page."""
        pages = [(at, request.params) for at, request in self.log if request.path == "/monitors"]
        starts = [place for place, (_, params) in enumerate(pages) if not params]
        return [pages[end - 1][0] - pages[start][0] for start, end in pairwise(starts)]


def test_forty_five_monitors_are_complete_within_a_minute():
    """At 55 requests a minute every status and uptime is known, those of monitors that are down included."""
    account = Account(45, 55.0, down={7, 31}).run(59.0)

    assert len(account.samples("vigilmon_monitor_up")) == 45
    assert len(account.samples("vigilmon_monitor_uptime_percent")) == 3 * 45
    assert account.samples("vigilmon_monitor_ongoing_incidents")[("31",)] == 1


def test_small_account_polls_all_incidents_within_three_minutes():
    """Afterwards no request is sent before it is due."""
    account = Account(45, 55.0).run(180.0)
    assert len(account.samples("vigilmon_monitor_incidents")) == 45

    seen = len(account.log)
    account.run(3600.0)
    spent = len(account.log) - seen
    assert spent <= 120 * 3 + 12.5 * 45
    assert min(b - a for a, b in pairwise(account.times("/monitors/7"))) >= 300


def test_rounds_of_a_busy_account_are_not_delayed():
    """A round takes its pages' share of the budget, even if a tenth of the monitors go down at once."""
    account = Account(*BUSY).run(600.0)
    account.down = set(range(1, 200, 10))
    account.run(3000.0)

    assert max(account.rounds()) <= ROUND
    starts = [at for at, request in account.log if request.path == "/monitors" and not request.params]
    assert max(b - a for a, b in pairwise(starts)) < ROUND + 2 * 60 / 22


@pytest.mark.parametrize("victim", [1, 100, 200])
def test_incidents_are_polled_within_two_requests(victim):
    """Wherever in the list a monitor goes down, its incidents follow the page that shows it."""
    account = Account(*BUSY).run(900.0)
    account.down = {victim}
    seen = len(account.log)
    account.run(120.0)

    requested = [(request.path, dict(request.params).get("page", "1")) for _, request in account.log[seen:]]
    page = str((victim - 1) // PER_PAGE + 1)
    shown = next(
        place for place, (at, request) in enumerate(account.log[seen:]) if requested[place] == ("/monitors", page)
    )
    assert requested[shown + 1 : shown + 3].count((f"/monitors/{victim}/incidents", "1")) == 1
    assert account.samples("vigilmon_monitor_ongoing_incidents")[(str(victim),)] == 1


def test_uptimes_are_polled_while_everything_is_down():
    """Incidents take half of the budget that statuses leave."""
    account = Account(100, 11.0).run(60.0)
    account.down = set(range(1, 101))
    account.run(3 * 3600.0)

    late = [request.endpoint for at, request in account.log if at > 1000.0 + 3600.0]
    assert late.count("/monitors/{id}") >= 0.04 * len(late)
    assert late.count("/monitors/{id}/incidents") <= 0.06 * len(late)
    assert len(account.samples("vigilmon_monitor_ongoing_incidents")) == 100


def test_failing_incident_requests_do_not_stop_others():
    """Statuses keep their interval, and uptimes continue more slowly."""
    account = Account(*BUSY, failing={"/monitors/{id}/incidents"}).run(60.0)
    account.down = set(range(1, 41))
    account.run(3600.0)

    assert max(account.rounds()) <= ROUND
    assert len(account.samples("vigilmon_monitor_up")) == 200
    late = [request.endpoint for at, request in account.log if at > 1000.0 + 1200.0]
    assert late.count("/monitors/{id}") > 0
    assert account.samples("vigilmon_monitor_ongoing_incidents") == {}


def test_new_outage_is_polled_before_old_ones():
    """With twelve monitors down, the incidents of another one are still polled within two requests."""
    account = Account(*BUSY, down=set(range(100, 112))).run(900.0)
    account.down = account.down | {190}
    seen = len(account.log)
    account.run(120.0)
    requested = [(request.path, dict(request.params).get("page")) for _, request in account.log[seen:]]

    assert "/monitors/190/incidents" in [path for path, _ in requested[requested.index(("/monitors", "10")) + 1 :][:2]]


def test_any_number_of_failing_monitors_leaves_the_others_their_turn():
    """The failing ones would be next for as long as they fail."""
    account = Account(60, 22.0, failing={f"/monitors/{number}" for number in range(1, 31)}).run(1800.0)
    assert len(account.known.uptimes) == 30


def test_large_account_still_polls_uptimes():
    """Statuses take at most nine tenths of the budget, however many pages there are."""
    account = Account(600, 10.0).run(3600.0)
    statuses = sum(request.path == "/monitors" for _, request in account.log)

    assert statuses <= 0.91 * len(account.log)
    assert len(account.samples("vigilmon_monitor_up")) == 600
    assert len(account.ages()) > 50


def test_longer_poll_interval_leaves_more_for_uptimes():
    """With a round a minute, 500 uptimes take a quarter of an hour."""
    account = Account(500, 55.0, poll_interval=60.0).run(1200.0)
    assert max(account.ages()) <= 1.1 * 500 / (55 - 25) * 60
    assert len(account.ages()) == 500


def test_requests_are_cheap_for_ten_thousand_monitors():
    """The list of wanted requests is short, however many monitors there are."""
    account = Account(10_000, 600.0).run(120.0)
    assert len(account.known.monitors) == 10_000
    assert sum(1 for _ in account.collector.requests(account.known, account.now)) <= 250
