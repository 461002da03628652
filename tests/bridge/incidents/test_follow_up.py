"""What follows from BigPanda's incidents, with a real outbox and stand-ins for BigPanda and Alertmanager."""

import logging
import threading
import time

import pytest

from bridge.app import Bridge, Start
from bridge.config import load
from bridge.domain.incident import NEW, Incident
from bridge.domain.notification import Notification
from bridge.errors import Overloaded, Rejected, Stopped, Unavailable, Unreached
from bridge.incidents.follow_up import FollowUp
from bridge.incidents.silence_plan import Silence, Verb, tagged_key
from bridge.metrics import Metrics
from bridge.outbox.status import OutboxStatus
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Settings
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
    """BigPanda's callback service: refuses while told to."""

    def __init__(self):
        self.heard, self.refuses = [], None

    def confirm(self, incident):
        self.heard.append(incident)
        if self.refuses:
            raise self.refuses

    def close(self):
        self.refuses = Unreached("closed")


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
            raise Unreached("no answer in time")

    def close(self):
        self.refuses = Unreached("closed")

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
            self.outbox.database,
            settings(**more),
            {("alertmanager", "prod"): RECEIVER},
            self.metrics,
            wake=self.wake,
            callbacks=self.panda,
            silences=self.alertmanager,
            clock=lambda: self.now,
            steady=lambda: self.now,
            chance=lambda: 0.5,
        )

    def wake(self):
        self.woken += 1

    def restart(self):
        """Begin again with nothing but what is stored; the lease of the process before has ended."""
        self.outbox.status.yield_role(self.incidents._role, self.incidents._owner)
        self.now += 60
        self.incidents = self.make()

    def fires(self, *names, firing=True):
        alerts = [alert_at(self.now, name, firing=firing) for name in names]
        notification = Notification(receiver="alertmanager", source="prod", alerts=alerts, mapping=MAPPING)
        return self.outbox.ingest.accept([notification], self.now)[0]

    def hears(self, number="i", keys=("prod:a",), **said):
        said = {"status": "critical", "active": True, "snoozed": False, **said}
        told = Incident(id=number, updated_at=self.now, keys=keys, digest=f"{self.now}{sorted(said.items())}", **said)
        notification = Notification(
            receiver="bigpanda", source="panda", alerts=(), mapping=MAPPING, incidents=(told,), confirm=True
        )
        return self.outbox.ingest.accept([notification], self.now)[0]

    def snoozes(self, seconds=3600, **said):
        return self.hears(snoozed=True, snoozed_until=T0 + seconds, **said)

    def turn(self, after=5.0):
        self.now += after
        self.incidents.tick()

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"vendorwatch_bridge_{name}", {"source": "panda", **labels})

    def deliver(self):
        claimed = self.outbox.queue.claim(100, "me", self.now, 60.0)
        self.outbox.queue.record(accepted=claimed, now=self.now)
        return [(one.key, one.status) for one in claimed]


@pytest.fixture
def bench(outbox):
    return Bench(outbox)


def test_a_share_is_confirmed_once(bench):
    """However often the webhook comes and the loop turns, before and after a restart."""
    bench.hears()
    bench.hears()
    bench.turn()
    bench.hears(severity="critical")
    bench.turn()
    bench.restart()
    bench.turn()
    assert bench.panda.heard == ["i"]
    assert bench.counted("callbacks_total", outcome="accepted") == 1
    bench.hears(event=NEW)
    bench.turn()
    assert bench.panda.heard == ["i", "i"]


@pytest.mark.parametrize("error", [Overloaded("answered 503"), Unreached("no answer"), Stopped("answered 401")])
def test_a_callback_that_fails_is_tried_again_until_it_is_heard(bench, error, caplog):
    """Over restarts; the others wait with it, and it is told once."""
    bench.panda.refuses = error
    bench.hears("i")
    bench.hears("j")
    bench.turn()
    assert bench.panda.heard == ["i"]
    bench.restart()
    bench.turn()
    bench.turn(120)
    assert caplog.text.count("shares of panda are queued") == 2
    assert "us3r-key" not in caplog.text
    bench.panda.refuses = None
    bench.panda.heard.clear()
    bench.turn(120)
    bench.turn(120)
    assert sorted(bench.panda.heard) == ["i", "j"]


def test_a_callback_that_is_refused_is_given_up(bench):
    """The incident is gone, say; the next one is made all the same."""
    bench.panda.refuses = Rejected("BigPanda answered 400")
    bench.hears("i")
    bench.hears("j")
    bench.turn()
    bench.turn(3600)
    assert bench.panda.heard == ["i", "j"]
    assert bench.counted("callbacks_total", outcome="rejected") == 2


def test_nobody_is_told_after_a_day(bench):
    """BigPanda has gone on by itself long before."""
    bench.panda.refuses = Overloaded("answered 503")
    bench.hears()
    bench.turn()
    bench.turn(86400)
    assert bench.panda.heard == ["i"]
    assert bench.outbox.incidents.due_callbacks("panda", bench.now + 1e6) == []


def test_a_snooze_silences_until_it_ends(bench):
    """Only what is in the incident; another end is another end here, waking ends it."""
    bench.fires("a", "b", "c")
    bench.snoozes(keys=("prod:a", "prod:b"))
    bench.turn()
    assert bench.alertmanager.silenced() == {"prod:a": 3600, "prod:b": 3600}
    bench.snoozes(7200, keys=("prod:a", "prod:b"))
    bench.turn()
    assert bench.alertmanager.silenced() == {"prod:a": 7200, "prod:b": 7200}
    bench.hears()
    bench.turn()
    assert bench.alertmanager.silenced() == {}
    counted = [bench.counted("silences_total", action=verb) for verb in ("created", "updated", "expired")]
    assert counted == [2, 2, 2]


@pytest.mark.parametrize("said", [{"status": "ok"}, {"active": False}, {"keys": ()}])
def test_what_is_closed_or_emptied_is_not_silenced_any_more(bench, said):
    """By hand, by its alerts, or because its alerts were merged away."""
    bench.fires("a")
    bench.snoozes()
    bench.turn()
    bench.now += 1
    bench.snoozes(**said)
    bench.turn()
    assert bench.alertmanager.silenced() == {}


def test_a_silence_that_alertmanager_lost_is_made_again_while_the_snooze_lasts(bench):
    """Alertmanager is looked at now and then, not at each turn; after the end nothing is made."""
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


def test_what_was_made_and_never_noted_is_found(bench):
    """The process died between the request and its answer, or the answer was lost."""
    bench.fires("a")
    bench.snoozes()
    bench.alertmanager.lost_answer = True
    bench.turn()
    bench.turn(60)
    bench.restart()
    bench.turn()
    assert bench.alertmanager.number == 1
    assert bench.alertmanager.silenced() == {"prod:a": 3600}


def test_a_snooze_that_was_heard_before_a_restart_is_followed_after_it(bench):
    """What is answered 200 will be done; what was woken meanwhile is ended."""
    bench.fires("a")
    bench.snoozes()
    bench.restart()
    bench.turn()
    assert bench.alertmanager.silenced() == {"prod:a": 3600}
    bench.hears()
    bench.restart()
    bench.turn()
    assert bench.alertmanager.silenced() == {}


@pytest.mark.parametrize("error", [Overloaded("answered 503"), Unreached("no answer"), Stopped("answered 401")])
def test_an_alertmanager_that_does_not_answer_is_tried_again(bench, error, caplog):
    """With a pause, told once, and told no more when it is over."""
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


def test_a_silence_that_is_refused_is_made_at_once_when_it_differs(bench, caplog):
    """What was refused before waits for its time; another wish does not."""
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


def test_a_clock_that_is_set_back_holds_no_callback(bench):
    """What was to be tried again by a clock that was ahead is tried now."""
    bench.panda.refuses = Overloaded("answered 503")
    bench.hears()
    bench.turn()
    bench.panda.refuses = None
    bench.turn(-7200)
    assert bench.panda.heard == ["i", "i"]


def test_one_replica_alone_acts(bench):
    """The other takes over when the lease has ended."""
    if bench.outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    bench.hears()
    bench.turn()
    other = bench.make()
    bench.hears("j")
    bench.now += 5
    other.tick()
    bench.now += 14
    other.tick()
    assert bench.panda.heard == ["i"]
    bench.now += 1
    other.tick()
    assert bench.panda.heard == ["i", "j"]


def test_what_was_resolved_by_hand_reopens_nothing_by_itself(bench):
    """It is counted, and sent anew after reopen_after only, once, if it fires still."""
    bench.fires("a", "b")
    assert len(bench.deliver()) == 2
    bench.hears(keys=("prod:a", "prod:b"))
    bench.now += 60
    assert bench.hears(active=False, keys=("prod:a", "prod:b")).closed_manually == {"prod": 2}
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


def test_what_was_told_anew_since_is_not_sent_anew(bench):
    """It ended and fired again: BigPanda has heard of it."""
    bench.fires("a")
    bench.deliver()
    bench.hears()
    bench.now += 60
    bench.hears(active=False)
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
    """What a person closed stays closed."""
    bench.incidents = bench.make(reopen_after="0s")
    bench.fires("a")
    bench.deliver()
    bench.hears()
    bench.now += 60
    bench.hears(active=False)
    bench.turn(86400 * 20)
    assert bench.deliver() == []


def test_the_loop_outlives_what_it_did_not_foresee(bench, caplog, monkeypatch):
    """A database that is away and an error of ours are told; a webhook wakes it."""
    caplog.set_level(logging.WARNING)
    errors = [Unavailable("database: busy"), RuntimeError("odd")]
    acted = threading.Event()
    lead = OutboxStatus.lead

    def fail_first(*arguments, **more):
        if errors:
            raise errors.pop(0)
        acted.set()
        return lead(*arguments, **more)

    monkeypatch.setattr(OutboxStatus, "lead", fail_first)
    bench.incidents.start()
    while not acted.is_set():
        bench.incidents.wake()
        acted.wait(0.05)
    bench.incidents.stop(30)
    assert "Following incidents of panda paused: database: busy" in caplog.text
    assert "Following incidents of panda failed unexpectedly" in caplog.text


def looking():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("incidents ")]


def test_a_reload_follows_what_is_new_and_leaves_what_is_gone(tmp_path):
    """Only receivers of which something follows have a thread."""
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
