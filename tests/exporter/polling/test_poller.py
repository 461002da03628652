import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace

import pytest
import trustme

from exporter.collectors.contract import Certificate, Get, Probe, Reason, Response, TlsEndpoint
from exporter.collectors.settings import ApiSettings
from exporter.metrics.families import Family, Limited, gauge
from exporter.polling.poller import Poller
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshot_files import Directory
from exporter.polling.snapshots import Snapshot
from exporter.polling.target_state import PROBES_AT_ONCE, Target
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_errors import ConnectFailed, Malformed, TimedOut
from tests.waiting import eventually

VALUE = gauge("c_value", "A value.", "name")
DAYS = gauge("c_days", "Days.", "name")


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False
    values: dict[str, float] = field(default_factory=dict)
    probed: dict[str, float] = field(default_factory=dict)


class Collector:
    """A status each `every` seconds, details and probes once."""

    metrics = (VALUE, DAYS)

    def __init__(self, *, every=0.05, details=(), hosts=()):
        self.every, self.details, self.hosts = every, details, hosts
        self.broken = ""

    def start(self):
        return Known()

    def requests(self, knowledge, now, failing):
        self.fail("requests")
        if not self.every:
            return
        due = 0.0 if knowledge.as_of is None else knowledge.as_of + self.every
        yield Get(endpoint="/status", reason=Reason.STATUS, due=due, every=self.every, path="/status")
        for name in self.details:
            if name not in knowledge.values:
                yield Get(endpoint="/{id}", reason=Reason.OLDEST, due=0.0, every=60.0, path=name)
        for name in self.hosts:
            if name not in knowledge.probed:
                yield Probe(
                    endpoint="tls",
                    reason=Reason.OLDEST,
                    due=0.0,
                    every=60.0,
                    to=TlsEndpoint(name, name, name, 443),
                )

    def update(self, knowledge, request, response):
        self.fail("update")
        if isinstance(response, Certificate):
            return replace(knowledge, probed={**knowledge.probed, request.to.server_name: response.at})
        if response.body == b"broken":
            raise Malformed("data: missing")
        if request.reason is Reason.STATUS:
            known = {**knowledge.values, "status": response.at}
            return replace(knowledge, as_of=response.at, round_at=response.at, values=known)
        return replace(knowledge, values={**knowledge.values, request.path: response.at})

    def families(self, knowledge, now):
        self.fail("families")
        yield Family(VALUE, [((name,), at) for name, at in knowledge.values.items()])
        self.fail("the second family")
        yield Family(DAYS, [((name,), at) for name, at in knowledge.probed.items()])

    def fail(self, where):
        if self.broken == where:
            raise KeyError("s3cret")


class Vendor:
    """Answers 200 unless `script` holds something else: a status, an error, or an event to wait for."""

    def __init__(self, clock=time.time):
        self.clock, self.script, self.asked = clock, deque(), []
        self.steady = 200
        self.closed = threading.Event()

    def get(self, request):
        self.asked.append(request.path)
        say = self.script.popleft() if self.script else self.steady
        if isinstance(say, threading.Event):
            while not (say.wait(0.01) or self.closed.is_set()):
                pass
            raise TimedOut("no complete response within 1 s")
        if isinstance(say, Exception):
            raise say
        if isinstance(say, bytes):
            return Response(self.clock(), 200, say)
        return Response(self.clock(), say, b"{}", {"x-ratelimit-remaining": "50"})

    def close(self):
        self.closed.set()


def settings(**more):
    given = {"collector": "c", "account": "a", "base_url": "http://v", "token": "t", "requests_per_minute": 60_000.0}
    return ApiSettings(**{**given, "poll_interval": 0.05, **more})


def probe_result(request, now, _timeout, _ca_file):
    return Certificate(now, now, valid=True)


@pytest.fixture
def started():
    """Return what makes and starts a poller; all are stopped in the end."""
    pollers = []

    def start(  # noqa: PLR0913  each part of a poller is named once
        collector=None,
        vendor=None,
        *,
        clock=time.time,
        probe=probe_result,
        on_change=lambda _poller: None,
        storage=None,
        leads=lambda: True,
        **more,
    ):
        made = Poller(
            settings(**more),
            collector or Collector(),
            vendor or Vendor(clock),
            clock,
            on_change,
            storage,
            leads=leads,
            probe=probe,
        )
        pollers.append(made)
        made.start()
        return made

    yield start
    for poller in pollers:
        poller.stop(30)


def value(poller):
    return {labels[0]: number for family in poller.rendered(time.time(), list) for labels, number in family.samples}


def test_before_the_first_round_there_are_no_series():
    """No age and no success either; the status page still shows the target."""
    poller = Poller(settings(), Collector(), Vendor(), lambda: 1000.0, lambda _poller: None)
    health = poller.health()
    assert poller.rendered(1000.0, list) == []
    assert (health.success, health.last_success, health.first_poll_ended, health.series) == (None, None, False, 0)
    assert (health.collector, health.account, dict(health.requests)) == ("c", "a", {})


def test_a_target_is_polled_and_its_metrics_served(started):
    """Status and details arrive, requests are counted by endpoint and outcome, and each change is published."""
    changes = []
    poller = started(Collector(details=("d",)), on_change=changes.append, requests_per_minute=1200.0)
    eventually(lambda: {"status", "d"} <= set(value(poller)))
    eventually(lambda: poller.health().requests.get(("/status", "ok"), 0) >= 3)
    health = poller.health()
    assert health.requests["/{id}", "ok"] == 1
    assert (health.success, health.first_poll_ended, health.series, health.truncated) == (True, True, 2, False)
    assert health.duration >= 0
    assert health.rate_limit_remaining == 50
    assert health.budget_used_ratio > 0
    assert health.oldest_value <= health.last_success
    assert changes[:3] == [poller] * 3


@pytest.mark.parametrize(
    ("say", "outcome"),
    [
        (404, "client_error"),
        (503, "server_error"),
        (429, "rate_limited"),
        (401, "auth"),
        (b"broken", "malformed"),
        (ConnectFailed("connection refused"), "connect"),
        (TimedOut("no complete response within 1 s"), "timeout"),
        (RuntimeError("s3cret"), "malformed"),
    ],
)
def test_failed_status_is_counted_and_logged(started, caplog, say, outcome):
    """Success is False, the first poll has ended, and the log has no secret."""
    vendor = Vendor()
    vendor.script.append(say)
    poller = started(vendor=vendor)
    eventually(lambda: poller.health().requests)
    health = poller.health()
    assert (health.success, health.first_poll_ended) == (False, True)
    assert health.requests == {("/status", outcome): 1}
    assert health.last_error.startswith(f"/status: {outcome}: ")
    assert health.last_error == health.reason
    assert health.problems == (health.reason,)
    assert health.last_error_at is not None
    eventually(lambda: "c a: /status:" in caplog.text)
    assert "s3cret" not in caplog.text + health.last_error
    assert poller.rendered(time.time(), list) == []


def test_a_lasting_failure_is_logged_once_and_its_end_once(started, caplog, monkeypatch):
    """Not once per attempt, nor for each of many requests with the same error."""
    monkeypatch.setattr("exporter.polling.scheduler.FIRST", 0.01)
    caplog.set_level(logging.INFO)
    vendor = Vendor()
    vendor.steady = 503
    started(vendor=vendor)
    eventually(lambda: len(vendor.asked) >= 3)
    vendor.steady = 200
    eventually(lambda: "answered again" in caplog.text)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["c a: /status: server_error: 503", "c a: /status: answered again"]


@pytest.mark.slow
def test_hanging_vendor_blocks_only_its_own_target(started):
    """Health, age and withdrawal continue, another target is polled, and polling recovers without a restart."""
    vendor, hung = Vendor(), threading.Event()
    poller = started(vendor=vendor, max_age=0.4)
    other = started()
    eventually(lambda: value(poller) and value(other))
    vendor.script.append(hung)
    eventually(lambda: not vendor.script)
    assert poller.health().collector == "c"
    eventually(lambda: poller.rendered(time.time(), list) == [])
    assert poller.health().series == 0
    before = other.health().last_success
    eventually(lambda: other.health().last_success > before)
    assert not hung.is_set()
    hung.set()
    eventually(lambda: poller.health().success is False)
    eventually(lambda: value(poller))


def test_series_are_withdrawn_exactly_at_their_time():
    """At `max_age` the series are still there, after it they are gone."""
    collector = Collector()
    poller = Poller(settings(max_age=300.0), collector, Vendor(), lambda: 1000.0, lambda _poller: None)
    poller.target = replace(poller.target, knowledge=Known(as_of=1000.0, values={"x": 1.0}))
    assert poller.rendered(1300.0, list) != []
    assert poller.rendered(1300.1, list) == []


def test_endpoints_are_withdrawn_with_the_series():
    """Nor are there any before the first round, or of a collector that knows none."""

    class Discovering(Collector):
        def endpoints(self, knowledge, now):
            return iter(knowledge.values)

    now = 1000.0
    plain, finds = (
        Poller(settings(max_age=300.0), collector, Vendor(), lambda: now, lambda _poller: None)
        for collector in (Collector(), Discovering())
    )
    assert (plain.discovers, finds.discovers, finds.endpoints()) == (False, True, None)
    for poller in (plain, finds):
        poller.target = replace(poller.target, knowledge=Known(as_of=1000.0, values={"x": 1.0}))
    assert (plain.endpoints(), finds.endpoints()) == (None, ["x"])
    now = 1300.1
    assert finds.endpoints() is None


def test_probes_do_not_delay_requests(started):
    """A fixed number of endpoints is probed at once, and all in the end."""
    release, running, most = threading.Event(), [], []

    def hanging(request, now, _timeout, _ca_file):
        running.append(request)
        most.append(len(running))
        release.wait(30)
        running.remove(request)
        return Certificate(now, None, None, "timeout" if request.to.server_name == "h0" else "refused")

    names = tuple(f"h{number}" for number in range(PROBES_AT_ONCE + 12))
    poller = started(Collector(hosts=names), probe=hanging)
    eventually(lambda: len(running) == PROBES_AT_ONCE)
    assert all(each.daemon for each in threading.enumerate() if each.name.startswith(("poll ", "probe ")))
    before = poller.health().last_success or 0.0
    eventually(lambda: (poller.health().last_success or 0.0) > before)
    release.set()
    outcomes = {("tls", "connect"): len(names) - 1, ("tls", "timeout"): 1}
    eventually(lambda: outcomes.items() <= poller.health().requests.items())
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("probe ")])
    assert max(most) == PROBES_AT_ONCE


def test_probes_beside_a_request_that_hangs_spend_no_budget(started):
    """Another request is due all the time, but only one is sent at a time."""
    vendor = Vendor()
    vendor.script.append(threading.Event())
    poller = started(Collector(hosts=("a", "b")), vendor)
    eventually(lambda: vendor.asked and set(poller.target.knowledge.probed) == {"a", "b"})
    assert (vendor.asked, len(poller.target.budget.sent)) == (["/status"], 1)


@pytest.mark.parametrize("end", ["lead", "stop"])
def test_no_probe_begins_after_the_end(started, end):
    """Of the lead, or of the poller: the next leader, or the target as reloaded, probes instead."""
    collector, leading, release, begun = Collector(every=600.0, hosts=("a",)), [True], threading.Event(), []

    def hanging(request, now, timeout, ca_file):
        begun.append(request.to.written)
        release.wait(30)
        return probe_result(request, now, timeout, ca_file)

    poller = started(collector, probe=hanging, leads=lambda: bool(leading))
    eventually(lambda: poller.target.knowledge.as_of and (poller.health().next_poll or 0) > time.time() + 30)
    leading.clear() if end == "lead" else poller.stop(30)
    collector.hosts = ("a", "b")
    release.set()
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("probe ")])
    assert begun == ["a"]


def test_a_probe_has_the_targets_timeout_and_roots(started, tmp_path):
    """As its requests have."""
    given, roots = [], tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(roots)

    def recorded(request, now, timeout, ca_file):
        given.append((timeout, ca_file))
        return probe_result(request, now, timeout, ca_file)

    started(Collector(hosts=("a",)), probe=recorded, timeout="7s", ca_file=str(roots))
    eventually(lambda: given)
    assert given == [(7.0, str(roots))]


def test_what_a_probe_finds_is_acted_on_at_once(started):
    """Though the loop waits for a status that is due much later."""

    class Chained(Collector):
        def requests(self, knowledge, now, failing):
            self.details = tuple(knowledge.probed)
            yield from super().requests(knowledge, now, failing)

    asleep, vendor = threading.Event(), Vendor()

    def slow(request, now, timeout, ca_file):
        asleep.wait(30)
        return probe_result(request, now, timeout, ca_file)

    poller = started(Chained(every=60.0, hosts=("a",)), vendor, probe=slow)
    eventually(lambda: poller.target.knowledge.as_of and poller.target.probing)
    asleep.set()
    eventually(lambda: "a" in vendor.asked, patience=20)


def test_probes_go_on_when_the_system_allows_no_more_threads(started, monkeypatch):
    """Those that wait for a thread are not in flight for ever."""
    start, spared = threading.Thread.start, 3

    def exhausted(thread):
        nonlocal spared
        spared -= thread.name.startswith("probe ")
        if spared < 0 and thread.name.startswith("probe "):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", exhausted)
    names = [f"host-{number}" for number in range(2 * PROBES_AT_ONCE)]
    poller = started(Collector(hosts=names))
    eventually(lambda: set(poller.target.knowledge.probed) == set(names))
    assert not poller.target.probing


@pytest.mark.parametrize("where", ["requests", "update", "families", "the second family"])
def test_exception_in_a_collector_does_not_stop_polling(started, caplog, monkeypatch, where):
    """It is counted as malformed each time, and logged once with its place, without its message."""
    monkeypatch.setattr("exporter.polling.poller.AFTER_MISTAKE", 0.01)
    monkeypatch.setattr("exporter.polling.scheduler.FIRST", 0.01)
    collector = Collector()
    poller = started(collector)
    eventually(lambda: value(poller))
    collector.broken = where

    def failures():
        assert poller.rendered(time.time(), list) == [] or "famil" not in where
        assert not poller.health().truncated
        return sum(count for (_, outcome), count in poller.health().requests.items() if outcome == "malformed")

    eventually(lambda: failures() >= 3)
    collector.broken = ""
    eventually(lambda: value(poller) and poller.health().success)
    assert len(caplog.records) == 1
    assert "unforeseen KeyError" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.fixture
def waits(monkeypatch):
    """Return the timeouts of all waits for an event, growing."""
    found, wait = [], threading.Event.wait
    monkeypatch.setattr(
        threading.Event, "wait", lambda self, timeout=None: found.append(timeout) or wait(self, timeout)
    )
    return found


def test_follower_looks_for_snapshots_as_often_as_they_are_written(started, tmp_path, waits):
    """Its data is that much older than the leader's."""
    started(storage=Directory(tmp_path, every=7.0), leads=lambda: False)
    eventually(lambda: 7.0 in waits)


def test_nothing_happens_until_a_request_is_due(started, waits):
    """Whatever is answered wakes the loop once: a core would be busy otherwise."""
    poller = started(Collector(every=600.0))
    eventually(lambda: [timeout for timeout in waits if timeout and timeout > 30])
    rested = len(waits)
    time.sleep(0.2)
    assert len(waits) - rested < 5
    assert poller.health().success


def test_target_that_wants_nothing_is_not_too_old(started):
    """Such as an `endpoints_file` whose last endpoint was removed; it goes on when there is one again."""
    collector = Collector(details=("d",))
    poller = started(collector, max_age=0.3)
    eventually(lambda: poller.health().oldest_value)
    collector.every = 0
    poller.wake()
    eventually(lambda: poller.health().last_success is None)
    time.sleep(0.4)
    health = poller.health()
    assert (health.success, health.reason, health.oldest_value, health.series) == (True, "", None, 0)
    collector.every = 0.05
    poller.wake()
    eventually(lambda: poller.health().last_success)


def test_targets_start_one_after_another_within_a_second(started, waits):
    """All at once they would be a burst; those that are polled often need not wait for long."""
    for interval, longest in ((3600.0, 1.0), (1.0, 0.1)):
        started(poll_interval=interval, max_age=7200.0, storage=None)
        assert 0 < eventually(lambda: [timeout for timeout in waits if timeout])[0] <= longest
        waits.clear()


def test_rejected_credentials_are_compared_every_two_seconds(started, waits):
    """New ones are used long before the pause ends."""
    vendor = Vendor()
    vendor.steady = 401
    started(Collector(every=60.0), vendor)
    eventually(lambda: 2.0 in waits)


def test_a_collector_that_fails_is_left_alone_for_seconds(started, waits):
    """A tight loop would fill the log and a core."""
    collector = Collector()
    collector.broken = "requests"
    poller = started(collector)
    eventually(lambda: 5.0 in waits)
    assert poller.health().requests == {("requests", "malformed"): 1}


def test_changed_credentials_end_the_pause_at_once(started, monkeypatch, tmp_path):
    """A changed token is used before the pause after a 401 ends."""
    monkeypatch.setattr("exporter.polling.poller.CREDENTIALS_EVERY", 0.01)
    vendor, file = Vendor(), tmp_path / "token"
    file.write_text("one")
    vendor.steady = 401
    poller = started(vendor=vendor, token=Secret(file=file))
    eventually(lambda: poller.health().paused_reason == "auth")
    assert poller.health().paused_until > time.time() + 20
    time.sleep(0.1)
    assert len(vendor.asked) == 1
    vendor.steady = 200
    file.write_text("two, longer")
    eventually(lambda: poller.health().success, patience=20)
    assert poller.health().paused_reason == ""


def test_polling_goes_on_when_the_clock_is_set_back(started):
    """By hours: its data would look fresh, and not be due, until they have passed again."""
    back = 0.0
    poller = started(clock=lambda: time.time() - back)
    eventually(lambda: value(poller))
    back = 7200.0
    eventually(lambda: (poller.target.knowledge.as_of or time.time()) < time.time() - 3600)


def test_403_on_one_monitor_does_not_pause_the_target(started):
    """The target counts as failing, with the reason."""
    vendor = Vendor()
    vendor.script.extend([200, 403])
    poller = started(Collector(every=0.3, details=("theirs", "ours")), vendor)
    eventually(lambda: "ours" in value(poller))
    assert poller.health().requests["/{id}", "auth"] == 1
    assert (poller.health().success, poller.health().reason[:11]) == (False, "/{id}: auth")


@pytest.mark.parametrize(
    ("most", "left", "cut"), [(9, [2, 1], False), (3, [2, 1], False), (2, [2, 0], True), (1, [1, 0], True)]
)  # fmt: skip
def test_series_limit_drops_the_last_families(most, left, cut):
    """The most important families stay, and `truncated` is 1."""
    families = [Family(VALUE, [(("a",), 1.0), (("b",), 2.0)]), Family(DAYS, [(("a",), 1.0)])]
    limited = Limited(most)
    assert [len(family.samples) for family in limited(families)] == left
    assert (limited.series, limited.cut) == (sum(left), cut)


def test_truncated_page_is_reported(started):
    """`truncated` and the number of series are those of the served page."""
    poller = started(Collector(details=("d",)), series_limit=1)
    eventually(lambda: len(value(poller)) == 1 and poller.health().truncated)
    assert poller.health().series == 1


def test_a_stop_is_quick_and_ends_all_threads(started):
    """Even while the vendor hangs; the cancelled request does not count as the vendor's failure."""
    vendor = Vendor()
    poller = started(vendor=vendor)
    eventually(lambda: value(poller))
    vendor.script.append(threading.Event())
    eventually(lambda: not vendor.script)
    began = time.monotonic()
    poller.stop(30)
    assert time.monotonic() - began < 20
    assert not poller._thread.is_alive()
    assert poller.health().success is True


def test_the_state_survives_a_restart_with_its_age(started, tmp_path):
    """The stored data is served at once, ready and successful, and the spent budget counts."""
    first = started(Collector(every=300.0), storage=Directory(tmp_path), requests_per_minute=2.0)
    eventually(lambda: value(first))
    first.stop(30)
    vendor = Vendor()
    again = Poller(
        settings(requests_per_minute=2.0), Collector(every=300.0), vendor, time.time, lambda _poller: None,
        Directory(tmp_path),
    )  # fmt: skip
    assert again.rendered(time.time(), list) == first.rendered(time.time(), list)
    assert again.health().last_success == first.health().last_success
    health = again.health()
    assert (health.success, health.first_poll_ended) == (True, True)
    assert health.budget_used_ratio == pytest.approx(0.5)
    storage = Directory(tmp_path)
    later = Poller(settings(), Collector(), vendor, lambda: time.time() + 3600, lambda _poller: None, storage)
    assert later.rendered(time.time() + 3600, list) == []
    assert later.health().first_poll_ended is False


@pytest.mark.parametrize(("settled", "assumed"), [(False, 20), (True, 0)])
def test_a_killed_exporter_may_have_sent_more_than_it_stored(tmp_path, settled, assumed):
    """So much counts as sent, the burst that it had saved; after a clean stop nothing does."""
    place, collector = Directory(tmp_path), Collector()
    budget = replace(Budget.start(400.0, 990.0), tokens=20.0, settled=settled)
    Snapshot(place, settings(), collector).write(Target(knowledge=Known(), budget=budget), 990.0)
    again = Poller(settings(requests_per_minute=400.0), collector, Vendor(), lambda: 990.0, lambda _poller: None, place)
    assert again.health().budget_used_ratio == pytest.approx(assumed / 400)


def test_leader_after_one_that_was_killed_waits_for_its_unstored_requests(started, tmp_path):
    """They count as sent, and so the first request has to wait."""
    place, leading, vendor = Directory(tmp_path, every=0.02), [], Vendor()
    chosen = settings(requests_per_minute=1.0, max_age=300.0)
    budget = replace(Budget.start(1.0, time.time()), settled=False)
    Snapshot(place, chosen, Collector()).write(Target(knowledge=Known(), budget=budget), time.time())
    follower = started(
        vendor=vendor, storage=place, leads=lambda: bool(leading), requests_per_minute=1.0, max_age=300.0
    )
    leading.append(True)
    eventually(lambda: follower.health().next_poll)
    assert follower.health().next_poll > time.time() + 20
    assert vendor.asked == []


def test_a_pause_that_withdraws_the_series_is_logged_once(started, caplog):
    """Whatever wakes the loop meanwhile."""
    vendor = Vendor()
    vendor.script.extend([200, 429])
    poller = started(Collector(every=20.0, details=("d",)), vendor, max_age=30.0)
    eventually(lambda: "longer than max_age" in caplog.text)
    wakes = iter(range(5))
    eventually(lambda: poller.wake() or next(wakes, None) is None)
    assert caplog.text.count("requests are paused (rate_limited) for longer than max_age") == 1


def test_snapshots_are_stored_while_running(started, tmp_path):
    """A kill loses only seconds, even if nothing is due for long."""
    started(Collector(every=600.0), storage=Directory(tmp_path, every=0.05))
    eventually(lambda: any(b'"as_of":1' in file.read_bytes() for file in tmp_path.glob("*.json")), patience=20)


def test_follower_serves_the_leaders_snapshots(started, tmp_path):
    """With their age, success and budget; only the leader sends requests."""
    leader = started(Collector(details=("d",)), storage=Directory(tmp_path, every=0.05))
    vendor, changes = Vendor(), []
    follower = started(
        Collector(details=("d",)),
        vendor,
        storage=Directory(tmp_path, every=0.05),
        leads=lambda: False,
        on_change=changes.append,
    )
    eventually(lambda: {"status", "d"} <= set(value(follower)))
    seen = follower.health().last_success
    eventually(lambda: follower.health().last_success > seen)
    health = follower.health()
    assert (health.success, health.first_poll_ended, dict(health.requests)) == (True, True, {})
    assert health.last_success <= leader.health().last_success
    assert health.rate_limit_remaining == 50
    assert set(changes) == {follower}
    assert vendor.asked == []


def test_follower_has_the_leaders_health(started, tmp_path):
    """Even if the leader has no data: the failure itself is known."""
    vendor = Vendor()
    vendor.steady = 404
    started(vendor=vendor, storage=Directory(tmp_path, every=0.05))
    follower = started(storage=Directory(tmp_path, every=0.05), leads=lambda: False)
    eventually(lambda: follower.health().first_poll_ended)
    assert follower.health().success is False


def test_new_leader_continues_from_the_old_ones_state(started, tmp_path):
    """With its knowledge and budget; after a clean stop no unreported requests are assumed."""
    leading = []
    leader = started(Collector(every=300.0), storage=Directory(tmp_path, every=0.05), requests_per_minute=2.0)
    vendor = Vendor()
    follower = started(
        Collector(every=0.05),
        vendor,
        storage=Directory(tmp_path, every=0.05),
        leads=lambda: bool(leading),
        requests_per_minute=2.0,
    )
    eventually(lambda: value(leader))
    leader.stop(30)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    eventually(lambda: value(follower) == value(leader))
    leading.append(True)
    eventually(lambda: follower.health().next_poll is not None)
    assert value(follower) == value(leader)
    assert vendor.asked == []
    assert follower.health().next_poll > time.time() + 20
    assert follower.health().budget_used_ratio == 0.5
    eventually(lambda: {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} != written)


def rests(vendor):
    """Tell whether nothing was asked for a while."""
    asked = len(vendor.asked)
    time.sleep(0.2)
    return len(vendor.asked) == asked


def test_former_leader_stops_polling_and_keeps_its_data(started, tmp_path):
    """At once; it serves the new leader's snapshots, and may lead again."""
    leading, vendor = [True], Vendor()
    poller = started(vendor=vendor, storage=Directory(tmp_path, every=0.05), leads=lambda: bool(leading))
    eventually(lambda: value(poller))
    leading.clear()
    poller.wake()
    eventually(lambda: poller.health().next_poll is None)
    eventually(lambda: rests(vendor))  # a request that was under way when it lost the lead has ended
    asked, known, seen = len(vendor.asked), value(poller), poller.health().last_success
    counted = dict(poller.health().requests)
    other = started(storage=Directory(tmp_path, every=0.05))
    eventually(lambda: poller.health().last_success > seen)
    assert (set(value(poller)), dict(poller.health().requests), len(vendor.asked)) == (set(known), counted, asked)
    other.stop(30)
    leading.append(True)
    poller.wake()
    eventually(lambda: len(vendor.asked) > asked)


def test_new_leader_without_data_keeps_the_followers_data(started, tmp_path):
    """It stores its lead before its first request; a follower keeps serving its data, with its age."""
    leading, storage = [True], Directory(tmp_path, every=0.05)
    poller = started(storage=storage, leads=lambda: bool(leading))
    eventually(lambda: value(poller))
    leading.clear()
    poller.wake()
    eventually(lambda: poller.health().next_poll is None)
    known, as_of = value(poller), poller.health().last_success
    begins = Target(knowledge=Known(), budget=replace(Budget.start(60.0, time.time()), remaining=7.0))
    Snapshot(storage, poller.settings, Collector()).write(begins, time.time())
    eventually(lambda: poller.health().rate_limit_remaining == 7.0)
    assert (value(poller), poller.health().last_success) == (known, as_of)
    assert (poller.health().success, poller.health().first_poll_ended) == (True, True)


def test_follower_whose_clock_is_set_back_drops_its_data(started, tmp_path):
    """It would look fresh until that time has come again, while the leader's own clock is still ahead."""
    storage, ahead = Directory(tmp_path, every=0.05), 7200.0
    leader = started(clock=lambda: time.time() + 7200.0, storage=storage)
    follower = started(clock=lambda: time.time() + ahead, storage=storage, leads=lambda: False)
    eventually(lambda: value(leader) and value(follower) == value(leader))
    ahead = 0.0
    eventually(lambda: not value(follower) and follower.health().last_success is None)
    assert not follower.health().first_poll_ended


def test_stopping_follower_stores_nothing(started, tmp_path):
    """Its data is older than the leader's."""
    leader = started(storage=Directory(tmp_path, every=1000.0))
    eventually(lambda: value(leader))
    leader.stop(30)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    follower = started(storage=Directory(tmp_path, every=0.05), leads=lambda: False)
    eventually(lambda: value(follower))
    follower.stop(30)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == written


def test_no_secret_is_in_a_repr():
    """Neither of the poller nor of its health."""
    poller = Poller(settings(token=Secret("s3cret")), Collector(), Vendor(), time.time, lambda _poller: None)
    assert "s3cret" not in f"{poller!r}{poller.health()!r}{poller.settings!r}"
