"""Alertmanager's webhook → Alerts: real bodies, and hostile ones."""

import json

import pytest

from bridge.errors import Unreadable
from bridge.receivers.alertmanager import Settings, fingerprint
from bridge.receivers.contract import translate

NOW = 1_800_000_000.0
SETTINGS = Settings(receiver="alertmanager", source="prod")
REAL = {
    "status": "firing",
    "labels": {"alertname": "MonitorDown", "cluster": "eu", "monitor": "Prod API", "severity": "critical"},
    "annotations": {"summary": "down", "runbook_url": "https://wiki/run", "dashboard_url": "https://grafana/d"},
    "startsAt": "2026-11-20T20:54:08.910589588Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prom/graph?g0.expr=up",
    "fingerprint": "28606b9eb85889cf",
}


def body(*alerts, **more):
    return {"version": "4", "receiver": "hook", "externalURL": "http://am:9093", "alerts": list(alerts)} | more


def only(alert, settings=SETTINGS):
    (found,) = translate(body(alert), settings, NOW).alerts
    return found


def test_firing_alert_is_read():
    """Identity by source and fingerprint, nanoseconds, links; the zero endsAt is no end."""
    found = only(REAL)
    assert (found.key, found.name, found.severity, found.firing) == (
        "prod:28606b9eb85889cf",
        "MonitorDown",
        "critical",
        True,
    )
    assert (round(found.starts_at, 3), found.ends_at) == (1795208048.911, None)
    assert found.links == {
        "generator_url": "http://prom/graph?g0.expr=up",
        "alertmanager_url": "http://am:9093",
        "runbook_url": "https://wiki/run",
        "dashboard_url": "https://grafana/d",
    }


def test_resolved_alert_has_its_end():
    """The end is endsAt; the identity is the same."""
    found = only(REAL | {"status": "resolved", "endsAt": "2026-11-20T21:54:21+01:00"})
    assert (found.key, found.firing, found.ends_at) == ("prod:28606b9eb85889cf", False, 1795208061.0)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"alertname": "Third", "cluster": "eu", "severity": "info"}, "9f47596fc47a4610"),
        ({"alertname": "Storm", "cluster": "eu", "i": "10"}, None),
        ({}, "cbf29ce484222325"),
    ],
)
def test_a_fingerprint_is_computed_as_alertmanager_does(labels, expected):
    """FNV-1a over names and values; compared with what a real Alertmanager sent."""
    assert expected in (None, fingerprint(labels))
    assert len(fingerprint(labels)) == 16


@pytest.mark.parametrize("value", [None, "", 7, "x" * 200, "tab\t", "é"])
def test_a_missing_or_strange_fingerprint_is_computed(value):
    """An invalid one is never the identity."""
    alert = {name: value for name, value in REAL.items() if name != "fingerprint"} | {"fingerprint": value}
    assert only(alert).key == f"prod:{fingerprint(REAL['labels'])}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "burning"}, "status: neither firing nor resolved"),
        ({"status": None}, "status: neither firing nor resolved"),
        ({"status": ["firing"]}, "status: neither firing nor resolved"),
        ({"labels": None, "fingerprint": None}, "labels: missing"),
        ({"labels": [], "fingerprint": ""}, "labels: not an object"),
    ],
)
def test_one_bad_alert_is_quarantined_alone(change, reason):
    """With the reason and its own JSON."""
    found = translate(body(REAL, REAL | change, REAL), SETTINGS, NOW)
    assert len(found.alerts) == 2
    assert [(item.reason, json.loads(item.body)) for item in found.unreadable] == [(reason, REAL | change)]


@pytest.mark.parametrize("entry", [None, 7, "x", [], True])
def test_invalid_entry_is_quarantined(entry):
    """For any value."""
    (item,) = translate(body(entry), SETTINGS, NOW).unreadable
    assert (item.reason, json.loads(item.body)) == ("the alert is not an object", entry)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "the body is not an object"),
        (None, "the body is not an object"),
        ({}, "alerts: missing"),
        ({"alerts": None}, "alerts: not a list"),
        ({"alerts": {}}, "alerts: not a list"),
    ],
)
def test_body_without_alerts_is_unreadable(content, reason):
    """The whole body is quarantined, and the error names the problem."""
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        translate(content, SETTINGS, NOW)


def test_optional_members_may_be_missing_or_strange():
    """Members change without a new version."""
    found = translate(
        {"alerts": [{"status": "firing", "labels": {}}], "receiver": 5, "truncatedAlerts": "x"}, SETTINGS, NOW
    )
    assert (found.alerts[0].starts_at, found.alerts[0].name, found.receiver_name, found.truncated) == (NOW, "", "5", 0)


def test_truncation_and_receiver_name_are_read():
    """For the reconciler."""
    found = translate(body(REAL, truncatedAlerts=10), SETTINGS, NOW)
    assert (found.truncated, found.receiver_name) == (10, "hook")


def test_distant_times_are_read():
    """Year 1 means none."""
    assert only(REAL | {"startsAt": "0001-01-01T00:00:00Z"}).starts_at == NOW
    assert only(REAL | {"startsAt": "9999-12-31T23:59:59Z"}).starts_at > 2.5e11
    assert only(REAL | {"startsAt": "1066-10-14T09:00:00Z"}).starts_at < 0


def test_watchdog_alert_is_a_heartbeat_and_not_sent():
    """Resolved, it is silent."""
    settings = Settings(receiver="alertmanager", source="prod", watchdog={"alertname": "Watchdog"})
    dog = REAL | {"labels": {"alertname": "Watchdog"}}
    notification = translate(body(dog, REAL), settings, NOW)
    assert [beat.firing for beat in notification.heartbeats] == [True]
    assert (notification.ignored, [alert.name for alert in notification.alerts]) == (1, ["MonitorDown"])
    assert [beat.firing for beat in translate(body(dog | {"status": "resolved"}), settings, NOW).heartbeats] == [False]
    assert not translate(body(dog), SETTINGS, NOW).heartbeats


def test_severity_label_is_configurable():
    """Not everyone calls it severity."""
    settings = Settings(receiver="alertmanager", source="prod", severity_label="cluster")
    assert only(REAL, settings).severity == "eu"


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({}, ()),
        ({"bearer_token": "t0p"}, (("Authorization", "Bearer t0p"),)),
        ({"username": "am", "password": "pä"}, (("Authorization", "Basic YW06cMOk"),)),
    ],
)
def test_one_of_several_credentials_must_match(settings, headers):
    """Without any, every request is accepted."""
    assert Settings(receiver="alertmanager", source="prod", **settings).credentials() == headers
