"""`dead-letters`: what BigPanda refused, at a terminal."""

import json

import pytest

from bridge.config import load


def test_dead_letters_are_listed_with_alert_host_and_age(run, filled):
    """One line each, without control characters; or JSON."""
    ids = filled.bury("a", "b", "c")
    listed = run("dead-letters", "list")
    assert listed.status == 0
    heading, first, *_ = listed.out.splitlines()
    assert heading.split() == ["ID", "STATUS", "ALERT", "HOST", "AGE", "KEY", "REASON"]
    assert first.split()[:4] == [str(ids[0]), "critical", "Down", "web-a"]
    assert first.endswith("prod:a  BigPanda answered 400: no host \\u001b[31m")
    assert "\x1b" not in listed.out
    records = json.loads(run("dead-letters", "list", "--format=json").out)
    assert [one["id"] for one in records] == ids
    assert (records[0]["alert"], records[0]["host"]) == ("Down", "web-a")
    assert records[0]["body"]["incident_identifier"] == "prod:a"


def test_empty_list_of_dead_letters_is_reported(run):
    """In both forms; also by requeue --all."""
    assert run("dead-letters", "list").out == "no dead letters\n"
    assert json.loads(run("dead-letters", "list", "--format", "json").out) == []
    nothing = run("dead-letters", "requeue", "--all")
    assert (nothing.status, nothing.out) == (0, "no dead letters to requeue\n")


def test_dead_letter_is_shown_completely(run, filled):
    """The rejected event with its reason; an unknown id is an error."""
    ids = filled.bury("a", "b")
    shown = run("dead-letters", "show", str(ids[1]))
    assert shown.status == 0
    assert '"incident_identifier": "prod:b"' in shown.out
    assert "host: web-b" in " ".join(shown.out.split())
    assert json.loads(run("dead-letters", "show", str(ids[1]), "--format=json").out)["key"] == "prod:b"
    missing = run("dead-letters", "show", "99")
    assert (missing.status, missing.err) == (1, "99: no such dead letter\n")


def test_dead_letters_are_requeued(run, filled):
    """Named ones, or all of them."""
    ids = filled.bury("a", "b", "c")
    assert run("dead-letters", "requeue", str(ids[0])).out == f"{ids[0]}: queued again\n"
    assert (filled.dead(), filled.queued()) == (ids[1:], 1)
    assert json.loads(run("dead-letters", "requeue", "--all", "--format=json").out)["queued"] == ids[1:]
    assert (filled.dead(), filled.queued()) == ([], 3)


def test_dead_letter_of_a_removed_receiver_is_kept(run, filled, config):
    """It cannot be mapped any more: status 1, with the reason."""
    (number,) = filled.bury("a")
    config.write_text(config.read_text().replace("source: prod", "source: other"))
    assert load(config)
    kept = run("dead-letters", "requeue", str(number))
    assert (kept.status, kept.out) == (1, f"{number}: kept: its receiver is no longer configured\n")
    assert filled.dead() == [number]


def test_dead_letters_are_discarded(run, filled):
    """They are deleted; an unknown id is an error."""
    ids = filled.bury("a", "b")
    done = run("dead-letters", "discard", str(ids[0]), "99")
    assert (done.status, done.out, done.err) == (1, f"{ids[0]}: discarded\n", "99: no such dead letter\n")
    assert filled.dead() == ids[1:]


@pytest.mark.parametrize("command", ["show", "requeue", "discard"])
def test_json_output_is_valid_with_an_unknown_id(run, filled, command):
    """The error goes to standard error, so that a script can read the result."""
    (number,) = filled.bury("a")
    done = run("dead-letters", command, str(number), "99", "--format=json")
    assert done.status == 1
    assert json.loads(done.out)
    assert done.err == "99: no such dead letter\n"
