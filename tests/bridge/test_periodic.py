"""Loops that come round again."""

import logging
import time

from bridge.errors import Unavailable
from bridge.periodic import Rounds


def failing(*errors):
    left = list(errors)

    def act():
        if left:
            raise left.pop(0)

    return act


def test_a_loop_outlives_what_it_did_not_foresee(caplog):
    """A database that is gone is said once for as long as it lasts; an error that nobody foresaw with its trace."""
    rounds = Rounds("looking", "Looking", lambda: None)
    act = failing(Unavailable("busy"), Unavailable("busy"), RuntimeError("odd"))

    assert [rounds.guarded(act) for _ in range(4)] == [False, False, False, True]
    assert [record.message for record in caplog.records] == ["Looking must wait: busy", "Looking failed unexpectedly"]

    rounds.guarded(failing(Unavailable("busy")))
    assert caplog.records[-1].message == "Looking must wait: busy"


def test_what_fails_while_the_loop_ends_is_not_said(caplog):
    """The database may be closed before the last round is over."""
    rounds = Rounds("looking", "Looking", lambda: None)
    rounds.stop(0)
    rounds.guarded(failing(Unavailable("closed")))
    rounds.guarded(failing(RuntimeError("closed")))

    assert caplog.records == []


def test_a_trouble_is_said_when_it_is_new(caplog):
    """Each about its own thing; once all was well it is new again."""
    rounds = Rounds("looking", "Looking", lambda: None)
    for about, told in [("a", "x"), ("a", "x"), ("b", "x"), ("a", ""), ("a", "x")]:
        rounds.say(about, told)

    assert [(record.levelno, record.message) for record in caplog.records] == [(logging.WARNING, "x")] * 3


def test_a_rest_ends_with_a_hint_and_a_pause_does_not():
    """A hint that comes before the rest is not lost; one that ends the loop is none."""
    rounds = Rounds("looking", "Looking", lambda: None)
    assert rounds.rest(0.0) is False

    rounds.hint()
    began = time.monotonic()
    rounds.pause(0.05)
    assert time.monotonic() - began >= 0.04
    assert rounds.rest(None) is True
    assert rounds.rest(0.0) is False

    rounds.stop(0)
    assert rounds.rest(None) is False
    assert rounds.ended


def test_a_loop_runs_until_it_is_stopped():
    """Also one that rests for ever."""
    turns = []

    def run():
        while not rounds.ended:
            turns.append(1)
            rounds.rest(None)

    rounds = Rounds("looking", "Looking", run)
    rounds.start()
    assert rounds.running
    rounds.hint()
    end = time.monotonic() + 30
    while len(turns) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    rounds.stop(30)
    assert not rounds.running
    assert len(turns) == 2
