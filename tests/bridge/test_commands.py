import io
import json

import pytest

from bridge import commands
from bridge.commands import Desk
from bridge.config import load
from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from tests.bridge.panda import Panda
from tests.store import Store

NOW = 1_800_000_000.0


@pytest.fixture
def panda():
    running = Panda()
    yield running
    running.close()


@pytest.fixture
def config(tmp_path, panda):
    """Write a configuration; return its path."""
    file = tmp_path / "bridge.yml"
    file.write_text(
        f"database: sqlite:///{tmp_path}/bridge.db\n"
        f"bigpanda: {{url: '{panda.url}', app_key: app, token: bp-token, timeout: 5s}}\n"
        "receivers:\n"
        "  - {receiver: alertmanager, source: prod, bearer_token: am-token}\n"
        "  - {receiver: alertmanager, source: lab, bearer_token: am-token, app_key: lab-key}\n"
    )
    return file


@pytest.fixture
def run(config):
    """Run a command against the configuration; return its status and what it wrote."""
    moment = [NOW]

    def sleep(seconds):
        moment[0] += seconds

    def one(command, *arguments):
        out = io.StringIO()
        desk = Desk(config=load(config), out=out, err=out, clock=lambda: moment[0], sleep=sleep)
        return command(desk, *arguments), out.getvalue()

    return one


@pytest.fixture
def letters(config):
    """Three dead letters; return their numbers."""
    desk = Desk(config=load(config), out=io.StringIO())
    outbox = Store(load(config).database.read())
    alerts = [
        Alert(receiver="alertmanager", source="prod", key=f"prod:{name}", name="Down", firing=True, starts_at=NOW - 9)
        for name in "abc"
    ]
    mapping = desk.mapping_of("alertmanager", "prod")
    outbox.ingest.accept([Notification(receiver="alertmanager", source="prod", alerts=alerts, mapping=mapping)], NOW)
    claimed = outbox.queue.claim(9, "me", NOW, 60)
    for one in claimed:
        outbox.queue.bury(one, "BigPanda answered 400: no\nhost \x1b[31m", NOW + 5)
    outbox.close()
    return [one.id for one in claimed]


def dead(config):
    outbox = Store(load(config).database.read())
    try:
        return [letter.id for letter in outbox.dead_letters.oldest()], outbox.status.counts(NOW + 100).waiting
    finally:
        outbox.close()


def test_a_test_alert_goes_the_whole_way_and_resolves(run, panda):
    """Two events of one identity, the second later and ok, under the receiver's app key."""
    status, told = run(commands.send_test, "lab")
    assert status == 0
    assert [event["status"] for event in panda.events] == ["warning", "ok"]
    assert [event["timestamp"] for event in panda.events] == [NOW, NOW + 1]
    assert {event["incident_identifier"] for event in panda.events} == {"lab:vendorwatch-test-1800000000"}
    assert {request["app_key"] for request in panda.requests} == {"lab-key"}
    assert told.count("accepted by BigPanda") == 2


def test_a_refused_test_alert_says_why(run, panda):
    """BigPanda's words, status 1, and no secret."""
    panda.token = "other"
    status, told = run(commands.send_test, None)
    assert status == 1
    assert "BigPanda answered 401" in told
    assert "bp-token" not in told


def test_a_test_alert_needs_a_receiver(run):
    """A source that is not configured is told."""
    assert run(commands.send_test, "nowhere") == (1, "send-test: no receiver has the source nowhere\n")


@pytest.mark.parametrize(
    ("token", "answer", "told"),
    [
        (
            "bp-token",
            None,
            "ok, the credentials are accepted (asked with a batch of no events; BigPanda answered 400: ",
        ),
        ("bp-token", 201, "ok, the credentials are accepted (asked with a batch of no events)"),
        ("other", None, "the credentials are refused"),
        ("bp-token", 404, "this is not the Alerts API"),
        ("bp-token", 503, "no answer to rely on"),
    ],
)
def test_check_asks_bigpanda_without_sending(run, panda, token, answer, told):
    """Credentials are tried with a batch of no events: nothing can become visible."""
    panda.token, panda.status = token, answer
    status, text = run(commands.check)
    assert status == (0 if told.startswith("ok") else 1)
    assert "database: ok, 0 events wait" in text
    assert f"bigpanda: {told}" in text
    assert [request["alerts"] for request in panda.requests] == [[]]


def test_dead_letters_are_listed(run, letters):
    """One line each, without what steers a terminal; or JSON."""
    status, told = run(commands.list_dead_letters, "text")
    assert status == 0
    assert len(told.splitlines()) == 3
    assert "prod:a  BigPanda answered 400: no host" in told
    assert "\x1b" not in told
    listed = json.loads(run(commands.list_dead_letters, "json")[1])
    assert [one["id"] for one in listed] == letters
    assert listed[0]["body"]["incident_identifier"] == "prod:a"


def test_no_dead_letters_are_said(run):
    """An empty list says so."""
    assert run(commands.list_dead_letters, "text") == (0, "no dead letters\n")
    assert json.loads(run(commands.list_dead_letters, "json")[1]) == []


def test_a_dead_letter_is_shown_whole(run, letters):
    """The event that was refused, with its reason; what is not there is told."""
    status, told = run(commands.show_dead_letter, [letters[1]], "text")
    assert status == 0
    assert '"incident_identifier": "prod:b"' in told
    assert json.loads(run(commands.show_dead_letter, [letters[1]], "json")[1])["key"] == "prod:b"
    assert run(commands.show_dead_letter, [99], "text") == (1, "99: no such dead letter\n")


def test_dead_letters_are_sent_again(run, letters, config):
    """Named ones or all of them wait again."""
    assert run(commands.requeue, [letters[0]], "text") == (0, f"{letters[0]}: queued again\n")
    left, waiting = dead(config)
    assert (left, waiting) == (letters[1:], 1)
    assert run(commands.requeue, None, "json")[0] == 0
    assert dead(config) == ([], 3)
    assert run(commands.requeue, [99], "text") == (1, "99: no such dead letter\n")


def test_dead_letters_are_given_up(run, letters, config):
    """What is discarded is gone; what is not there is told."""
    status, told = run(commands.discard, [letters[0], 99], "text")
    assert (status, told) == (1, f"{letters[0]}: discarded\n99: no such dead letter\n")
    assert dead(config) == (letters[1:], 0)


@pytest.mark.parametrize("command", [commands.show_dead_letter, commands.requeue, commands.discard])
def test_json_is_json_when_a_number_is_wrong_too(config, letters, command):
    """What is wrong is said beside it, so that a script can read what was done."""
    out, err = io.StringIO(), io.StringIO()
    desk = Desk(config=load(config), out=out, err=err)
    assert command(desk, [letters[0], 99], "json") == 1
    assert json.loads(out.getvalue())
    assert err.getvalue() == "99: no such dead letter\n"
