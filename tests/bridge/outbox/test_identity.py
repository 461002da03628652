"""Alerts that share an identity are one alert in BigPanda: the worst that fires, ok when none does."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import event

from bridge.receivers.alertmanager import Identity, Settings, fingerprint, translate

T0 = 1_795_200_000.0
PLAIN = Settings(receiver="alertmanager", source="prod", app_key="app")
SHARED = PLAIN.model_copy(update={"identity": Identity(without=("severity", "replica"))})
LABELS = {"alertname": "Disk", "host": "web-1"}
IDENTITY = f"prod:{fingerprint(LABELS)}"


def entry(severity, *, firing=True, text="", at=T0, **labels):
    """Return one alert of Alertmanager's webhook."""
    moment = f"2026-11-20T{int(at - T0) // 3600:02d}:{int(at - T0) // 60 % 60:02d}:{int(at - T0) % 60:02d}Z"
    return {
        "status": "firing" if firing else "resolved",
        "labels": LABELS | {"severity": severity} | labels,
        "annotations": {"description": f"{severity} {text}".strip()},
        "startsAt": "2026-11-20T00:00:00Z" if firing else None,
        "endsAt": None if firing else moment,
    }


def send(outbox, *entries, now=T0, receiver=SHARED):
    (outcome,) = outbox.ingest.accept([translate({"alerts": list(entries)}, receiver, now)], now)
    return outcome


def deliver(outbox, now):
    """Deliver all that is due; return each event's identifier, status and description."""
    found = []
    while claimed := outbox.queue.claim(100, now, 60.0):
        found += [json.loads(one.body) for one in claimed]
        outbox.queue.record(claimed, "accepted", now=now)
    return [(one["incident_identifier"], one["status"], one["description"]) for one in found]


def test_a_warning_that_becomes_critical_is_one_alert(outbox):
    """Warning, critical, warning, ok: four events with one identifier, each with the worst member's content."""
    assert send(outbox, entry("warning")).queued == 1
    assert deliver(outbox, T0 + 1) == [(IDENTITY, "warning", "warning")]
    assert send(outbox, entry("critical"), now=T0 + 10).queued == 1
    (claimed,) = outbox.queue.claim(9, T0 + 11, 60.0)
    assert (json.loads(claimed.body)["severity"], json.loads(claimed.body)["status"]) == ("critical", "critical")
    outbox.queue.record([claimed], "accepted", now=T0 + 11)
    assert send(outbox, entry("critical", firing=False, at=T0 + 20), now=T0 + 20).queued == 1
    assert deliver(outbox, T0 + 21) == [(IDENTITY, "warning", "warning")]
    assert send(outbox, entry("warning", firing=False, at=T0 + 30), now=T0 + 30).queued == 1
    assert deliver(outbox, T0 + 31) == [(IDENTITY, "ok", "warning")]
    assert outbox.state(IDENTITY).members == {}


def test_member_that_is_no_worse_changes_nothing(outbox):
    """A second replica of the alert, and its end, are no events; a decision on older state is dropped."""
    send(outbox, entry("critical", replica="a"))
    before = outbox.state(IDENTITY).updated_at
    assert send(outbox, entry("critical", replica="b"), now=T0 + 5).unchanged == 1
    state = outbox.state(IDENTITY)
    assert state.updated_at == T0 + 5 > before
    assert len(state.firing) == len(state.members) == 2
    assert send(outbox, entry("critical", replica="b", firing=False), now=T0 + 9).unchanged == 1
    assert len(outbox.alerts.open_alerts("prod")[0].members) == 1
    assert send(outbox, entry("critical", replica="a", firing=False), now=T0 + 10).queued == 1


def test_member_is_remembered_as_it_was_last_reported(outbox):
    """It represents all of them again once the worst has ended."""
    for number, text in enumerate(("old", "new")):
        send(outbox, entry("warning", text=text), entry("critical"), now=T0 + number)
    send(outbox, entry("critical", firing=False, at=T0 + 20), now=T0 + 20)
    assert deliver(outbox, T0 + 21)[-1] == (IDENTITY, "warning", "warning new")


def test_late_end_of_a_members_earlier_episode_ends_nothing(outbox):
    """Peers of a cluster retry independently."""
    send(outbox, entry("warning"), now=T0 + 10)
    late = entry("warning", firing=False) | {"startsAt": "2026-11-19T00:00:00Z", "endsAt": "2026-11-19T00:05:00Z"}
    assert send(outbox, late, now=T0 + 20).unchanged == 1
    assert len(outbox.state(IDENTITY).members) == 1
    assert outbox.state(IDENTITY).open


def test_end_and_start_in_one_webhook_are_one_change(outbox):
    """Alertmanager lists the resolved critical alert before the firing warning: no ok in between."""
    send(outbox, entry("critical"))
    deliver(outbox, T0 + 1)
    assert send(outbox, entry("critical", firing=False, at=T0 + 10), entry("warning"), now=T0 + 10).queued == 1
    assert deliver(outbox, T0 + 11) == [(IDENTITY, "warning", "warning")]
    told_twice = (entry("warning"), entry("warning", firing=False, at=T0 + 20))
    assert send(outbox, *told_twice, now=T0 + 20).queued == 1
    assert deliver(outbox, T0 + 21) == [(IDENTITY, "ok", "warning")]


def test_closing_the_merged_alert_ends_it_whatever_fires(outbox):
    """Closed manually or by expiry, which is an event of the merged alert, not of a member."""
    send(outbox, entry("critical"), entry("warning"))
    state = outbox.state(IDENTITY)
    end = SHARED.notification(alerts=(replace(state.alert, firing=False, ends_at=T0 + 5),))
    assert outbox.ingest.accept([end], T0 + 5)[0].queued == 1
    assert not outbox.state(IDENTITY).open
    assert outbox.state(IDENTITY).members == {}


def test_changed_identity_setting_keeps_open_alerts(outbox):
    """They are resolved under their old identity; afterwards the new one applies."""
    alone = f"prod:{fingerprint(LABELS | {'severity': 'warning'})}"
    send(outbox, entry("warning"), receiver=PLAIN)
    send(outbox, entry("warning", text="more"), entry("critical"), now=T0 + 5)
    assert {state.key for state in outbox.alerts.open_alerts("prod")} == {alone, IDENTITY}
    send(outbox, entry("warning", firing=False), now=T0 + 9)
    assert {state.key for state in outbox.alerts.open_alerts("prod")} == {IDENTITY}
    send(outbox, entry("critical", firing=False), entry("warning"), now=T0 + 20, receiver=PLAIN)
    assert {state.key for state in outbox.alerts.open_alerts("prod")} == {alone}
    send(outbox, entry("warning", firing=False), entry("critical"), now=T0 + 30)
    send(outbox, entry("warning"), now=T0 + 40)
    assert {state.key for state in outbox.alerts.open_alerts("prod")} == {IDENTITY}
    ended, again = entry("warning", firing=False, at=T0 + 50), entry("warning", at=T0 + 50)
    both = translate({"alerts": [ended]}, SHARED, T0 + 50), translate({"alerts": [again]}, PLAIN, T0 + 50)
    outbox.ingest.accept(both, T0 + 50)
    assert {state.key for state in outbox.alerts.open_alerts("prod")} == {IDENTITY, alone}


def test_reconciler_finds_the_state_of_each_member(outbox):
    """By its own key, whichever identity it is open under."""
    send(outbox, entry("warning"))
    (alert,) = translate({"alerts": [entry("warning")]}, PLAIN, T0).alerts
    (other,) = translate({"alerts": [entry("critical")]}, SHARED, T0).alerts
    found = outbox.alerts.of_alerts([alert]) | outbox.alerts.of_alerts([other])
    assert {key: state.key for key, state in found.items()} == {alert.key: IDENTITY, other.key: IDENTITY}


class Machine(RuleBasedStateMachine):
    """Members that fire, change, resolve and repeat, and a bridge that restarts."""

    severities = st.sampled_from(["critical", "warning", "info", "none"])
    replicas = st.sampled_from(["a", "b"])

    def __init__(self, outbox):
        super().__init__()
        self.outbox, self.now = outbox, T0
        outbox.clear()
        self.firing, self.shown, self.sent, self.quiet = {}, [], False, True

    def teardown(self):
        self.everything_arrives()
        worst = min((self.rank(severity) for severity, _ in self.firing), default="ok")
        assert self.shown[-1:] in ([], [worst]) if not self.sent else self.shown[-1] == worst
        assert all(one != other for one, other in zip(self.shown, self.shown[1:], strict=False) if one == "ok")

    @staticmethod
    def rank(severity):
        return {"critical": "critical", "warning": "warning", "info": "warning"}[severity]

    @rule(changes=st.lists(st.tuples(severities, replicas, st.booleans(), st.sampled_from(["", "x"])), max_size=4))
    def a_webhook(self, changes):
        self.now += 10
        send(self.outbox, *(entry(s, replica=r, firing=f, text=t, at=self.now) for s, r, f, t in changes), now=self.now)
        for severity, replica, firing, _ in changes:
            if severity != "none":
                self.sent = True
                self.firing.pop((severity, replica), None)
                if firing:
                    self.firing[severity, replica] = True
        self.quiet |= not self.firing

    @rule(severity=severities, replica=replicas)
    def the_same_twice(self, severity, replica):
        for _ in range(2):
            self.a_webhook([(severity, replica, True, "")])

    @rule(severity=severities, replica=replicas)
    def one_takes_the_place_of_the_others(self, severity, replica):
        """In one webhook, in Alertmanager's order."""
        others = [(*member, False, "") for member in self.firing if member != (severity, replica)]
        self.a_webhook(sorted([*others, (severity, replica, True, "")]))

    @rule()
    def the_bridge_restarts(self):
        self.outbox.restart()

    @rule()
    def everything_arrives(self):
        self.now += 2000
        news = [status for _, status, _ in deliver(self.outbox, self.now)]
        assert self.quiet or "ok" not in news, "nothing ended as a whole"
        self.shown, self.quiet = self.shown + news, not self.firing

    @invariant()
    def the_ledger_knows_who_fires(self):
        states = self.outbox.alerts.open_alerts("prod")
        assert sum(len(state.firing) for state in states) == len(self.firing)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_bigpanda_has_the_worst_firing_status(outbox):
    """For any interleaving of members that fire, change and resolve, with duplicates and restarts."""
    run_state_machine_as_test(
        lambda: Machine(outbox),
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_state_is_never_newer_than_its_members(outbox):
    """Another replica's change between the two queries of a read shows: a judgement on old members comes too late."""
    send(outbox, entry("warning"))
    engine, others = outbox.database._reader, [entry("critical")]

    def join(*_):
        if others:
            send(outbox, others.pop(), now=T0 + 10)

    event.listen(engine, "after_cursor_execute", join)
    found = outbox.state(IDENTITY)
    event.remove(engine, "after_cursor_execute", join)
    assert len(found.members) == 2 or found.updated_at == T0
    assert len(outbox.state(IDENTITY).members) == 2
