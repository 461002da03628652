"""The follow-up of BigPanda's incidents, with a real outbox and fakes of BigPanda and Alertmanager."""

import logging
import threading
import time

import pytest

from bridge.app import Bridge, Start
from bridge.config import load
from bridge.domain.incident import NEW, Incident
from bridge.domain.notification import Notification
from bridge.errors import Rejected, Stopped, Transient, Unavailable
from bridge.incidents.follow_up import FollowUp
from bridge.incidents.silence_plan import Silence, Verb, tagged_key
from bridge.metrics import Metrics
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Role
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Settings
from exporter.toolkit.periodic import Clock
from exporter.toolkit.web_config import WebConfigFile
from tests.bridge.alerts import alert_at

T0 = 1_795_200_000.0
RECEIVER = AlertmanagerSettings(receiver="alertmanager", source="prod", app_key="app")
MAPPING = RECEIVER.mapping


def settings(**more):
    callback = {"api_key": "us3r-key", "app_key": "out"}
    return Settings(
        receiver="bigpanda",
        source="panda",
        **{"callback": callback, "silences": {"alertmanager": "http://am"}, "reopen_after": "10m", **more},
    )


class Panda:
    """BigPanda's callback service; it rejects requests while `refuses` is set."""

    def __init__(self):
        self.confirmed, self.refuses = [], None

    def confirm(self, incident):
        self.confirmed.append(incident)
        if self.refuses:
            raise self.refuses

    def close(self):
        self.refuses = Transient("closed")


class Alertmanager:
    """Silences as Alertmanager keeps them: a change makes a new id. `owner`: the mark it was asked to use."""

    def __init__(self):
        self.kept, self.refuses, self.looks, self.number, self.owner = {}, None, 0, 0, ""
        self.lost_answer = False

    def __call__(self, _settings, owner):
        self.owner = owner
        return self

    def ours(self):
        self.looks += 1
        if self.refuses and not isinstance(self.refuses, Rejected):
            raise self.refuses
        return list(self.kept.values())

    def do(self, step, now):
        del now
        if self.refuses:
            raise self.refuses
        if step.silence:
            self.kept.pop(step.silence.id, None)
        if step.verb is not Verb.EXPIRE:
            self.number += 1
            one = step.wanted
            key = tagged_key("vendorwatch-bridge", one.comment, self.owner)
            self.kept[f"s{self.number}"] = Silence(
                id=f"s{self.number}",
                key=key,
                matchers=one.matchers,
                starts_at="then",
                ends_at=one.ends_at,
                comment=one.comment,
            )
        if self.lost_answer:
            self.lost_answer = False
            raise Transient("no answer in time")

    def close(self):
        self.refuses = Transient("closed")

    def silenced(self):
        return {one.key: one.ends_at - T0 for one in self.kept.values()}


class Bench:
    """One outbox, one BigPanda, one Alertmanager, and as many replicas as a test makes."""

    def __init__(self, outbox):
        self.outbox, self.now, self.woken = outbox, T0, 0
        self.panda, self.alertmanager, self.metrics = Panda(), Alertmanager(), Metrics()
        self.incidents = self.make()

    def make(self, **more):
        return FollowUp(
            Outbox(self.outbox.database, self.wake),
            settings(**more),
            {("alertmanager", "prod"): RECEIVER},
            self.metrics,
            callbacks=self.panda,
            silences=self.alertmanager,
            clock=Clock(lambda: self.now, lambda: self.now, chance=lambda: 0.5),
        )

    def wake(self):
        self.woken += 1

    def restart(self):
        """Begin again with nothing but what is stored; the lease of the process before has ended."""
        self.incidents._role.close()
        self.now += 60
        self.incidents = self.make()

    def fires(self, *names, firing=True):
        alerts = [alert_at(self.now, name, firing=firing) for name in names]
        notification = Notification(receiver="alertmanager", source="prod", alerts=alerts, mapping=MAPPING)
        return self.outbox.ingest.accept([notification], self.now)[0]

    def webhook(self, number="i", keys=("prod:a",), **said):
        said = {"status": "critical", "active": True, "snoozed": False, **said}
        incident = Incident(
            id=number, updated_at=self.now, keys=keys, digest=f"{self.now}{sorted(said.items())}", **said
        )
        notification = Notification(
            receiver="bigpanda", source="panda", alerts=(), mapping=MAPPING, incidents=(incident,), confirm=True
        )
        return self.outbox.ingest.accept([notification], self.now)[0]

    def snoozes(self, seconds=3600, **said):
        return self.webhook(snoozed=True, snoozed_until=T0 + seconds, **said)

    def turn(self, after=5.0):
        self.now += after
        self.incidents.tick()

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"vendorwatch_bridge_{name}", {"source": "panda", **labels})

    def deliver(self):
        claimed = self.outbox.queue.claim(100, self.now, 60.0)
        self.outbox.queue.record(claimed, "accepted", now=self.now)
        return [(one.key, one.status) for one in claimed]


@pytest.fixture
def bench(outbox):
    return Bench(outbox)


def test_a_share_is_confirmed_once(bench):
    """However often the webhook arrives and the loop runs, before and after a restart."""
    bench.webhook()
    bench.webhook()
    bench.turn()
    bench.webhook(severity="critical")
    bench.turn()
    bench.restart()
    bench.turn()
    assert bench.panda.confirmed == ["i"]
    assert bench.counted("callbacks_total", outcome="accepted") == 1
    bench.webhook(event=NEW)
    bench.turn()
    assert bench.panda.confirmed == ["i", "i"]


@pytest.mark.parametrize("error", [Transient("answered 503"), Transient("no answer"), Stopped("answered 401")])
def test_failed_callback_is_retried_until_accepted(bench, error, caplog):
    """Across restarts; the others wait with it, and it is logged once."""
    bench.panda.refuses = error
    bench.webhook("i")
    bench.webhook("j")
    bench.turn()
    assert bench.panda.confirmed == ["i"]
    bench.restart()
    bench.turn()
    bench.turn(120)
    assert caplog.text.count("shares of panda are queued") == 2
    assert "us3r-key" not in caplog.text
    bench.panda.refuses = None
    bench.panda.confirmed.clear()
    bench.turn(120)
    bench.turn(120)
    assert sorted(bench.panda.confirmed) == ["i", "j"]


def test_rejected_callback_is_dropped(bench):
    """The incident may be deleted; the next callback is still sent."""
    bench.panda.refuses = Rejected("BigPanda answered 400")
    bench.webhook("i")
    bench.webhook("j")
    bench.turn()
    bench.turn(3600)
    assert bench.panda.confirmed == ["i", "j"]
    assert bench.counted("callbacks_total", outcome="rejected") == 2


def test_callback_is_dropped_after_a_day(bench):
    """BigPanda has continued by itself long before."""
    bench.panda.refuses = Transient("answered 503")
    bench.webhook()
    bench.turn()
    bench.turn(86400 - 60)
    bench.turn(120)
    assert bench.panda.confirmed == ["i", "i"]
    assert bench.outbox.incidents.due_callbacks("panda", bench.now + 1e6) == []


def test_snooze_is_silenced_until_its_end(bench):
    """Only the incident's alerts; a changed end changes the silence, waking expires it."""
    bench.fires("a", "b", "c")
    bench.snoozes(keys=("prod:a", "prod:b"))
    bench.turn()
    assert bench.alertmanager.silenced() == {"prod:a": 3600, "prod:b": 3600}
    bench.snoozes(7200, keys=("prod:a", "prod:b"))
    bench.turn()
    assert bench.alertmanager.silenced() == {"prod:a": 7200, "prod:b": 7200}
    bench.webhook()
    bench.turn()
    assert bench.alertmanager.silenced() == {}
    counted = [bench.counted("silences_total", action=verb) for verb in ("created", "updated", "expired")]
    assert counted == [2, 2, 2]


@pytest.mark.parametrize("said", [{"status": "ok"}, {"active": False}, {"keys": ()}])
def test_closed_or_emptied_incident_ends_its_silences(bench, said):
    """Closed manually, by its alerts, or because its alerts were merged away."""
    bench.fires("a")
    bench.snoozes()
    bench.turn()
    bench.now += 1
    bench.snoozes(**said)
    bench.turn()
    assert bench.alertmanager.silenced() == {}


def test_lost_silence_is_created_again_during_the_snooze(bench):
    """Alertmanager is polled now and then, not on each tick; after the end nothing is created."""
    bench.fires("a")
    bench.snoozes(100)
    bench.turn()
    bench.alertmanager.kept.clear()
    bench.turn()
    assert (bench.alertmanager.silenced(), bench.alertmanager.looks) == ({}, 1)
    bench.turn(10)
    assert bench.alertmanager.silenced() == {"prod:a": 100}
    bench.alertmanager.kept.clear()
    bench.turn(100)
    assert bench.alertmanager.silenced() == {}


def test_unrecorded_silence_is_found(bench):
    """The process died between request and response, or the response was lost."""
    bench.fires("a")
    bench.snoozes()
    bench.alertmanager.lost_answer = True
    bench.turn()
    bench.turn(60)
    bench.restart()
    bench.turn()
    assert bench.alertmanager.number == 1
    assert bench.alertmanager.silenced() == {"prod:a": 3600}


def test_snooze_survives_a_restart(bench):
    """A webhook answered 200 is carried out; if the incident was woken meanwhile, the silence ends."""
    bench.fires("a")
    bench.snoozes()
    bench.restart()
    bench.turn()
    assert bench.alertmanager.silenced() == {"prod:a": 3600}
    bench.webhook()
    bench.restart()
    bench.turn()
    assert bench.alertmanager.silenced() == {}


@pytest.mark.parametrize("error", [Transient("answered 503"), Transient("no answer"), Stopped("answered 401")])
def test_unavailable_alertmanager_is_retried(bench, error, caplog):
    """With a pause, logged once, and again when it is available."""
    bench.fires("a")
    bench.snoozes()
    bench.alertmanager.refuses = error
    bench.turn()
    bench.turn(0.01)
    assert bench.alertmanager.looks == 1
    bench.turn(120)
    assert bench.alertmanager.looks == 2
    assert caplog.text.count("Alertmanager unavailable, not silencing snoozes of panda") == 1
    bench.alertmanager.refuses = None
    bench.turn(120)
    assert bench.alertmanager.silenced() == {"prod:a": 3600}
    assert bench.counted("silence_failures_total") == 2


def test_changed_silence_is_not_delayed_by_a_rejection(bench, caplog):
    """The rejected one waits for its time."""
    bench.fires("a")
    bench.snoozes()
    bench.alertmanager.refuses = Rejected("answered 400")
    bench.turn()
    bench.turn(60)
    assert caplog.text.count("Silence for prod:a rejected, not created: answered 400") == 1
    bench.alertmanager.refuses = None
    bench.snoozes(7200)
    bench.turn()
    assert bench.alertmanager.silenced() == {"prod:a": 7200}


@pytest.mark.parametrize("stops", [False, True], ids=["lost the role", "reloaded without silences"])
def test_rejected_silences_are_those_of_the_replica_that_acts(bench, stops):
    """Another replica takes over, or `silences` is no longer configured: an alert about them would have no end."""
    if bench.outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    bench.fires("a")
    bench.snoozes()
    bench.alertmanager.refuses = Rejected("answered 400")
    bench.turn()
    assert bench.counted("silence_refusals") == 1
    if stops:
        bench.incidents.close()
    else:
        bench.now += 60
        bench.make().tick()
        bench.turn()
        assert bench.incidents.refused_silences == {}
    assert bench.counted("silence_refusals") == 0


def test_clock_set_back_delays_no_callback(bench):
    """A retry scheduled by a clock that was ahead is due now."""
    bench.panda.refuses = Transient("answered 503")
    bench.webhook()
    bench.turn()
    bench.panda.refuses = None
    bench.turn(-7200)
    assert bench.panda.confirmed == ["i", "i"]


def test_only_one_replica_acts(bench):
    """The other takes over when the lease ends."""
    if bench.outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    bench.webhook()
    bench.turn()
    other = bench.make()
    assert other.tick() == bench.incidents.tick() == 5
    bench.webhook("j")
    bench.now += 5
    other.tick()
    bench.now += 14
    other.tick()
    assert bench.panda.confirmed == ["i"]
    bench.now += 1
    other.tick()
    assert bench.panda.confirmed == ["i", "j"]


def test_manually_closed_incident_is_reopened_only_after_reopen_after(bench):
    """It is counted; the alert is resent once, if it still fires."""
    bench.fires("a", "b")
    assert len(bench.deliver()) == 2
    bench.webhook(keys=("prod:a", "prod:b"))
    bench.now += 60
    assert bench.webhook(active=False, keys=("prod:a", "prod:b")).closed_manually == {"prod": 2}
    bench.turn(599)
    assert bench.deliver() == []
    bench.fires("b", firing=False)
    assert bench.deliver() == [("prod:b", "ok")]
    bench.turn(1)
    assert bench.deliver() == [("prod:a", "critical")]
    assert (bench.woken, bench.counted("sent_anew_total")) == (1, 1)
    bench.restart()
    bench.turn(3600)
    assert bench.deliver() == []


def test_clock_that_was_ahead_delays_no_reopening(bench):
    """An incident that seems to have been closed in the future was closed before the clock was set back."""
    bench.fires("a")
    bench.deliver()
    bench.webhook()
    bench.now += 60
    bench.webhook(active=False)
    bench.now -= 3600
    bench.turn(0)
    assert bench.deliver() == [("prod:a", "critical")]


def test_alert_that_changed_since_is_not_resent(bench):
    """It ended and fired again: BigPanda has the new event."""
    bench.fires("a")
    bench.deliver()
    bench.webhook()
    bench.now += 60
    bench.webhook(active=False)
    bench.now += 60
    bench.fires("a", firing=False)
    bench.deliver()
    bench.now += 1
    bench.fires("a")
    bench.now += 1
    bench.deliver()
    bench.turn(3600)
    assert bench.deliver() == []


def test_reopening_is_off_by_default(bench):
    """A manually closed incident stays closed."""
    bench.incidents = bench.make(reopen_after="0s")
    bench.fires("a")
    bench.deliver()
    bench.webhook()
    bench.now += 60
    bench.webhook(active=False)
    bench.turn(86400 * 20)
    assert bench.deliver() == []


def test_loop_survives_unexpected_errors(bench, caplog, monkeypatch):
    """An unavailable database and our own errors are logged; a webhook wakes it."""
    caplog.set_level(logging.WARNING)
    errors = [Unavailable("database: busy"), RuntimeError("odd")]
    acted = threading.Event()
    lead = Role.lead

    def fail_first(*arguments, **more):
        if errors:
            raise errors.pop(0)
        acted.set()
        return lead(*arguments, **more)

    monkeypatch.setattr(Role, "lead", fail_first)
    bench.incidents.start()
    while not acted.is_set():
        bench.incidents.wake()
        acted.wait(0.05)
    bench.incidents.stop(30)
    assert "Following incidents of panda paused: database: busy" in caplog.text
    assert "Following incidents of panda failed unexpectedly" in caplog.text


def looking():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("incidents ")]


def test_reload_starts_and_stops_follow_ups(tmp_path):
    """Only receivers with callback, silences or reopen_after have a thread."""
    file = tmp_path / "bridge.yml"
    ground = (
        f"database: sqlite:///{tmp_path}/bridge.db\nbigpanda: {{url: 'http://127.0.0.1:1', app_key: a, token: t}}\n"
    )
    without = f"{ground}receivers:\n  - {{receiver: bigpanda, source: plain, headers: {{x: y}}}}\n"
    file.write_text(without)
    start = Start(config_file=file, addresses=(("127.0.0.1", 0),), web_config=WebConfigFile(None))
    bridge = Bridge(start, load(file))
    bridge.start()
    assert looking() == []
    file.write_text(f"{without}  - {{receiver: bigpanda, source: panda, headers: {{x: y}}, reopen_after: 1h}}\n")
    bridge.reload()
    assert looking() == ["incidents panda"]
    file.write_text(without)
    bridge.reload()
    until = time.monotonic() + 30
    while looking() and time.monotonic() < until:
        time.sleep(0.02)
    assert looking() == []
    bridge.stop()
