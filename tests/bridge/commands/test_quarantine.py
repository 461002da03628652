"""`quarantine`: what could not be read, at a terminal."""

import json
import re

import pytest

from bridge.outbox.ingest import Ingest
from bridge.web import operations

READABLE = json.dumps(
    {
        "version": "4",
        "alerts": [{"status": "firing", "labels": {"alertname": "Down", "host": "w"}, "fingerprint": "f1"}],
    }
)
ONE_ALERT = json.dumps({"status": "firing", "labels": {"alertname": "Down"}, "fingerprint": "f2"})


def keep(filled, *bodies, source="prod"):
    for body in bodies:
        filled.store.set_aside("alertmanager", source, "alerts: \x1bmissing", body, 1_700_000_000.0)


def test_quarantine_is_listed_with_alert_and_host(run, filled):
    """Receiver, first alert and host in the body, age, reason; or JSON; an empty list has a text."""
    assert run("quarantine", "list").out == "nothing in quarantine\n"
    keep(filled, READABLE)
    heading, line = run("quarantine", "list").out.splitlines()
    assert heading.split() == ["ID", "RECEIVER", "ALERT", "HOST", "AGE", "REASON"]
    assert line.split()[:4] == ["1", "alertmanager/prod", "Down", "w"]
    assert line.endswith("alerts: \\u001bmissing")
    assert json.loads(run("quarantine", "list", "--format=json").out)[0]["body"] == READABLE


def test_quarantined_body_is_shown_completely(run, filled):
    """With its reason, however long it is."""
    keep(filled, json.dumps({"long": "x" * 50_000}))
    shown = run("quarantine", "show", "1")
    assert shown.status == 0
    assert "x" * 50_000 in shown.out
    assert run("quarantine", "show", "9").err == "9: no such quarantined webhook\n"


def test_readable_quarantine_is_replayed(run, filled):
    """A whole webhook or one alert; one that is still unreadable is kept and reported."""
    keep(filled, READABLE, ONE_ALERT, "{")
    done = run("quarantine", "replay", "1", "2")
    assert (done.status, done.out) == (0, "1: replayed\n2: replayed\n")
    assert set(filled.statuses()) == {"prod:f1", "prod:f2"}
    rest = run("quarantine", "replay", "--all")
    assert (rest.status, rest.out) == (1, "3: kept: still unreadable\n")
    assert [one.id for one in filled.store.quarantine.oldest()] == [3]
    again = run("quarantine", "replay", "1")
    assert (again.status, again.out, again.err) == (1, "", "1: no such quarantined webhook\n")


def test_line_breaks_and_backslashes_in_text_are_replayed(run, filled):
    """Earlier versions quarantined them."""
    keep(filled, READABLE.replace("Down", "Do\nwn C:\\(D:"))
    assert run("quarantine", "replay", "1").out == "1: replayed\n"


def test_nul_in_text_is_replaced_in_a_replay_as_in_a_webhook(run, filled):
    """No database stores it."""
    keep(filled, READABLE.replace('"w"', '"\\u0000w"'))
    assert run("quarantine", "replay", "1").out == "1: replayed\n"
    assert filled.store.state("prod:f1").alert.labels["host"] == "\N{REPLACEMENT CHARACTER}w"


def test_unreadable_webhook_of_another_sender_is_kept(run, filled, config):
    """It is not taken for one alert of a webhook, which would be an unknown event: ignored, and deleted."""
    config.write_text(config.read_text() + "  - {receiver: vigilmon, source: prod}\n")
    body = json.dumps({"event": "monitor_down", "monitor": {"name": "web"}})
    filled.store.set_aside("vigilmon", "prod", "monitor.id: missing", body, 1_700_000_000.0)
    assert run("quarantine", "replay", "--all").out == "1: kept: still unreadable\n"
    assert [one.body for one in filled.store.quarantine.oldest()] == [body]


@pytest.mark.parametrize("step", ["translate", "accept"])
def test_body_that_fails_unexpectedly_does_not_keep_the_others_from_being_replayed(
    run, filled, monkeypatch, caplog, step
):
    """It is kept, and the log says why."""
    owner = {"translate": operations, "accept": Ingest}[step]
    known = getattr(owner, step)

    def fails_for_the_first(*arguments):
        if re.search(r"\bf1\b", str(arguments)):
            raise ArithmeticError("unforeseen")
        return known(*arguments)

    keep(filled, READABLE, READABLE.replace("f1", "f3"))
    monkeypatch.setattr(owner, step, fails_for_the_first)
    done = run("quarantine", "replay", "--all")
    assert (done.status, done.out) == (1, "2: replayed\n1: kept: still unreadable\n")
    assert "Quarantined webhook 1 not replayed: ArithmeticError: unforeseen" in caplog.text


def test_quarantine_of_a_removed_receiver_is_kept(run, filled):
    """Its receiver may be configured again."""
    keep(filled, READABLE, source="gone")
    assert run("quarantine", "replay", "--all").out == "1: kept: its receiver is no longer configured\n"


def test_quarantine_is_discarded(run, filled):
    """Deleted for good; an empty quarantine is reported."""
    keep(filled, "{", "{")
    done = run("quarantine", "discard", "1", "9")
    assert (done.status, done.out, done.err) == (1, "1: discarded\n", "9: no such quarantined webhook\n")
    run("quarantine", "discard", "2")
    assert run("quarantine", "replay", "--all").out == "nothing in quarantine to replay\n"
