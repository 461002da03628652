"""Alerts that expire, because their sender does not report the end."""

import threading
import time
from dataclasses import replace

import pytest

from bridge.domain.alert import Alert
from bridge.domain.alert_state import Member
from bridge.domain.notification import Notification
from bridge.errors import Unavailable
from bridge.outbox.alerts import Alerts
from bridge.outbox.outbox import Outbox
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.vigilmon import Settings, translate
from bridge.reconcile.expiry import Expiry, expired
from exporter.toolkit.periodic import Clock
from tests.store import Store

T0 = 1_795_200_000.0
DAY, HOUR = 86_400.0, 3600.0
DOWN = {"event": "monitor_down", "monitor": {"id": 2, "name": "svc"}, "checked_at": "2026-11-20T11:38:00+00:00"}


def expiring(days, host="svc2.example.com"):
    date = "2026-12-04T23:59:59+00:00"
    return {"event": "ssl.expiring", "monitor_url": f"https://{host}", "days_remaining": days, "expires_at": date}


class Bench:
    """An outbox that Vigilmon sends to, and the loop that looks after it, by a clock of the test's."""

    def __init__(self, outbox, after=3 * DAY):
        self.outbox, self.now, self.woken = outbox, T0, 0
        self.settings = Settings(receiver="vigilmon", source="s", certificate_resolve_after=after)
        self.mapping = self.settings.mapping
        falling = [self.settings]
        self.expiry = Expiry(Outbox(outbox.database, self.wake), falling, clock=Clock(lambda: self.now))

    def wake(self):
        self.woken += 1

    def send(self, body, receiver="vigilmon"):
        alerts = translate(body, self.settings.model_copy(update={"receiver": receiver}), self.now).alerts
        notification = Notification(receiver=receiver, source="s", alerts=alerts, mapping=self.mapping)
        return self.outbox.ingest.accept([notification], self.now)[0].queued

    def open(self):
        return [one.key for one in self.outbox.alerts.open_alerts("s")]


@pytest.fixture
def outbox(tmp_path):
    opened = Store(f"sqlite:///{tmp_path}/bridge.db")
    yield opened
    opened.close()


def test_certificate_alert_expires_without_webhooks(outbox):
    """After certificate_resolve_after, not before; monitors, and other receivers' alerts, stay."""
    bench = Bench(outbox)
    bench.send(DOWN)
    bench.send(expiring(14))
    bench.send(expiring(14, "other.example.com"), receiver="another")
    bench.now = T0 + 3 * DAY - 1
    bench.expiry.tick()
    assert (len(bench.open()), bench.woken) == (3, 0)
    bench.now = T0 + 3 * DAY
    bench.expiry.tick()
    assert bench.open() == ["s:certificate:other.example.com:443", "s:monitor:2"]
    assert bench.woken == 1
    assert [one.status for one in outbox.queue.claim(9, bench.now, 60.0)][:2] == ["critical", "warning"]


def test_repeated_alert_does_not_expire(outbox):
    """A repeat, or a day less, restarts the time; an older state opens nothing again."""
    bench = Bench(outbox)
    bench.send(expiring(14))
    for day, days in ((2, 14), (4, 10)):
        bench.now = T0 + day * DAY
        bench.send(expiring(days))
        bench.expiry.tick()
        assert len(bench.open()) == 1
    bench.now = T0 + 7 * DAY
    bench.expiry.tick()
    assert bench.open() == []
    assert [bench.send(expiring(days)) for days in (11, 10, 9)] == [0, 1, 1]


def test_expiry_is_off_by_default(outbox):
    """With 0s the database is not read."""
    bench = Bench(outbox, after=0.0)
    bench.send(expiring(14))
    bench.now = T0 + 400 * DAY
    bench.expiry.tick()
    assert (len(bench.open()), bench.expiry.tick()) == (1, None)


@pytest.mark.parametrize(("after", "tick"), [(3 * DAY, 60.0), (80.0, 10.0), (0.1, 0.25)])
def test_expiry_runs_often_enough(outbox, after, tick):
    """Several times within the shortest time, never without a pause."""
    assert Bench(outbox, after).expiry.interval == tick


def test_loop_survives_errors_and_uses_new_settings(outbox, caplog, monkeypatch):
    """A busy database and our own errors are logged; a reload takes effect at once."""
    bench = Bench(outbox)
    bench.send(expiring(14))
    failures = [Unavailable("busy"), ZeroDivisionError("no"), None]

    open_alerts = Alerts.open_alerts

    def shaky(alerts, source):
        if threading.current_thread().name == "expiry" and failures and (failure := failures.pop(0)):
            raise failure
        return open_alerts(alerts, source)

    monkeypatch.setattr(Alerts, "open_alerts", shaky)
    expiry = Expiry(outbox, [], clock=Clock(lambda: T0 + 3 * DAY))
    expiry.start()
    deadline = time.monotonic() + 30
    while bench.open() and time.monotonic() < deadline:
        expiry.change([bench.settings])
        time.sleep(0.01)
    expiry.stop(30)
    assert bench.open() == []
    assert "busy" in caplog.text
    assert "failed unexpectedly" in caplog.text


class Repeating:
    """An Alertmanager that repeats what fires, and an alert that is resolved an hour after its last word."""

    def __init__(self, outbox):
        self.outbox, self.now = outbox, T0
        self.settings = AlertmanagerSettings(receiver="alertmanager", source="am", resolve_after=HOUR)
        self.expiry = self.make()

    def make(self):
        return Expiry(self.outbox, [self.settings], clock=Clock(lambda: self.now))

    def fire(self):
        alert = Alert(
            receiver="alertmanager",
            source="am",
            key="am:1",
            name="Down",
            firing=True,
            severity="critical",
            starts_at=T0,
            at=self.now,
        )
        return self.outbox.ingest.accept([self.settings.notification(alerts=(alert,))], self.now)[0].queued

    def wait(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.now += min(60.0, end - self.now)
            self.expiry.tick()

    @property
    def open(self):
        return bool(self.outbox.alerts.open_alerts("am"))


def test_resolve_after_resolves_an_unrepeated_alert(outbox):
    """A repeat without a change counts."""
    world = Repeating(outbox)
    world.expiry.tick()
    assert world.fire() == 1
    world.wait(HOUR - 60)
    assert world.fire() == 0
    world.wait(HOUR - 60)
    assert world.open
    world.wait(60)
    assert not world.open
    assert world.fire() == 1


@pytest.mark.parametrize("gap", [3 * HOUR, 250.0, -3 * HOUR], ids=["ahead", "a little", "back"])
def test_downtime_of_the_bridge_does_not_count(outbox, gap):
    """After a stop, or a clock change, the sender has the rest of its time."""
    world = Repeating(outbox)
    world.expiry.tick()
    world.fire()
    world.wait(HOUR / 2)
    world.now += gap
    world.expiry = world.make()
    world.wait(HOUR / 2 - 120)
    assert world.open
    world.wait(240 if gap > 0 else HOUR)
    assert not world.open


@pytest.mark.parametrize("late", [False, True])
def test_clock_that_was_ahead_for_a_while_delays_no_expiry(outbox, late):
    """What was heard meanwhile counts as of the step back, no downtime is left, and nothing ends before its time."""
    world = Repeating(outbox)
    if late:
        world.settings = world.settings.model_copy(update={"resolve_after": 0.0})
    world.expiry.tick()
    world.fire()
    world.wait(600)
    world.now += 3 * HOUR
    world.expiry.tick()
    world.fire()
    world.settings = world.settings.model_copy(update={"resolve_after": HOUR})
    world.now -= 3 * HOUR
    world.expiry = world.make()
    world.wait(HOUR - 60)
    assert world.open
    world.wait(180)
    assert not world.open


def test_downtime_before_the_last_repeat_does_not_count(outbox):
    """Another replica may have heard it while this one was down."""
    world = Repeating(outbox)
    world.fire()
    states, heard = outbox.alerts.open_alerts("am"), {"am:1": T0 + HOUR}
    for quiet, ended in ((HOUR, 0), (HOUR + 1800, 1)):
        found = expired(states, world.settings, T0 + HOUR + quiet, heard, [(T0, T0 + 1.5 * HOUR)])
        assert len(list(found)) == ended


def test_repeat_of_any_alert_of_an_identity_counts(outbox):
    """Each is recorded by its own key."""
    world = Repeating(outbox)
    world.fire()
    (state,) = outbox.alerts.open_alerts("am")
    shared = replace(state, members={"am:own": Member(replace(state.alert, key="am:own"), state.status)})
    for heard, ended in ((T0 + 1, 0), (T0, 1)):
        assert len(list(expired([shared], world.settings, T0 + HOUR, {"am:own": heard}, []))) == ended


def test_every_process_knows_the_downtime(outbox):
    """Another replica that looks after the first one, and a process started soon after, do not count it either."""
    world = Repeating(outbox)
    other = world.make()
    world.expiry.tick()
    world.fire()
    world.now += 3 * HOUR
    for expiry in (world.expiry, other, world.make()):
        expiry.tick()
        assert world.open
    world.wait(HOUR - 60)
    assert world.open
    world.wait(60)
    assert not world.open
    outbox.retention.prune(world.now + 1, 100)
    assert outbox.status.deaf() == []
