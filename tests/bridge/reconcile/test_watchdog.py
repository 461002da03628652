"""The watchdog's silence becomes one event, its return another, and our own rest neither."""

import json
import time
from functools import partial

import pytest

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.errors import Unavailable
from bridge.metrics import Metrics
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Heartbeat, OutboxStatus, Role
from bridge.receivers.alertmanager import Settings
from bridge.receivers.alertmanager import Watchdog as WatchdogSettings
from bridge.reconcile.watchdog import Change, Watchdog, judge
from exporter.toolkit.periodic import Clock
from tests.bridge.alerts import alert_at
from tests.store import Store

T0 = 1_700_000_000.0
SETTINGS = Settings(
    receiver="alertmanager",
    source="prod",
    statuses={"critical": "none"},
    watchdog={"alertname": "Heartbeat", "max_silence": "5m"},
)


BEAT = {"receiver": "alertmanager", "source": "prod", "key": "prod:00aa", "labels": {"alertname": "Heartbeat"}}


def heartbeat_at(at):
    return Heartbeat(**BEAT, firing=True, heard_at=at)


@pytest.mark.parametrize(
    ("heard_ago", "awake", "alarmed", "change"),
    [
        (0, 3600, False, None),
        (300, 3600, False, None),
        (301, 3600, False, Change.ALARM),
        (301, 3600, True, None),
        (301, 300, False, None),
        (86400, 300, False, None),
        (86400, 301, False, Change.ALARM),
        (None, 300, False, None),
        (None, 301, False, Change.ALARM),
        (None, 3600, True, None),
        (0, 3600, True, Change.RECOVERED),
        (0, 0, True, Change.RECOVERED),
        (-100, 3600, True, Change.RECOVERED),
        (-86400, 3600, False, Change.ALARM),
        (-86400, 3600, True, None),
        (-86400, 60, True, None),
    ],
)
def test_heartbeat_is_silent_after_max_silence(heard_ago, awake, alarmed, change):
    """Since it was received, and since the bridge could receive it; a time far in the future is ignored."""
    heartbeat = None if heard_ago is None else heartbeat_at(T0 - heard_ago)
    settings = WatchdogSettings(max_silence=300.0)
    assert judge(heartbeat, settings, now=T0, awake=awake, alarmed=alarmed) == change


@pytest.mark.parametrize(
    ("heartbeat", "alarmed", "change"),
    [
        (Heartbeat(**BEAT, firing=False, heard_at=T0), False, Change.ALARM),
        (Heartbeat(**BEAT, firing=False, heard_at=T0), True, None),
        (Heartbeat(**BEAT, firing=True, heard_at=T0 - 7 * 86400 - 1), True, Change.FORGOTTEN),
        (Heartbeat(**BEAT, firing=True, heard_at=T0 - 7 * 86400), True, None),
    ],
)
def test_resolved_heartbeat_is_silent_and_an_old_one_is_dropped(heartbeat, alarmed, change):
    """However lately it was resolved; heartbeats of another alert name do not count."""
    settings = WatchdogSettings(max_silence=300.0)
    assert judge(heartbeat, settings, now=T0, awake=3600, alarmed=alarmed) == change


def test_heartbeat_is_not_dropped_before_it_could_arrive():
    """After a week without the bridge."""
    heartbeat, settings = heartbeat_at(T0 - 8 * 86400), WatchdogSettings(max_silence=300.0)
    assert judge(heartbeat, settings, now=T0, awake=299, alarmed=True) is None


class Bench:
    """A watchdog, its outbox and its clock; the clock of the wall may be set apart."""

    def __init__(self, outbox):
        self.outbox = outbox
        self.now, self.set_back = T0, 0.0
        self.metrics = Metrics()
        self.woken = 0
        self.watchdog = self.make()

    def make(self, settings=SETTINGS):
        return Watchdog(
            Outbox(self.outbox.database, self.wake),
            [settings],
            self.metrics,
            clock=Clock(lambda: self.now - self.set_back, lambda: self.now),
        )

    def wake(self):
        self.woken += 1

    def beat(self, cluster="", *, firing=True):
        labels = {"alertname": "Heartbeat", "severity": "none"} | ({"cluster": cluster} if cluster else {})
        alert = Alert(
            receiver="alertmanager",
            source="prod",
            key=f"prod:00{cluster}",
            name="Heartbeat",
            firing=firing,
            labels=labels,
            starts_at=self.now,
        )
        found = Notification(receiver="alertmanager", source="prod", mapping=SETTINGS.mapping, heartbeats=(alert,))
        self.outbox.ingest.accept([found], self.now - self.set_back)

    def wait(self, seconds, every=5):
        """Let time pass, looking all the while."""
        for _ in range(int(seconds / every)):
            self.now += every
            self.watchdog.tick()

    def events(self):
        found = []
        while claimed := self.outbox.queue.claim(10, self.now, 60):
            found += [json.loads(one.body) for one in claimed]
            self.outbox.queue.record(claimed, "accepted", now=self.now)
        return found

    @property
    def silent(self):
        return self.metrics.registry.get_sample_value("vendorwatch_bridge_watchdog_silent", {"source": "prod"})


@pytest.fixture
def bench(tmp_path):
    outbox = Store(f"sqlite:///{tmp_path}/bridge.db")
    yield Bench(outbox)
    outbox.close()


def test_silence_is_one_critical_event_and_its_end_a_resolution(bench, caplog):
    """With an identifier of its own, whatever `statuses` maps "critical" to."""
    bench.watchdog.tick()
    for _ in range(20):
        bench.beat()
        bench.wait(60)
    assert (bench.events(), bench.silent) == ([], 0)
    bench.wait(235)
    assert bench.events() == []
    bench.wait(10)
    (event,) = bench.events()
    assert {name: event[name] for name in ("incident_identifier", "status", "check", "service", "timestamp")} == {
        "incident_identifier": "prod:watchdog",
        "status": "critical",
        "check": "Heartbeat",
        "service": "prod",
        "timestamp": int(bench.now),
    }
    assert "has not come from Alertmanager (prod) for longer than 300 seconds" in event["description"]
    assert bench.silent == 1
    bench.wait(900)
    assert (bench.events(), bench.silent, bench.woken) == ([], 1, 1)
    bench.beat()
    bench.wait(60)
    (event,) = bench.events()
    assert (event["incident_identifier"], event["status"], event["timestamp"]) == (
        "prod:watchdog", "ok", int(bench.now - 55),
    )  # fmt: skip
    assert (bench.silent, bench.woken) == (0, 2)
    assert [record.message for record in caplog.records] == [
        "Watchdog Heartbeat of prod is silent",
        "Watchdog Heartbeat of prod is firing again",
    ]
    bench.wait(600)
    assert [event["status"] for event in bench.events()] == ["critical"]


def test_alert_sent_before_it_became_the_watchdog_is_resolved(bench):
    """Its webhooks are heartbeats from then on, and Alertmanager always lists it: it stayed open for ever."""
    plain = SETTINGS.model_copy(update={"watchdog": None})
    sent = alert_at(T0, "00", name="Heartbeat", severity="warning")
    bench.outbox.ingest.accept([plain.notification(alerts=(sent, alert_at(T0, "x", severity="warning")))], T0)
    bench.beat()
    bench.make(plain).tick()
    assert [event["status"] for event in bench.events()] == ["warning", "warning"]
    bench.wait(60)
    assert [(event["incident_identifier"], event["status"]) for event in bench.events()] == [("prod:00", "ok")]


def test_each_label_set_is_a_heartbeat_of_its_own(bench):
    """Two clusters behind one Alertmanager: one falls silent, the other is resolved, each has its alert."""
    bench.watchdog.tick()
    for _ in range(10):
        bench.beat("a")
        bench.beat("b")
        bench.wait(60)
    for _ in range(10):
        bench.beat("b")
        bench.wait(60)
    (event,) = bench.events()
    assert (event["incident_identifier"], event["status"]) == ("prod:watchdog:00a", "critical")
    assert (event["cluster"], "(cluster=a)" in event["description"]) == ("a", True)
    bench.beat("b", firing=False)
    bench.wait(10)
    assert [(event["incident_identifier"], event["status"]) for event in bench.events()] == [
        ("prod:watchdog:00b", "critical")
    ]
    bench.beat("a")
    bench.beat("b")
    bench.wait(10)
    assert {(event["incident_identifier"], event["status"]) for event in bench.events()} == {
        ("prod:watchdog:00a", "ok"),
        ("prod:watchdog:00b", "ok"),
    }
    assert bench.silent == 0


def test_removed_label_set_is_dropped_after_forget_after(bench):
    """Its alert is resolved; a single remaining one has the plain name."""
    settings = SETTINGS.model_copy(update={"watchdog": SETTINGS.watchdog.model_copy(update={"forget_after": 3600.0})})
    bench.watchdog = bench.make(settings)
    bench.beat("gone")
    for _ in range(100):
        bench.beat("b")
        bench.wait(60, every=20)
    assert [(event["incident_identifier"], event["status"]) for event in bench.events()] == [
        ("prod:watchdog:00gone", "critical"),
        ("prod:watchdog:00gone", "ok"),
    ]
    assert [beat.key for beat in bench.outbox.status.heartbeats()] == ["prod:00b"]
    bench.wait(400)
    assert [(event["incident_identifier"], event["status"]) for event in bench.events()] == [
        ("prod:watchdog", "critical")
    ]


def test_alert_is_renamed_when_a_second_label_set_arrives(bench):
    """With one label set the alert needs no labels; with the second both have them, and the old alert is resolved."""
    bench.watchdog.tick()
    bench.beat("a")
    bench.wait(400)
    bench.beat("b")
    bench.wait(10)
    assert [(event["incident_identifier"], event["status"]) for event in bench.events()] == [
        ("prod:watchdog", "critical"),
        ("prod:watchdog:00a", "critical"),
        ("prod:watchdog", "ok"),
    ]


def test_watchdog_that_never_arrived_is_silent(bench):
    """An Alertmanager that never sent it is detected."""
    bench.watchdog.tick()
    bench.wait(300)
    assert bench.events() == []
    bench.wait(5)
    assert [event["status"] for event in bench.events()] == ["critical"]


def test_restart_restarts_the_silence(bench):
    """An alert from before stays until the watchdog arrives."""
    bench.watchdog.tick()
    bench.beat()
    bench.now += 86400
    bench.watchdog = bench.make()
    bench.watchdog.tick()
    bench.wait(295)
    assert bench.events() == []
    bench.wait(10)
    assert [event["status"] for event in bench.events()] == ["critical"]
    bench.now += 86400
    bench.watchdog = bench.make()
    bench.watchdog.tick()
    bench.wait(600)
    assert (bench.events(), bench.silent) == ([], 1)
    bench.beat()
    bench.watchdog.tick()
    assert [event["status"] for event in bench.events()] == ["ok"]


def test_own_outage_is_no_silence(bench, monkeypatch):
    """While the database is unavailable, or the machine sleeps, heartbeats cannot arrive."""
    bench.watchdog.tick()
    bench.beat()

    def gone(_status):
        raise Unavailable("database: not reached")

    with monkeypatch.context() as patched:
        patched.setattr(OutboxStatus, "heartbeats", gone)
        for _ in range(200):
            bench.now += 5
            with pytest.raises(Unavailable):
                bench.watchdog.tick()
    bench.wait(300)
    assert bench.events() == []
    for missed in (7200, 21):
        bench.now += missed
        bench.watchdog.tick()
        bench.wait(295)
        assert bench.events() == []
    bench.wait(10)
    assert [event["status"] for event in bench.events()] == ["critical"]


@pytest.mark.parametrize("set_back", [7200.0, -7200.0])
def test_clock_change_is_no_silence(bench, set_back):
    """The sender has the whole time from then on."""
    bench.watchdog.tick()
    for _ in range(10):
        bench.beat()
        bench.wait(60)
    bench.set_back = set_back
    bench.wait(240)
    assert bench.events() == []
    for _ in range(10):
        bench.beat()
        bench.wait(60)
    assert bench.events() == []


def test_another_replica_takes_over_when_the_lease_ends(bench):
    """Fifteen seconds after a dead one noticed the silence."""
    if bench.outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    first, second = bench.watchdog, bench.make()
    for _ in range(63):
        bench.now += 5
        first.tick()
    assert [event["status"] for event in bench.events()] == ["critical"]
    bench.beat()
    bench.now += 1
    second.tick()
    events = []
    while not events:
        bench.now += 1
        second.tick()
        events = bench.events()
    assert bench.now == T0 + 310 + 15


def test_only_one_replica_alerts(bench):
    """Both detect the silence, BigPanda gets one event; one that stops lets another take over at once."""
    first, second = bench.watchdog, bench.make()
    for _ in range(100):
        bench.now += 5
        first.tick()
        second.tick()
    assert len(bench.events()) == 1
    bench.beat()
    first.tick()
    first.stop()
    first.run()
    assert Role(bench.outbox.database, "watchdog", 15.0).lead(bench.now)


def test_removed_watchdog_resolves_its_alert(bench):
    """A watchdog that was taken out of the configuration leaves nothing open."""
    bench.watchdog.tick()
    bench.wait(310)
    assert [event["status"] for event in bench.events()] == ["critical"]
    unwatched = SETTINGS.model_copy(update={"watchdog": None})
    silent = partial(bench.metrics.registry.get_sample_value, "vendorwatch_bridge_watchdog_silent", {"source": "prod"})
    assert silent() == 1
    bench.watchdog.change([unwatched])
    bench.wait(60)
    assert [event["status"] for event in bench.events()] == ["ok"]
    assert silent() is None
    bench.watchdog.change([])
    bench.wait(60)
    assert bench.events() == []


def test_longer_max_silence_resolves_at_the_next_tick(bench):
    """After a reload."""
    bench.watchdog.tick()
    bench.wait(250)
    patient = SETTINGS.model_copy(update={"watchdog": SETTINGS.watchdog.model_copy(update={"max_silence": 600.0})})
    bench.watchdog.change([patient])
    bench.wait(300)
    assert bench.events() == []


@pytest.mark.parametrize(("max_silence", "tick"), [(0.01, 0.1), (2.0, 0.25), (300.0, 5.0), (86400.0, 5.0)])
def test_watchdog_runs_often_enough(bench, max_silence, tick):
    """Several times within max_silence, and not more often than needed."""
    watched = SETTINGS.watchdog.model_copy(update={"max_silence": max_silence})
    settings = SETTINGS.model_copy(update={"watchdog": watched})
    assert bench.make(settings).interval == tick


def test_loop_survives_unexpected_errors_and_stops(tmp_path, caplog, monkeypatch):
    """A missing database and unexpected errors are logged once each."""
    outbox = Store(f"sqlite:///{tmp_path}/bridge.db")
    settings = SETTINGS.model_copy(update={"watchdog": SETTINGS.watchdog.model_copy(update={"max_silence": 1.0})})
    found = []
    errors = [Unavailable("database: busy"), Unavailable("database: busy"), RuntimeError("unforeseen")]
    heartbeats = OutboxStatus.heartbeats

    def shaky(status):
        if errors:
            raise errors.pop(0)
        return heartbeats(status)

    monkeypatch.setattr(OutboxStatus, "heartbeats", shaky)
    watched = [settings]
    watchdog = Watchdog(Outbox(outbox.database, lambda: found.append(1)), watched, Metrics())
    watchdog.start()
    end = time.monotonic() + 30
    while not found and time.monotonic() < end:
        time.sleep(0.02)
    watchdog.stop(30)
    assert [key.status for key in outbox.alerts.open_alerts("prod")] == ["critical"]
    outbox.close()
    messages = [record.message for record in caplog.records]
    assert messages.count("Watching heartbeats paused: database: busy") == 1
    assert messages.count("Watching heartbeats failed unexpectedly") == 1
