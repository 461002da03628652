"""`incidents`: listed from what webhooks said, resolved and commented in BigPanda."""

import json

import pytest

from bridge.domain.incident import Incident
from tests.sandbox.server import Sandbox


@pytest.fixture
def sandbox(config):
    with Sandbox() as running:
        config.write_text(
            f"{config.read_text()}incidents: {{url: '{running.url}/bigpanda', api_key: bp-sandbox-user-key}}\n"
        )
        running.world.bigpanda.send_event(host="web-1", status="critical")
        yield running


def share(filled, number, **more):
    settings = filled.config.receivers[0]
    members = {
        "status": "critical",
        "active": True,
        "keys": ("prod:a",),
        "updated_at": 1.0,
        "details": {"assignee": "Ann"},
    }
    filled.store.ingest.accept([settings.notification(incidents=(Incident(id=number, **(members | more)),))], 1.0)


def test_incidents_are_listed_with_their_alerts_hosts_and_age(run, filled):
    """Open ones first; or JSON with all members; an empty list has a text."""
    assert run("incidents", "list").out.startswith("no incidents received yet")
    filled.ingest("a")
    share(filled, "i-1")
    heading, line = run("incidents", "list").out.splitlines()
    assert heading.split() == ["STATUS", "ID", "ALERTS", "HOSTS", "AGE", "ASSIGNED", "SOURCE"]
    assert line.split()[:4] == ["critical", "i-1", "Down", "web-a"]
    assert line.split()[-2:] == ["Ann", "prod"]
    (record,) = json.loads(run("incidents", "list", "--format=json").out)
    assert (record["id"], record["details"]["assignee"]) == ("i-1", "Ann")


def test_an_incident_is_resolved_and_commented(run, sandbox):
    """Also one that was never shared with the bridge."""
    (number,) = sandbox.world.bigpanda.incidents
    found = sandbox.world.bigpanda.incidents[number]
    assert run("incidents", "comment", number, "looking").out == f"{number}: comment sent to BigPanda\n"
    assert "looking" in str(found.activities)
    assert (
        run("incidents", "resolve", number, "--comment=done").out
        == f"{number}: resolved in BigPanda; its webhook will bring the new state\n"
    )
    assert not found.active
    again = run("incidents", "resolve", number)
    assert again.status == 1
    assert "already resolved" in again.err


@pytest.mark.parametrize("words", [("resolve", ""), ("resolve", "i-1", "--comment="), ("comment", "i-1", " ")])
def test_nothing_is_sent_without_an_id_or_a_comment(run, words):
    """As from a script whose variable is not set: BigPanda's list would be addressed in place of an incident."""
    done = run("incidents", *words)
    assert (done.status, done.err.endswith(": is empty\n")) == (2, True)


def test_incidents_without_a_key_are_an_error(run):
    """Status 1, with the key that bridge.yml needs."""
    done = run("incidents", "resolve", "i-1")
    assert (done.status, done.out) == (1, "")
    assert "bridge.yml needs incidents" in done.err
