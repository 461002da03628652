"""The texts of the operator's page."""

import pytest

from bridge.domain.alert import Alert
from bridge.outbox.event_log import EventRow
from bridge.outbox.repository import SHOWN
from bridge.outbox.status import Circuit
from bridge.web.formatting import (
    body_text,
    cause,
    host,
    moment,
    outcome,
    queue_reason,
    subject,
    times,
    webhook_subject,
)

NOW = 1_700_000_000.0
UP = Circuit()
DOWN = Circuit(up=False, failures=2, not_before=NOW + 60, reason="503")


def event(**changes):
    usual = {
        "id": 1, "key": "k", "kind": "open", "status": "critical", "state": "waiting", "reason": "first", "attempts": 0,
        "accepted_at": NOW - 5, "not_before": 0.0, "closed_at": None, "body": "{}",
    }  # fmt: skip
    return EventRow(**(usual | changes))


@pytest.mark.parametrize(
    ("epoch", "text"),
    [(NOW, "2023-11-14 22:13:20Z"), (0.0, "1970-01-01 00:00:00Z"), (1e18, "1e+18"), (1e300, "1e+300")],
)
def test_time_is_shown_in_utc(epoch, text):
    """A time beyond any calendar does not break the page."""
    assert moment(epoch) == text


@pytest.mark.parametrize(
    ("queued", "circuit", "why", "until"),
    [
        (event(in_flight=True), DOWN, "being sent now", None),
        (event(behind=True), DOWN, "waiting for an earlier event of the same alert", None),
        (event(kind="update", not_before=NOW + 9), UP, "held by the receiver's update_interval", 9),
        (event(attempts=2, reason="429", not_before=NOW + 9), UP, "tried twice: 429", 9),
        (event(kind="update", attempts=2, reason="429", not_before=NOW + 9), DOWN, "tried twice: 429", 9),
        (event(), DOWN, "BigPanda is unavailable", 60),
        (event(), Circuit(up=False, not_before=NOW - 1), "BigPanda is unavailable", None),
        (event(), UP, "due", None),
        (event(attempts=3, not_before=NOW - 1), UP, "due, tried 3 times", None),
        (event(kind="update", not_before=NOW - 1), UP, "due", None),
    ],
)
def test_reason_for_a_queued_event(queued, circuit, why, until):
    """The nearest reason, with its end if known."""
    assert queue_reason(queued, circuit, NOW) == (why, None if until is None else NOW + until)


@pytest.mark.parametrize(
    ("state", "reason", "text"),
    [
        ("sent", "accepted", "BigPanda accepted it"),
        ("sent", "duplicate", "BigPanda had it already"),
        ("superseded", "content_changed", "superseded by a newer event before it was sent"),
        ("dead", "400: no", "dead letter: 400: no"),
        ("discarded", "400: no", "discarded: 400: no"),
    ],
)
def test_outcome_of_an_event(state, reason, text):
    """BigPanda's response in plain words, or the operator's action."""
    assert outcome(event(state=state, reason=reason)) == text


def test_reason_for_an_event():
    """Empty if another event has it."""
    assert cause(event()) == "the alert is new"
    assert cause(event(reason="503: busy")) == ""


@pytest.mark.parametrize(("number", "text"), [(0, "0 times"), (1, "once"), (2, "twice"), (7, "7 times")])
def test_counts_in_words(number, text):
    """In words where English has them."""
    assert times(number) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [('{"a":"ü"}', '{\n  "a": "ü"\n}'), ("<html>", "<html>"), ("[" * 5000, "[" * 5000), ("", "")],
)
def test_body_is_formatted(body, text):
    """JSON is indented, everything else unchanged."""
    assert body_text(body) == text


def test_truncated_body_is_marked():
    """With the command that shows all of it."""
    assert body_text("x" * SHOWN).endswith("… cut here; the `show` command prints all of it")


@pytest.mark.parametrize(
    ("labels", "found"),
    [({"instance": "i", "job": "j"}, "i"), ({"job": "j", "host": "h"}, "h"), ({"host": ""}, "prod"), ({}, "prod")],
)  # fmt: skip
def test_host_of_an_alert(labels, found):
    """The best label; the source if there is none."""
    alert = Alert(
        receiver="alertmanager", source="prod", key="k", name="Down", firing=True, labels=labels, starts_at=NOW
    )
    assert host(alert) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"check": "Down", "primary_property": "instance", "instance": "web-1"}', ("Down", "web-1")),
        ('{"check": "Down", "host": "web-1"}', ("Down", "web-1")),
        ("{}", ("", "")),
        ('{"check": "cut off', ("", "")),
    ],
)
def test_alert_and_host_of_an_event(body, found):
    """As BigPanda shows it; empty if cut."""
    assert subject(body) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"labels": {"alertname": "Down", "instance": "web-1"', ("Down", "web-1")),
        ('{"alert": {"ruleName": "Slow", "testName" : "shop"}}}', ("Slow", "shop")),
        ('{"event": "monitor_down", "monitor_name": "api"', ("monitor_down", "api")),
        ('{"check": "disk", "host": "db-1"]', ("disk", "db-1")),
        ('{"check": 7', ("", "")),
    ],
)
def test_alert_and_host_of_an_unreadable_webhook(body, found):
    """As far as each sender's names for them are in it."""
    assert webhook_subject(body) == found
