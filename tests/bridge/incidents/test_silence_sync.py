"""Alertmanager is brought in line with the snoozes: when it is looked at, and what stops on the way."""

import pytest

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.event import Status
from bridge.domain.incident import IncidentRecord
from bridge.errors import Rejected, Unreached
from bridge.incidents.silence_sync import Snoozes
from bridge.metrics import Metrics

T0 = 1_795_200_000.0


def incident(*keys, until=T0 + 3600):
    return IncidentRecord(
        source="panda", id="i", snoozed=True, snoozed_until=until, keys=keys, first_heard_at=T0, heard_at=T0
    )  # fmt: skip


def told(names):
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


@pytest.fixture
def follow():
    def follow(alertmanager, sources=None):
        return Snoozes(
            alertmanager, told, Metrics(), owner="o/panda", source="panda", sources=sources, chance=lambda: 0.5
        )

    return follow


def test_alertmanager_is_looked_at_when_something_changed_and_now_and_then(follow):
    """Not at every turn."""
    alertmanager = Alertmanager()
    snoozes = follow(alertmanager)
    for seconds, looks in ((0, 1), (5, 1), (14, 1), (15, 2), (16, 2)):
        snoozes.turn([incident("prod:a")], T0 + seconds)
        assert alertmanager.looks == looks
    snoozes.turn([incident("prod:a", "prod:b")], T0 + 17)
    assert alertmanager.looks == 3


def test_alertmanager_is_left_alone_while_nothing_is_snoozed(follow):
    """A list of silences may be long; a snooze is followed at once all the same."""
    alertmanager = Alertmanager()
    snoozes = follow(alertmanager)
    for seconds, looks in ((0, 1), (60, 1), (299, 1), (300, 2)):
        snoozes.turn([], T0 + seconds)
        assert alertmanager.looks == looks
    snoozes.turn([incident("prod:a")], T0 + 301)
    assert alertmanager.done == ["prod:a"]


@pytest.mark.parametrize("back", [60.0, 7 * 3600.0])
def test_a_clock_that_is_set_back_delays_nothing_for_long(follow, back):
    """A pause that no decision sets means a changed clock."""
    alertmanager = Alertmanager()
    snoozes = follow(alertmanager)
    snoozes.turn([incident("prod:a")], T0)
    snoozes.turn([incident("prod:a")], T0 - back)
    snoozes.turn([incident("prod:a")], T0 - back + 75)
    assert alertmanager.looks >= 2


def test_what_is_refused_leaves_the_others_their_silence(follow, caplog):
    """And is not asked for again as long as it is the same."""
    alertmanager = Alertmanager(a=Rejected("answered 400"))
    snoozes = follow(alertmanager)
    snoozes.turn([incident("prod:a", "prod:b")], T0)
    snoozes.turn([incident("prod:a", "prod:b")], T0 + 15)
    assert alertmanager.done == ["prod:a", "prod:b", "prod:b"]
    assert caplog.text.count("prod:a is not created: answered 400") == 1


def test_what_cannot_be_reached_is_left_for_later(follow):
    """The next would fail as well."""
    alertmanager = Alertmanager(a=Unreached("no answer in time"))
    follow(alertmanager).turn([incident("prod:a", "prod:b")], T0)
    assert alertmanager.done == ["prod:a"]


def test_a_stop_ends_it_between_two_steps(follow):
    """What is left is done by the next process."""
    alertmanager = Alertmanager()
    follow(alertmanager).turn([incident("prod:a", "prod:b")], T0, lambda: bool(alertmanager.done))
    assert alertmanager.done == ["prod:a"]


def test_alerts_of_other_alertmanagers_are_not_silenced_in_this_one(follow):
    """They may bear the same labels."""
    alertmanager = Alertmanager()
    follow(alertmanager, sources=("lab",)).turn([incident("prod:a", "lab:a")], T0)
    assert alertmanager.done == ["lab:a"]
