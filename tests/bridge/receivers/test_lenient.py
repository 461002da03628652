"""Alertmanager's alerts and those of what imitates it: everything is read as far as it can be."""

import json

import pytest

from bridge.domain.event import draft, status_of
from bridge.receivers.alertmanager import Settings, translate
from bridge.receivers.lenient import identifier_of, short_text_of, strings_of
from tests.bridge.alerts import build

NOW = 1_795_200_000.0
SETTINGS = Settings(receiver="alertmanager", source="prod", app_key="app")
LABELS = {"alertname": "Down", "severity": "critical", "host": "web-1"}


def alert(**more):
    return {"status": "firing", "labels": LABELS, "annotations": {}, "startsAt": "2026-11-20T11:38:00Z"} | more


def translated(entry, **body):
    return translate({"alerts": [entry], **body}, SETTINGS, NOW)


def event(entry, **body):
    (found,) = translated(entry, **body).alerts
    return build(found, status_of(found, SETTINGS.mapping)[0], int(NOW), SETTINGS.mapping)


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (1.5, "1.5"), (True, "true"), (None, None), (["a", 2], "a|2"), ({"a": 1}, None), ([["a"]], "")],
)
def test_non_text_value_becomes_text_or_is_dropped(value, text):
    """In labels and annotations alike; the alert is still sent."""
    found = event(alert(annotations={"note": value}, labels=LABELS | {"rack": value}))
    assert (found.get("note"), found.get("rack"), found["status"]) == (text, text, "critical")


@pytest.mark.parametrize("value", ["", "soon", None, {}, [], True, 10**400, "0001-01-01T00:00:00Z", -5])
def test_unreadable_time_counts_as_missing(value):
    """The alert starts, or ends, now."""
    (found,) = translated(alert(startsAt=value)).alerts
    assert found.starts_at == NOW
    (found,) = translated(alert(status="resolved", endsAt=value)).alerts
    assert found.ends_at is None


def test_huge_alerts_are_truncated():
    """Megabytes of text, or a hundred thousand labels: the first ones are kept."""
    labels = LABELS | {"long": "x" * 60_000_000} | {f"label{number}": "y" * 2000 for number in range(100_000)}
    (found,) = translated(alert(labels=labels, generatorURL="z" * 60_000_000), externalURL="w" * 60_000_000).alerts
    assert found.labels == strings_of(labels)
    assert LABELS.items() <= found.labels.items()
    assert (len(found.labels["long"]), len(found.labels) <= 1000) == (100_000, True)
    assert sum(map(len, found.labels.values())) <= 1_000_000
    assert sum(map(len, found.links.values())) <= 110_000
    assert len(strings_of({str(number): "" for number in range(1001)})) == 1000
    assert short_text_of(" " + "x" * 3000) == "x" * 2047


@pytest.mark.parametrize(("labels", "length"), [(1500, 0), (20, 65_536)])
def test_labels_that_decide_are_kept_of_huge_alerts(labels, length):
    """Alertmanager sorts labels by name: a critical alert without its severity was a warning of no host."""
    found = event(alert(labels={f"a{number:04}": "x" * length for number in range(labels)} | LABELS))
    assert (found["status"], found["check"], found["host"]) == ("critical", "Down", "web-1")
    assert found["primary_property"] == "host"


def test_status_is_case_insensitive():
    """A quarantined alert pages nobody."""
    assert [translated(alert(status=word)).alerts[0].firing for word in ("Firing ", "RESOLVED")] == [True, False]


def test_time_in_seconds_is_read():
    """As some senders write it."""
    (found,) = translated(alert(startsAt=1_795_199_000)).alerts
    assert found.starts_at == 1_795_199_000


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (alert(labels=None), "labels: missing"),
        (alert(labels=[1]), "labels: not an object"),
        (alert(status="odd"), "status: neither firing nor resolved"),
        (7, "the alert is not an object"),
    ],
)
def test_only_alerts_without_identity_or_status_are_quarantined(entry, reason):
    """With their own JSON; the rest of the webhook is accepted."""
    found = translate({"alerts": [entry, alert()]}, SETTINGS, NOW)
    assert [(one.reason, json.loads(one.body)) for one in found.unreadable] == [(reason, entry)]
    assert len(found.alerts) == 1


def test_fingerprint_identifies_an_alert_without_labels():
    """Unreadable labels cost the alert only its tags."""
    (found,) = translated(alert(labels=None, fingerprint="abc")).alerts
    assert found.key == "prod:abc"


GRAFANA = alert(
    dashboardURL="http://g/d", panelURL="http://g/p", silenceURL="http://g/s", imageURL="http://g/i.png",
    values={"B": 22.5, "C": 1}, valueString="[ var='B' value=22.5 ]",
)  # fmt: skip


def test_grafanas_additions_become_tags():
    """Its links and measured values."""
    found = event(GRAFANA)
    assert found | {
        "dashboard_url": "http://g/d", "panel_url": "http://g/p", "silence_url": "http://g/s",
        "image_url": "http://g/i.png", "value_b": "22.5", "value_c": "1", "value_string": "[ var='B' value=22.5 ]",
    } == found  # fmt: skip


def test_changed_measured_value_is_no_update():
    """It differs with every evaluation."""
    hashes = set()
    for changed in (GRAFANA, GRAFANA | {"values": {"B": 99}, "valueString": "x", "imageURL": "http://g/j.png"}):
        (found,) = translated(changed).alerts
        hashes.add(draft(found, status_of(found, SETTINGS.mapping)[0], SETTINGS.mapping).content_hash)
    assert len(hashes) == 1


def test_grafanas_test_alert_is_counted_and_not_sent():
    """It has no end, and would stay open forever."""
    found = translated(alert(labels={"alertname": "TestAlert", "instance": "Grafana"}))
    assert (found.alerts, found.ignored) == ((), 1)
    for ours in ({"alertname": "TestAlert"}, {"alertname": "Down", "instance": "Grafana"}):
        found = translated(alert(), alerts=[alert(labels=ours), "no alert"])
        assert (len(found.alerts), len(found.unreadable), found.ignored) == (1, 1, 0)


def test_the_routes_labels_are_tags():
    """Alertmanager 0.34 sends them; they are not part of the identity, and replace no label of the alert."""
    plain, routed = translated(alert()).alerts[0], translated(alert(), routeLabels={"team": "shop"}).alerts[0]
    assert routed.key == plain.key
    assert event(alert(), routeLabels={"team": "shop"})["route_team"] == "shop"


def test_what_alertmanagers_configuration_names_is_bounded():
    """Twenty labels of the route, and 256 characters of a name."""
    many = {f"{number}{'x' * 300}": "v" for number in range(21)}
    found = translated(alert(), routeLabels=many, receiver="r" * 300)
    (routed,) = found.alerts
    assert [len(name) for name in routed.annotations] == [256] * 20
    assert len(found.receiver_name) == 256


def test_first_hundred_unreadable_alerts_are_kept():
    """Of the others only the reason."""
    found = translate({"alerts": [7] * 101}, SETTINGS, NOW).unreadable
    assert [one.body for one in found] == [*["7"] * 100, ""]


def test_identity_omits_configured_labels():
    """The alert's own key is still the fingerprint's."""
    settings = Settings.model_validate(
        {"receiver": "alertmanager", "source": "prod", "identity": {"without": ["severity", "alertgroup"]}}
    )
    entries = [alert(labels=LABELS | {"severity": severity, "alertgroup": "g"}) for severity in ("warning", "page")]
    found = translate(
        {"alerts": [*entries, alert(labels={"alertname": "Down", "host": "web-1"})]}, settings, NOW
    ).alerts
    assert len({one.identity for one in found}) == 1
    assert len({one.key for one in found}) == 3
    assert found[2].identity == found[2].key
    assert translated(alert()).alerts[0].identity == ""


@pytest.mark.parametrize(
    ("value", "identifier"),
    [
        (7, "7"),
        (" a-1 ", "a-1"),
        (1.0, "1"),
        (1.5, ""),
        (1e300, ""),
        (True, ""),
        (None, ""),
        ("é", ""),
        ("a\nb", ""),
        ("x" * 129, ""),
        ("x" * 128, "x" * 128),
    ],
)
def test_an_identifier_is_a_whole_number_or_a_line_of_ascii(value, identifier):
    """Any other value is no identifier."""
    assert identifier_of(value) == identifier


@pytest.mark.parametrize(("value", "count"), [(3, 3), (2.9, 2), (-1, 0), (True, 0), ("3", 3), (10**400, 0), (1e300, 0)])
def test_count_is_bounded(value, count):
    """A larger one would fail after the webhook is durable, and its sender would retry forever."""
    assert translated(alert(), truncatedAlerts=value).truncated == count
