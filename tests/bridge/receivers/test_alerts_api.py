"""BigPanda's own Alerts API body: taken as its clients send it, refused in BigPanda's words, one identity for each."""

import json

import pytest

from bridge.domain.event import status_of
from bridge.errors import Unreadable
from bridge.receivers.alerts_api import Settings, translate
from tests.bridge.alerts import build
from tests.store import Store

NOW = 1_795_200_000.0
NO_PROPERTY = (
    "alert 1: a primary property must exist: host, service, application, device, or what 'primary_property' names"
)
SETTINGS = Settings(receiver="alerts_api", source="scripts", app_key="ours")
DISK = {"app_key": "theirs", "status": "critical", "host": "web-1", "check": "disk", "description": "full"}


def event(body):
    (alert,) = translate(body, SETTINGS, NOW).alerts
    return build(alert, status_of(alert, SETTINGS.mapping)[0] or "ok", int(NOW), SETTINGS.mapping)


def test_alert_becomes_the_same_event():
    """Status, properties, description, tags; the app key is the receiver's, the identifier BigPanda's own."""
    found = event(DISK | {"timestamp": 5, "cluster": "eu", "disks": ["a", "b"], "load": 3, "runbook_url": "http://r"})
    assert found == {
        "timestamp": int(NOW), "status": "critical", "host": "web-1", "check": "disk", "description": "full",
        "primary_property": "host", "secondary_property": "check", "cluster": "eu", "disks": "a|b", "load": "3",
        "runbook_url": "http://r", "incident_identifier": "scripts:web-1:disk", "vendorwatch_key": "scripts:web-1:disk",
    }  # fmt: skip


@pytest.mark.parametrize("status", ["ok", "critical", "warning", "unknown", "acknowledged", "Critical"])
def test_every_status_of_bigpanda_is_forwarded(status):
    """In lower case, without a mapping of severities."""
    assert event(DISK | {"status": status})["status"] == status.lower()


@pytest.mark.parametrize(("status", "sent"), [("ok suspect", "ok"), ("Critical-suspect", "critical"),
                                              ("warning_suspect", "warning"), ("oksuspect", "ok")])  # fmt: skip
def test_suspect_status_is_forwarded_as_its_status(status, sent):
    """BigPanda's clients may send it, and its message about a wrong status lists it, though its documents do not."""
    assert event(DISK | {"status": status})["status"] == sent


def test_senders_properties_are_kept():
    """As bigpanda-python-module names them; the identifier too, if there is one."""
    body = {"status": "warning", "primary_property": "rack", "secondary_property": "sensor", "rack": "r7",
            "sensor": "temp", "incident_identifier": "rack-7"}  # fmt: skip
    found = event({"app_key": "k", "alerts": [body]})
    assert (found["primary_property"], found["secondary_property"]) == ("rack", "sensor")
    assert (found["rack"], found["sensor"], found["incident_identifier"]) == ("r7", "temp", "scripts:rack-7")


def test_long_identifier_is_replaced_by_a_short_one():
    """Always the same; 512 characters are kept."""
    identifiers = [
        event(DISK | {"incident_identifier": "x" * length})["incident_identifier"] for length in (512, 513, 513)
    ]
    assert identifiers[0] == f"scripts:{'x' * 512}"
    assert identifiers[1] == identifiers[2]
    assert len(identifiers[1]) == len("scripts:") + 32


def test_property_that_is_no_tag_is_the_alerts_check():
    """A link has a member of its own."""
    found = event(DISK | {"secondary_property": "permalink", "permalink": "http://x"})
    assert (found["secondary_property"], found["check"], found["permalink"]) == ("check", "http://x", "http://x")


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"host": "h"}, ["alert 1: 'status' must exist and be one of ok, critical, warning, unknown, acknowledged"]),
        (DISK | {"timestamp": "soon"}, ["alert 1: 'timestamp' must be a time in Unix format"]),
        ({"status": "ok"}, [NO_PROPERTY]),
        ({"alerts": [DISK, None]}, ["alert 2: not an object"]),
        ({"alerts": {}}, ["alerts: not a list"]),
        ({"alerts": []}, ["alerts: empty"]),
        ({"alerts": [7] * 22}, [*(f"alert {number}: not an object" for number in range(1, 21)), "and 2 more"]),
    ],
)  # fmt: skip
def test_batch_that_bigpanda_would_reject_is_rejected(body, errors):
    """As a whole, with every problem."""
    with pytest.raises(Unreadable) as raised:
        translate(body, SETTINGS, NOW)
    assert str(raised.value).split("; ") == errors


def test_exact_duplicate_differs_from_a_repeat(tmp_path):
    """The same alert with the same time; with another time, or without one, it is new to BigPanda."""
    store = Store(f"sqlite:///{tmp_path}/bridge.db")

    def take(**more):
        body = json.loads(json.dumps(DISK | more))
        (outcome,) = store.ingest.accept([translate(body, SETTINGS, NOW)], NOW)
        return outcome.queued, outcome.duplicates

    assert take(timestamp=1_795_199_000) == (1, 0)
    assert take(timestamp=1_795_199_000) == (0, 1)
    assert take(timestamp=1_795_199_001) == (0, 0)
    assert take(timestamp=1_795_199_002, status="ok") == (1, 0)
    assert take(status="warning") == (1, 0)
    assert take(status="warning") == (0, 0)
    store.close()


@pytest.mark.parametrize("status", ["critical", "ok"])
def test_exact_duplicate_of_a_clock_that_is_ahead(tmp_path, status):
    """However much later it comes."""
    store = Store(f"sqlite:///{tmp_path}/bridge.db")

    def duplicates(now, timestamp):
        event = translate(DISK | {"status": status, "timestamp": timestamp}, SETTINGS, now)
        return store.ingest.accept([event], now)[0].duplicates

    ahead = int(NOW) + 60
    assert [duplicates(NOW, ahead), duplicates(NOW + 5, ahead), duplicates(NOW + 90, ahead)] == [0, 1, 1]
    assert duplicates(NOW + 95, ahead + 1) == 0
    store.close()


def test_clock_that_was_ahead_does_not_outlast_the_resolution(tmp_path):
    """An event from the future counts as of its arrival; one that is late for it is still older."""
    store = Store(f"sqlite:///{tmp_path}/bridge.db")

    def shown(now, **more):
        store.ingest.accept([translate(DISK | more, SETTINGS, now)], now)
        return store.alerts.states(["scripts:web-1:disk"])["scripts:web-1:disk"].status

    assert shown(NOW + 0.5, timestamp=int(NOW) + 3600) == "critical"
    assert shown(NOW + 0.7, timestamp=int(NOW), status="ok") == "ok"
    assert shown(NOW + 1.5, timestamp=int(NOW) + 3600) == "critical"
    assert shown(NOW + 60, timestamp=int(NOW) - 60, status="ok") == "critical"
    assert shown(NOW + 60, timestamp=int(NOW) + 60, status="ok") == "ok"
    store.close()
