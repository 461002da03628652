import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import nsmallest

import pytest

from exporter.collectors.contract import Certificate, Get, Probe, Reason, Response
from exporter.collectors.settings import ApiSettings
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.collectors.vigilmon.rotation import rotation
from exporter.polling.rate_budget import Budget
from exporter.toolkit.http_errors import ServerError
from tests.exporter.limits import Limiter, fullest
from tests.exporter.simulation import START, simulate

pytestmark = pytest.mark.slow

MONITORS = 500
PAGE = 20
PAGES = MONITORS // PAGE
NUMBERS = [str(number) for number in range(MONITORS)]
FEWER, RATE = 200, 22
"""Monitors and budget of a Vigilmon account: statuses take nine tenths of it, as those of 500 monitors do of 55."""
FEWER_PAGES = FEWER // PAGE


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False
    round: tuple[float, ...] = ()
    status_at: tuple[float, ...] = ()
    uptime_at: dict[str, float] = field(default_factory=dict)


class Listing:
    """A stand-in with Vigilmon's shape: statuses by page, one uptime per request, of which it names the oldest."""

    metrics = ()

    def start(self):
        return Known()

    def requests(self, knowledge, now, failing):
        due = knowledge.round[0] if knowledge.round else (knowledge.as_of or 0.0) + 60
        yield Get(
            endpoint="/monitors",
            reason=Reason.STATUS,
            due=due,
            every=60.0,
            path="/monitors",
            params=(("page", str(len(knowledge.round) + 1)),),
        )
        for read_at, number in nsmallest(PAGE, ((knowledge.uptime_at.get(each, 0.0), each) for each in NUMBERS)):
            yield Get(
                endpoint="/monitors/{id}",
                reason=Reason.OLDEST,
                due=read_at + 300,
                every=300.0,
                path=f"/monitors/{number}",
            )

    def update(self, knowledge, request, response):
        if request.endpoint == "/monitors/{id}":
            return replace(knowledge, uptime_at={**knowledge.uptime_at, request.path.rpartition("/")[2]: response.at})
        times = (*knowledge.round, response.at)
        if len(times) < PAGES:
            return replace(knowledge, round=times)
        return replace(knowledge, as_of=times[0], round_at=times[0], round=(), status_at=times)

    def families(self, knowledge, now):
        return ()


def settings(rate=55.0):
    return ApiSettings(collector="listing", account="a", base_url="http://vendor", token="t", requests_per_minute=rate)


def limited(limiter, response=lambda request, now: Response(now, 200, b"{}")):
    """Return a vendor that answers within its limit and 429 beyond it."""
    return lambda request, now: (
        response(request, now) if isinstance(request, Probe) or limiter.allows(now) else Response(now, 429, b"")
    )


@pytest.mark.parametrize("latency", [0.01, 0.5, 3.0])
def test_an_hour_of_500_monitors_stays_within_the_limit_and_fresh(latency):
    """3,300 requests under a strict 60 a minute: no 429, statuses each minute, every uptime in its turn."""
    ages = []
    run = simulate(
        Listing(),
        settings(),
        limited(Limiter()),
        3600,
        latency=latency,
        observe=lambda target, now: ages.append(now - (target.knowledge.as_of or now)),
    )
    per_minute = min(55.0, 60 / latency)
    assert run.outcomes() == {"ok": len(run.sent)}
    assert len(run.sent) >= 0.98 * per_minute * 60
    assert fullest([at for at, _ in run.sent]) <= 55
    assert max(ages) <= 60 + 2 * PAGES * 60 / per_minute + 5
    if latency < 1:
        assert min(run.target.knowledge.uptime_at.values()) > run.now - 1.2 * MONITORS * 60 / (55 - PAGES)


def test_a_deleted_monitor_does_not_stop_the_rotation():
    """A 404 is retried ever more rarely; all other monitors get their turn."""

    def response(request, now):
        return Response(now, 404 if request.path == "/monitors/7" else 200, b"{}")

    run = simulate(Listing(), settings(), limited(Limiter(), response), 3600)
    requested = [request.path for _, request in run.sent]
    assert 2 <= requested.count("/monitors/7") <= 12
    assert len(run.target.knowledge.uptime_at) == MONITORS - 1


def test_outage_of_the_vendor_causes_few_requests():
    """After its end the next round succeeds within a minute."""

    def response(request, now):
        return Response(now, 503 if START + 600 <= now < START + 1800 else 200, b"{}")

    run = simulate(Listing(), settings(), limited(Limiter(), response), 1800)
    during = [at for at, _ in run.sent if at >= START + 600]
    assert len(during) <= 120
    run = simulate(Listing(), settings(), limited(Limiter(), response), 120, resume=run)
    assert run.target.success is True


@pytest.mark.parametrize("failing", [(), ("1",), ("2",)])
def test_clock_set_back_by_hours_does_not_delay_the_first_round(failing):
    """A machine boots with a wrong clock and no network: once both are right, the first round is complete."""
    chosen = Settings(collector="vigilmon", account="a", token="t", certificates=False)
    day = Day()
    right = START + 10

    def vendor(request, now):
        if now > right and dict(request.params).get("page", "1") in failing:
            return ServerError("503")
        return day(request, now)

    run = simulate(Collector(chosen), chosen, vendor, 0.0)
    run.now = right + 3 * 3600
    run.target = replace(run.target, budget=Budget.start(50, run.now))
    run = simulate(Collector(chosen), chosen, vendor, 8.0, resume=run)
    assert run.target.knowledge.round_at is None
    run.now = right - 5
    run = simulate(Collector(chosen), chosen, day, 60.0, resume=run)
    assert run.target.knowledge.round_at is not None


def test_restarts_cause_no_burst():
    """A process that restarts every 10 s without storage sends one more request per start."""
    sent = []
    run = None
    for _ in range(6):
        run = simulate(Listing(), settings(), limited(Limiter()), 10)
        sent += run.sent
    assert len(sent) <= 6 * (10 * 55 / 60 + 2)


class Day:
    """A Vigilmon account. Every five minutes another one goes down, and the last one comes up."""

    def __init__(self):
        self.limiter = Limiter()
        self.down = None
        self.fallen = set()

    def __call__(self, request, now):
        if isinstance(request, Probe):
            return Certificate(now, now + 1e6, valid=True)
        if not self.limiter.allows(now):
            return Response(now, 429, b"")
        self.down = 1 + int(now // 300) * 37 % FEWER if now > START + 300 else None
        self.fallen.add(self.down)
        return Response(now, 200, json.dumps(self.body(request, now)).encode())

    def body(self, request, now):
        page = int(dict(request.params).get("page", "1"))
        meta = {"current_page": page, "last_page": FEWER_PAGES, "per_page": PAGE, "total": FEWER}
        if request.path == "/monitors":
            numbers = range((page - 1) * PAGE + 1, page * PAGE + 1)
            return {"data": [monitor(number, now, up=number != self.down) for number in numbers], "meta": meta}
        number = int(request.path.split("/")[2])
        if request.path.endswith("/incidents"):
            incident = {"id": 1, "status": "ongoing" if number == self.down else "resolved"}
            return {"data": [incident] * (number in self.fallen), "meta": {"total": int(number in self.fallen)}}
        return {"data": {**monitor(number, now), "uptime": UPTIME}}


def monitor(number, now, *, up=True):
    """Return a monitor as a listing shows it, checked just now."""
    return {
        "id": number,
        "name": f"svc{number}",
        "url": f"https://svc{number}.example.com/health",
        "method": "GET",
        "check_interval_seconds": 60,
        "is_active": True,
        "current_status": "up" if up else "down",
        "last_checked_at": datetime.fromtimestamp(now, UTC).isoformat(),
    }


@pytest.fixture(scope="module")
def day():
    """Two hours of the real Vigilmon collector: the run, how old its statuses and uptimes were, and its settings."""
    chosen = Settings(collector="vigilmon", account="a", base_url="http://vendor", token="t", requests_per_minute=RATE)
    statuses, uptimes, shown = [], [], []

    def observe(target, now):
        """Note what a scrape would have seen just before the last answer came."""
        if shown and shown[-1].as_of is not None and now > START + 60:
            statuses.append((now - min(one.checked_at for one in shown[-1].monitors.values()), now - shown[-1].as_of))
            uptimes.append((now, sum(now - one.at for one in shown[-1].uptimes.values()) / FEWER))
        shown[:] = [target.knowledge]

    run = simulate(Collector(chosen), chosen, Day(), 7200, observe=observe)
    return run, statuses, uptimes, chosen


def test_statuses_of_a_busy_account_are_always_fresh(day):
    """A round of ten pages plus four requests, while monitors go down and up."""
    _, statuses, _, _ = day
    assert max(age for age, _ in statuses) <= (FEWER_PAGES + 4) * 60 / RATE
    assert all(abs(exported - age) < 1e-3 for age, exported in statuses)


def test_two_hours_of_a_busy_account_spend_exactly_the_budget(day):
    """No response is 429, wherever a minute begins."""
    run, _, _, _ = day
    sent = [at for at, request in run.sent if isinstance(request, Get)]
    assert run.outcomes() == {"ok": len(run.sent)}
    assert fullest(sent) <= RATE
    assert len(sent) >= 0.98 * RATE * 120


def test_uptimes_of_a_busy_account_are_as_fresh_as_the_budget_allows(day):
    """Half a turn on average and a turn at most, plus a tenth for monitors that go down meanwhile."""
    run, _, uptimes, chosen = day
    action = rotation(chosen, run.target.knowledge)
    late = [age for now, age in uptimes if now >= START + 1.1 * action]
    assert sum(late) / len(late) <= 1.1 * action / 2
    assert max(run.now - one.at for one in run.target.knowledge.uptimes.values()) <= 1.1 * action


def test_incidents_are_polled_within_two_requests_of_the_page(day):
    """For each monitor that went down in two hours, wherever in the list it is."""
    run, _, _, _ = day
    requested = [
        (at, request.path, dict(request.params).get("page", "1"))
        for at, request in run.sent
        if isinstance(request, Get)
    ]
    for begins in range(int(START) + 600, int(START) + 7200, 300):
        down = 1 + begins // 300 * 37 % FEWER
        page = str(-(-down // PAGE))
        place = next(n for n, (at, *what) in enumerate(requested) if at >= begins and what == ["/monitors", page])
        assert f"/monitors/{down}/incidents" in [path for _, path, _ in requested[place + 1 : place + 3]]


UPTIME = {"24h": 100.0, "7d": 99.9, "30d": 99.5}
