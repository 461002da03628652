"""`quarantine`: what could not be read, at a terminal."""

import json

READABLE = json.dumps(
    {
        "version": "4",
        "alerts": [{"status": "firing", "labels": {"alertname": "Down", "host": "w"}, "fingerprint": "f1"}],
    }
)
ONE_ALERT = json.dumps({"status": "firing", "labels": {"alertname": "Down"}, "fingerprint": "f2"})


def keep(filled, *bodies, source="prod"):
    for body in bodies:
        filled.store.quarantine.add("alertmanager", source, "alerts: \x1bmissing", body, 1_700_000_000.0)


def test_it_is_listed_with_what_it_seems_to_be_about(run, filled):
    """Receiver, the first alert and host in the body, age, reason; or JSON; or that there is nothing."""
    assert run("quarantine", "list").out == "nothing in quarantine\n"
    keep(filled, READABLE)
    heading, line = run("quarantine", "list").out.splitlines()
    assert heading.split() == ["ID", "RECEIVER", "ALERT", "HOST", "AGE", "REASON"]
    assert line.split()[:4] == ["1", "alertmanager/prod", "Down", "w"]
    assert line.endswith("alerts: \\u001bmissing")
    assert json.loads(run("quarantine", "list", "--format=json").out)[0]["body"] == READABLE


def test_one_is_shown_whole(run, filled):
    """With its reason and all of its body, however long."""
    keep(filled, json.dumps({"long": "x" * 50_000}))
    shown = run("quarantine", "show", "1")
    assert shown.status == 0
    assert "x" * 50_000 in shown.out
    assert run("quarantine", "show", "9").err == "9: no such quarantined webhook\n"


def test_what_can_be_read_now_is_replayed(run, filled):
    """A whole webhook or one alert of one; what can still not be read is kept and said."""
    keep(filled, READABLE, ONE_ALERT, "{")
    done = run("quarantine", "replay", "1", "2")
    assert (done.status, done.out) == (0, "1: replayed\n2: replayed\n")
    assert set(filled.statuses()) == {"prod:f1", "prod:f2"}
    rest = run("quarantine", "replay", "--all")
    assert (rest.status, rest.out) == (1, "3: kept: still unreadable\n")
    assert [one.id for one in filled.store.quarantine.oldest()] == [3]
    assert run("quarantine", "replay", "1").err == "1: no such quarantined webhook\n"


def test_what_belongs_to_nobody_is_kept(run, filled):
    """Its receiver may be configured again."""
    keep(filled, READABLE, source="gone")
    assert run("quarantine", "replay", "--all").out == "1: kept: its receiver is no longer configured\n"


def test_it_is_discarded(run, filled):
    """Deleted for good; nothing to replay is said."""
    keep(filled, "{", "{")
    done = run("quarantine", "discard", "1", "9")
    assert (done.status, done.out, done.err) == (1, "1: discarded\n", "9: no such quarantined webhook\n")
    run("quarantine", "discard", "2")
    assert run("quarantine", "replay", "--all").out == "nothing in quarantine to replay\n"
