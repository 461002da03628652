import json
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field, replace

import pytest

from exporter.collector import Answer, Certificate, Get, Probe, Reason
from exporter.settings import ApiSettings
from tests.exporter.simulation import START, simulate

MONITORS = 500
PAGE = 20
PAGES = MONITORS // PAGE


class Limiter:
    """The vendor's limit of 60 requests a minute: both as a sliding window and as minutes of the clock."""

    def __init__(self, limit=60):
        self.limit = limit
        self.window = deque()
        self.minutes = {}

    def allows(self, now):
        while self.window and self.window[0] <= now - 60:
            self.window.popleft()
        self.window.append(now)
        self.minutes[now // 60] = self.minutes.get(now // 60, 0) + 1
        return len(self.window) <= self.limit and self.minutes[now // 60] <= self.limit


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = None
    truncated: bool = False
    round: tuple[float, ...] = ()
    status_at: tuple[float, ...] = ()
    uptime_at: dict[str, float] = field(default_factory=dict)


class Listing:
    """A stand-in with Vigilmon's shape: statuses by page, one uptime per request."""

    metrics = ()

    def start(self):
        return Known()

    def asks(self, knowledge, now):
        due = knowledge.round[0] if knowledge.round else (knowledge.as_of or 0.0) + 60
        yield Get(
            endpoint="/monitors",
            reason=Reason.STATUS,
            due=due,
            every=60.0,
            path="/monitors",
            params=(("page", str(len(knowledge.round) + 1)),),
        )
        for number in range(MONITORS):
            told = knowledge.uptime_at.get(str(number), 0.0)
            yield Get(
                endpoint="/monitors/{id}",
                reason=Reason.OLDEST,
                due=told + 300,
                every=300.0,
                path=f"/monitors/{number}",
            )

    def learn(self, knowledge, ask, answer):
        if ask.endpoint == "/monitors/{id}":
            return replace(knowledge, uptime_at={**knowledge.uptime_at, ask.path.rpartition("/")[2]: answer.at})
        times = (*knowledge.round, answer.at)
        if len(times) < PAGES:
            return replace(knowledge, round=times)
        return replace(knowledge, as_of=times[0], round=(), status_at=times)

    def families(self, knowledge, now):
        return ()


def settings(rate=55.0):
    return ApiSettings(collector="listing", account="a", base_url="http://vendor", token="t", requests_per_minute=rate)


def limited(limiter, answer=lambda ask, now: Answer(now, 200, b"{}")):
    """Return a vendor that answers within its limit and 429 beyond it."""
    return lambda ask, now: answer(ask, now) if isinstance(ask, Probe) or limiter.allows(now) else Answer(now, 429, b"")


def fullest(times):
    """Return the most requests that any 60 s hold."""
    return max(position + 1 - bisect_right(times, at - 60) for position, at in enumerate(times))


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
    """A 404 is asked again ever more rarely; all others get their turn."""

    def answer(ask, now):
        return Answer(now, 404 if ask.path == "/monitors/7" else 200, b"{}")

    run = simulate(Listing(), settings(), limited(Limiter(), answer), 3600)
    asked = [ask.path for _, ask in run.sent]
    assert 2 <= asked.count("/monitors/7") <= 12
    assert len(run.target.knowledge.uptime_at) == MONITORS - 1


def test_an_outage_is_waited_out_politely_and_its_end_is_noticed_within_a_minute():
    """While everything fails few requests are sent; afterwards the next round is whole at once."""

    def answer(ask, now):
        return Answer(now, 503 if START + 600 <= now < START + 1800 else 200, b"{}")

    run = simulate(Listing(), settings(), limited(Limiter(), answer), 1800)
    during = [at for at, _ in run.sent if at >= START + 600]
    assert len(during) <= 120
    run = simulate(Listing(), settings(), limited(Limiter(), answer), 120, resume=run)
    assert run.target.success is True


def test_a_restart_costs_no_burst():
    """A process that restarts every 10 s with nothing stored sends one request more per start, not a burst."""
    sent = []
    run = None
    for _ in range(6):
        run = simulate(Listing(), settings(), limited(Limiter()), 10)
        sent += run.sent
    assert len(sent) <= 6 * (10 * 55 / 60 + 2)


def test_vigilmon_itself_keeps_500_monitors_fresh_within_the_limit():
    """The real collector, an hour, 60 a minute: no 429, statuses and uptimes within their arithmetic."""
    config = pytest.importorskip("exporter.collectors.vigilmon.config")
    collector = pytest.importorskip("exporter.collectors.vigilmon.collector")
    chosen = config.Settings(
        collector="vigilmon", account="a", base_url="http://vendor", token="t", requests_per_minute=55
    )
    ages = []
    run = simulate(
        collector.Collector(chosen),
        chosen,
        limited(Limiter(), vigilmon),
        3600,
        observe=lambda target, now: ages.append(now - (target.knowledge.as_of or now)),
    )
    assert run.outcomes() == {"ok": len(run.sent)}
    assert fullest([at for at, ask in run.sent if isinstance(ask, Get)]) <= 55
    assert max(ages) <= 125
    assert len(run.target.knowledge.uptimes) == MONITORS
    oldest = min(told.at for told in run.target.knowledge.uptimes.values())
    assert run.now - oldest <= 1.5 * MONITORS * 60 / (55 - PAGES)


def vigilmon(ask, now):
    """Return what Vigilmon says of 500 monitors that are all up."""
    if isinstance(ask, Probe):
        return Certificate(now, now - 1e6, now + 1e6, valid=True)
    page = int(dict(ask.params).get("page", "1"))
    listed = [monitor(number) for number in range((page - 1) * PAGE + 1, page * PAGE + 1)]
    meta = {"current_page": page, "last_page": PAGES, "per_page": PAGE, "total": MONITORS}
    if ask.path == "/monitors":
        body = {"data": listed, "meta": meta}
    elif ask.path.endswith("/incidents"):
        body = {"data": [], "meta": {**meta, "current_page": 1, "last_page": 1, "total": 0}}
    else:
        body = {"data": {**monitor(int(ask.path.rpartition("/")[2])), "uptime": UPTIME}}
    return Answer(now, 200, json.dumps(body).encode())


UPTIME = {"24h": 100.0, "7d": 99.9, "30d": 99.5}


def monitor(number):
    """Return a monitor as a listing shows it."""
    return {
        "id": number,
        "name": f"svc{number}",
        "url": f"https://svc{number}.example.com/health",
        "method": "GET",
        "check_interval_seconds": 60,
        "is_active": True,
        "current_status": "up",
        "last_checked_at": "2026-11-20T12:00:00+00:00",
    }
