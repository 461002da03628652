"""Alertmanager is brought in line with the snoozes: when it is looked at, and what stops on the way."""

import pytest

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.event import Status
from bridge.domain.incident import IncidentRecord
from bridge.errors import Rejected, Stopped, Transient
from bridge.incidents.silence_sync import SilenceSync
from bridge.metrics import Metrics
from exporter.toolkit.periodic import Clock

T0 = 1_795_200_000.0


def incident(*keys, until=T0 + 3600):
    return IncidentRecord(
        source="panda", id="i", snoozed=True, snoozed_until=until, keys=keys, first_heard_at=T0, heard_at=T0
    )  # fmt: skip


def find_alerts(names):
    return {
        key: AlertState(
            alert=Alert(
                receiver="alertmanager",
                source=key.partition(":")[0],
                key=key,
                name="Down",
                firing=True,
                labels={"alertname": key},
                starts_at=T0,
            ),
            status=Status.CRITICAL,
        )
        for key in names
    }


class Alertmanager:
    """Has nothing; notes what it is asked to do, and fails at these keys."""

    def __init__(self, **fails):
        self.looks, self.done, self.fails = 0, [], fails

    def ours(self):
        self.looks += 1
        return []

    def do(self, step, now):
        del now
        self.done.append(step.key)
        if error := self.fails.get(step.key.partition(":")[2]):
            raise error

    def close(self):
        self.fails = {}


class Sync:
    """A silence sync under a clock of the test's; `set_back` is what the clock of the wall lags behind."""

    def __init__(self, alertmanager, sources=None):
        self.metrics, self.now, self.set_back = Metrics(), 0.0, 0.0
        self.sync = SilenceSync(
            alertmanager,
            find_alerts,
            self.metrics,
            owner="o/panda",
            source="panda",
            sources=sources,
            clock=Clock(steady=lambda: self.now, chance=lambda: 0.5),
        )

    def turn(self, incidents, now=0.0, stopping=lambda: False):
        self.now = now
        self.sync.turn(incidents, T0 + now - self.set_back, stopping)

    @property
    def refusals(self):
        return self.metrics.registry.get_sample_value("vendorwatch_bridge_silence_refusals", {"source": "panda"})


@pytest.fixture
def follow():
    return Sync


def test_alertmanager_is_polled_after_changes_and_regularly(follow):
    """Not on every tick."""
    alertmanager = Alertmanager()
    snoozes = follow(alertmanager)
    for seconds, looks in ((0, 1), (5, 1), (14, 1), (15, 2), (16, 2)):
        snoozes.turn([incident("prod:a")], seconds)
        assert alertmanager.looks == looks
    snoozes.turn([incident("prod:a", "prod:b")], 17)
    assert alertmanager.looks == 3


def test_alertmanager_is_not_polled_without_snoozes(follow):
    """A list of silences may be long; a snooze is still followed at once."""
    alertmanager = Alertmanager()
    snoozes = follow(alertmanager)
    for seconds, looks in ((0, 1), (60, 1), (299, 1), (300, 2)):
        snoozes.turn([], seconds)
        assert alertmanager.looks == looks
    snoozes.turn([incident("prod:a")], 301)
    assert alertmanager.done == ["prod:a"]


@pytest.mark.parametrize("back", [60.0, 7 * 3600.0])
def test_clock_set_back_delays_nothing(follow, back):
    """Pauses use the monotonic clock."""
    alertmanager = Alertmanager()
    snoozes = follow(alertmanager)
    snoozes.turn([incident("prod:a")], 0)
    snoozes.set_back = back
    snoozes.turn([incident("prod:a")], 15)
    assert alertmanager.looks == 2


def test_rejected_silence_is_retried_with_growing_pauses(follow, caplog):
    """While it is wanted: the message is logged once and shown, and other silences are created."""
    alertmanager = Alertmanager(a=Rejected("Alertmanager answered 400: cannot create silence: limit exceeded"))
    snoozes = follow(alertmanager)
    tried = []
    for second in range(0, 1900, 5):
        alertmanager.done.clear()
        snoozes.turn([incident("prod:a", "prod:b", until=T0 + 7200)], second)
        tried += [second] if "prod:a" in alertmanager.done else []
    assert tried == [0, 15, 45, 105, 225, 465, 945, 1845]
    assert caplog.text.count("Silence for prod:a rejected, not created: Alertmanager answered 400: cannot") == 1
    assert snoozes.sync.refused == {"prod:a": "Alertmanager answered 400: cannot create silence: limit exceeded"}
    assert snoozes.refusals == 1


def test_rejection_ends_when_alertmanager_accepts(follow):
    """Then nothing is refused any more."""
    alertmanager = Alertmanager(a=Rejected("answered 400"))
    snoozes = follow(alertmanager)
    snoozes.turn([incident("prod:a")], 0)
    alertmanager.fails.clear()
    snoozes.turn([incident("prod:a")], 15)
    assert (snoozes.sync.refused, snoozes.refusals) == ({}, 0)


def test_rejection_ends_with_the_snooze(follow):
    """A different silence is tried at once."""
    alertmanager = Alertmanager(a=Rejected("answered 400"))
    snoozes = follow(alertmanager)
    snoozes.turn([incident("prod:a")], 0)
    snoozes.turn([incident("prod:a", until=T0 + 7200)], 1)
    assert alertmanager.done == ["prod:a", "prod:a"]
    snoozes.turn([], 2)
    assert (snoozes.sync.refused, snoozes.refusals) == ({}, 0)


def test_unavailable_alertmanager_ends_the_tick(follow):
    """The next request would fail as well."""
    alertmanager = Alertmanager(a=Transient("no answer in time"))
    follow(alertmanager).turn([incident("prod:a", "prod:b")])
    assert alertmanager.done == ["prod:a"]


def test_what_an_unavailable_alertmanager_does_not_silence_is_shown(follow):
    """As with a wrong password; only what had no silence before, while it is snoozed."""
    alertmanager = Alertmanager()
    snoozes = follow(alertmanager)
    snoozes.turn([incident("prod:a", until=T0 + 7200)], 0)
    alertmanager.fails = {"a": Stopped("answered 401", status=401), "b": Stopped("answered 401", status=401)}
    snoozes.turn([incident("prod:a", "prod:b", until=T0 + 7200)], 1)
    assert (snoozes.sync.refused, snoozes.refusals) == ({"prod:b": "answered 401"}, 0)
    snoozes.turn([incident("prod:a", until=T0 + 7200)], 20)
    assert snoozes.sync.refused == {}
    alertmanager.fails = {}
    snoozes.turn([incident("prod:a", "prod:b", until=T0 + 7200)], 40)
    assert snoozes.sync.refused == {}


def test_stop_ends_the_sync_between_two_steps(follow):
    """The next process does the rest."""
    alertmanager = Alertmanager()
    follow(alertmanager).turn([incident("prod:a", "prod:b")], 0.0, lambda: bool(alertmanager.done))
    assert alertmanager.done == ["prod:a"]


def test_alerts_of_other_alertmanagers_are_not_silenced_in_this_one(follow):
    """They may have the same labels."""
    alertmanager = Alertmanager()
    follow(alertmanager, sources=("lab",)).turn([incident("prod:a", "lab:a")])
    assert alertmanager.done == ["lab:a"]
