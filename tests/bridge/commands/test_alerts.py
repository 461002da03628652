"""`alerts`: what is open, closed and resent at a terminal."""

import json
import subprocess
import sys

import pytest

from bridge.outbox.ingest import Ingest
from bridge.web import operations
from tests.bridge.commands.conftest import NOW


def test_open_alerts_are_listed_with_host_and_age(run, filled):
    """The most urgent first, also as JSON; an empty list has a text."""
    assert run("alerts", "list").out == "no open alerts\n"
    filled.ingest("a", severity="warning")
    filled.ingest("b")
    heading, first, second = run("alerts", "list").out.splitlines()
    assert heading.split() == ["STATUS", "ALERT", "HOST", "AGE", "RECEIVER", "KEY"]
    assert first.split()[:3] == ["critical", "Down", "web-b"]
    assert second.split()[-2:] == ["alertmanager/prod", "prod:a"]
    records = json.loads(run("alerts", "list", "--format=json").out)
    assert [(one["key"], one["status"], one["host"]) for one in records] == [
        ("prod:b", "critical", "web-b"),
        ("prod:a", "warning", "web-a"),
    ]


def test_one_alert_is_shown_with_its_events(run, filled):
    """Labels, state, and the outcome of each event; an unknown key is an error."""
    filled.ingest("a", annotations={"summary": "it is \u202edown"})
    shown = run("alerts", "show", "prod:a")
    assert shown.status == 0
    for line in (
        "host:",
        "web-a",
        "label alertname:",
        "annotation summary:",
        "\\u202edown",
        "queued because the alert is new: due\n",
    ):
        assert line in shown.out
    assert [one["status"] for one in json.loads(run("alerts", "show", "prod:a", "--format=json").out)["events"]] == [
        "critical"
    ]
    filled.ingest("a", now=NOW + 50, firing=False, ends_at=NOW + 40)
    assert " 2023-11-14 22:14:00Z (" in run("alerts", "show", "prod:a").out
    nobody = run("alerts", "show", "prod:nobody")
    assert (nobody.status, nobody.err) == (1, "prod:nobody: no such alert\n")


def test_output_to_head_is_cut_in_silence(config, filled):
    """Whoever reads only the first lines, as `head` does, sees no traceback."""
    filled.ingest(*(f"n{number:04}" for number in range(2000)))
    command = [sys.executable, "-m", "bridge", "alerts", "list", f"--config.file={config}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout.readline().startswith(b"STATUS")
        listing.stdout.close()
        assert (listing.stderr.read(), listing.wait()) == (b"", 1)


@pytest.mark.parametrize("action", ["show", "close", "resend"])
def test_key_that_is_not_utf8_is_unknown(run, filled, action):
    """Python reads such an argument as lone surrogates, which no database takes."""
    done = run("alerts", action, "prod:\udcff")
    assert (done.status, done.out, done.err) == (1, "", "prod:\N{REPLACEMENT CHARACTER}: no such alert\n")


def test_alerts_are_closed(run, filled):
    """A resolution is queued for BigPanda; an unknown key, or an alert that is not open, is reported."""
    filled.ingest("a", "b")
    done = run("alerts", "close", "prod:a", "prod:nobody")
    assert (done.status, done.out, done.err) == (
        1,
        "prod:a: closed: BigPanda receives a resolution\n",
        "prod:nobody: no such alert\n",
    )
    assert filled.statuses() == {"prod:b": "critical"}
    assert filled.queued() == 3
    again = run("alerts", "close", "prod:a")
    assert (again.status, again.out) == (
        0,
        "prod:a: unchanged: not open, already queued, or its sender reported something newer\n",
    )


def test_alert_of_a_removed_receiver_is_closed(filled):
    """At the destination where it was opened. One that BigPanda never accepted is not open anywhere."""
    filled.ingest("a", "b")
    queue, now = filled.store.queue, 1_700_000_000.0
    queue.record(queue.claim(1, now, 10), "accepted", now=now)
    states = filled.store.alerts.open_alerts("prod")
    taken, other = sorted(states, key=lambda state: not state.app_key)
    found = operations.correct(filled.store, "closed", states, {}, now + 60)
    assert found == {"closed": [taken.key], "unchanged": [], "unknown": [other.key]}
    (ended,) = [one for one in queue.claim(9, now + 90, 10) if one.status == "ok"]
    identity = json.loads(ended.body)["incident_identifier"]
    assert (ended.key, ended.app_key, identity) == (taken.key, taken.app_key, taken.key)
    assert operations.correct(filled.store, "resent", states, {}, now)["unknown"] == [state.key for state in states]


def test_open_alerts_are_resent(run, filled):
    """Named ones or all: queued again with a later time, under the same identifier."""
    filled.ingest("a", "b")
    filled.store.queue.record(filled.store.queue.claim(9, 1_700_000_000.0, 10), "accepted", now=1_700_000_001.0)
    assert run("alerts", "resend", "prod:a").out == "prod:a: resent\n"
    assert filled.queued() == 1
    assert json.loads(run("alerts", "resend", "--all", "--format=json").out) == {
        "resent": ["prod:b"], "unchanged": ["prod:a"], "unknown": [],
    }  # fmt: skip


def test_many_alerts_are_changed_in_few_transactions(run, filled, monkeypatch):
    """Otherwise webhooks would wait behind one for each of them."""
    filled.ingest(*(f"a{number}" for number in range(1100)))
    filled.store.queue.record(filled.store.queue.claim(2000, 1_700_000_000.0, 10), "accepted", now=1_700_000_001.0)
    sizes, accept = [], Ingest.accept
    monkeypatch.setattr(
        Ingest, "accept", lambda self, batch, now: (sizes.append(len(batch)), accept(self, batch, now))[1]
    )
    done = json.loads(run("alerts", "resend", "--all", "--format=json").out)
    assert {outcome: len(keys) for outcome, keys in done.items()} == {"resent": 1100, "unchanged": 0, "unknown": 0}
    assert sizes == [500, 500, 100]
    closed = [key for key in done["resent"] if key.endswith("9")]
    assert run("alerts", "close", *closed).out.count(": closed: BigPanda receives a resolution") == len(closed) == 110
    assert sizes[3:] == [110]


def test_nothing_to_resend_is_reported(run):
    """As with every other --all."""
    assert (run("alerts", "resend", "--all").status, run("alerts", "resend", "--all").out) == (0, "no open alerts\n")
