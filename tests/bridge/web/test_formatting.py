"""How the operator's page puts things."""

import pytest

from bridge.outbox.event_log import EventRow
from bridge.outbox.pages import SHOWN
from bridge.outbox.status import Circuit
from bridge.web.formatting import Line, cause, fate, line, moment, outlook, shown, span, times

NOW = 1_700_000_000.0
UP = Circuit()
DOWN = Circuit(up=False, failures=2, not_before=NOW + 60, reason="503")


def step(**changes):
    usual = {
        "id": 1, "key": "k", "kind": "open", "status": "critical", "state": "waiting", "reason": "first", "attempts": 0,
        "accepted_at": NOW - 5, "not_before": 0.0, "closed_at": None, "body": "{}",
    }  # fmt: skip
    return EventRow(**(usual | changes))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5, "0s"), (59.4, "59s"), (60, "1m 0s"), (3599, "59m 59s"), (3600, "1h 0m"), (90000, "1d 1h")],
)
def test_a_time_span_is_told_in_two_units(seconds, told):
    """The two largest; what lies ahead of the clock is nothing."""
    assert span(seconds) == told


@pytest.mark.parametrize(
    ("epoch", "told"), [(NOW, "2023-11-14 22:13:20Z"), (0.0, "1970-01-01 00:00:00Z"), (1e18, "1e+18")]
)
def test_a_moment_is_told_in_utc(epoch, told):
    """What no calendar holds breaks no page."""
    assert moment(epoch) == told


@pytest.mark.parametrize(
    ("waits", "gate", "why", "until"),
    [
        (step(in_flight=True), DOWN, "is being sent now", None),
        (step(behind=True), DOWN, "waits for an earlier event of the same alert", None),
        (step(kind="update", not_before=NOW + 9), UP, "a changed text is held for the receiver's update_interval", 9),
        (step(attempts=2, reason="429", not_before=NOW + 9), UP, "tried twice: 429", 9),
        (step(), DOWN, "BigPanda takes nothing now", 60),
        (step(), UP, "due, in its turn", None),
        (step(attempts=3, not_before=NOW - 1), UP, "due, in its turn, tried 3 times", None),
        (step(kind="update", not_before=NOW - 1), UP, "due, in its turn", None),
    ],
)
def test_why_an_event_waits(waits, gate, why, until):
    """The nearest reason; and until when, where that is known."""
    found = outlook(waits, gate, NOW)
    assert found.why == why
    assert found.until == (None if until is None else NOW + until)


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("sent", "accepted", "BigPanda accepted it"),
        ("sent", "duplicate", "BigPanda had it already"),
        ("superseded", "content_changed", "a newer event of the alert took its place before it was sent"),
        ("dead", "400: no", "dead letter: 400: no"),
        ("discarded", "400: no", "given up: 400: no"),
    ],
)
def test_what_became_of_an_event(state, reason, told):
    """BigPanda's answer in plain words, or the operator's."""
    assert fate(step(state=state, reason=reason)) == told


def test_why_an_event_was_made():
    """Nothing where the reason is another's."""
    assert cause(step()) == "the alert is new"
    assert cause(step(reason="503: busy")) == ""


@pytest.mark.parametrize(("number", "told"), [(0, "0 times"), (1, "once"), (2, "twice"), (7, "7 times")])
def test_how_often(number, told):
    """In words where English has them."""
    assert times(number) == told


@pytest.mark.parametrize(
    ("body", "told"),
    [('{"a":"ü"}', '{\n  "a": "ü"\n}'), ("<html>", "<html>"), ("[" * 5000, "[" * 5000), ("", "")],
)
def test_a_body_is_laid_out(body, told):
    """JSON in lines, everything else as it is."""
    assert shown(body) == told


def test_a_body_that_was_cut_says_so():
    """And where the whole is."""
    assert shown("x" * SHOWN).endswith("… cut here; `dead-letters show` tells the whole")


@pytest.mark.parametrize(
    ("samples", "drawn"),
    [
        ([], None),
        ([(NOW, 3)], None),
        (
            [(NOW, 0), (NOW + 30, 4), (NOW + 60, 2)],
            Line("0.0,60.0 300.0,0.0 600.0,30.0", "Events that waited in the last 1m 0s: 2 now, at most 4."),
        ),
        ([(NOW, 0), (NOW, 0)], Line("0.0,60.0 0.0,60.0", "Events that waited in the last 0s: 0 now, at most 0.")),
    ],
)
def test_a_queue_is_drawn_and_told(samples, drawn):
    """From the left to the right, the most at the top; nothing until there are two points."""
    assert line(samples) == drawn
