"""Alert → BigPanda event: identity, status, limits; valid whatever the labels hold."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.alert import Alert
from bridge.domain.event import MEMBERS, Status, draft, status_of
from bridge.receivers.settings import ReceiverSettings
from tests.bridge.alerts import build

SETTINGS = ReceiverSettings(receiver="alertmanager", source="prod", app_key="app")
MAPPING = SETTINGS.mapping
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def alert(labels=None, annotations=None, **more):
    given_up = {"receiver": "alertmanager", "source": "prod", "key": "prod:f1", "name": "Down", "firing": True}
    return Alert(**given_up | {"labels": labels or {}, "annotations": annotations or {}, "starts_at": 1.0} | more)


def made(labels=None, annotations=None, **more):
    return build(alert(labels, annotations, **more), Status.CRITICAL, 1_700_000_000, MAPPING)


def test_event_has_bigpandas_members():
    """Identifier, status, time, both properties and the description."""
    event = made({"alertname": "Down", "host": "web-1", "team": "net"}, {"summary": "It is down"})
    assert event == {
        "incident_identifier": "prod:f1",
        "vendorwatch_key": "prod:f1",
        "status": "critical",
        "timestamp": 1_700_000_000,
        "primary_property": "host",
        "host": "web-1",
        "secondary_property": "check",
        "check": "Down",
        "description": "It is down",
        "alertname": "Down",
        "team": "net",
        "summary": "It is down",
    }


@pytest.mark.parametrize(
    ("labels", "name", "value"),
    [
        ({"host": "h", "instance": "i"}, "host", "h"),
        ({"job": "j", "instance": "i"}, "instance", "i"),
        ({"host": "  ", "job": "j"}, "job", "j"),
        ({"team": "t"}, "service", "prod"),
        ({"service": "s"}, "service", "s"),
        ({"": "x", "host": "h"}, "host", "h"),
    ],
)
def test_the_first_configured_label_that_is_present_is_the_primary_property(labels, name, value):
    """Without such a label it is the source, as a service. The secondary one is the alert's name then too."""
    event = made(labels, primary="gone", secondary="gone")
    assert event["secondary_property"] == "check"
    assert (event["primary_property"], event[name]) == (name, value)


def test_properties_that_the_sender_names_take_precedence():
    """Of the labels that are there; the name of the alert is no member then."""
    event = made({"host": "h", "team": "t", "Site": "s"}, primary="team", secondary="Site")
    assert (event["primary_property"], event["secondary_property"], "check" in event) == ("team", "site", False)


def test_reserved_primary_label_gets_a_safe_name():
    """Even a configured property cannot replace a member."""
    settings = ReceiverSettings(receiver="x", source="prod", primary_property=("status",))
    event = build(alert({"status": "up"}), Status.OK, 1, settings.mapping)
    assert (event["status"], event["primary_property"], event["label_status"]) == ("ok", "label_status", "up")


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_a_label_named_as_a_member_cannot_change_the_event(name):
    """It is sent as label_<name>."""
    event = made({name: "evil", "host": "h"})
    assert event[f"label_{name}"] == "evil"
    assert event.get(name) == made({"host": "h"}).get(name)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Team", "team"),
        ("ünïcode", "unicode"),
        ("a.b c", "a_b_c"),
        ("_hidden", "label__hidden"),
        ("9lives", "label_9lives"),
        ("STATUS", "label_status"),
        ("x" * 64, "x" * 64),
    ],
)
def test_tag_names_are_normalised(name, folded):
    """Lower case, no accents, a letter first, at most 64."""
    assert made({name: "v"})[folded] == "v"


def test_equal_normalised_names_stay_distinct():
    """The exact name keeps it; the others get a hash of the original, in any order."""
    one = made({"team": "a", "Team": "b", "TEAM": "c"})
    assert one == made({"TEAM": "c", "Team": "b", "team": "a"})
    assert one["team"] == "a"
    assert {value for name, value in one.items() if name.startswith("team")} == {"a", "b", "c"}
    long = made({"x" * 100: "1", "x" * 101: "2"})
    assert sorted(value for name, value in long.items() if name.startswith("xx")) == ["1", "2"]
    assert all(NAME.fullmatch(name) for name in long)


def test_label_that_is_called_as_the_substitute_for_a_property_is_renamed():
    """With other properties configured `service` is an ordinary label: without them the member is the source."""
    mapping = replace(MAPPING, primary_property=("host",))
    event = build(alert({"service": "web"}), Status.CRITICAL, 1_700_000_000, mapping)
    assert (event["primary_property"], event["service"]) == ("service", "prod")
    assert "web" in event.values()


def test_annotation_with_a_labels_name_is_renamed():
    """Both are sent."""
    event = made({"team": "label"}, {"team": "note", "status": "s", "check": "c"})
    assert (event["team"], event["annotation_team"]) == ("label", "note")
    assert (event["annotation_status"], event["annotation_check"]) == ("s", "c")
    long = made({"x" * 64: "label"}, {"x" * 64: "note"})
    assert {"label", "note"} <= set(long.values())
    assert all(NAME.fullmatch(name) for name in long)


@pytest.mark.parametrize(
    ("annotations", "description"),
    [
        ({"description": "d", "summary": "s"}, "d"),
        ({"description": " ", "summary": "s", "message": "m"}, "s"),
        ({"message": "m"}, "m"),
        ({}, "Down"),
    ],
)
def test_description_is_the_first_non_empty_annotation(annotations, description):
    """Of description, summary and message; otherwise the alert's name."""
    assert made({}, annotations)["description"] == description


def test_values_are_truncated_to_bigpandas_limits():
    """512 characters for a tag, wherever it is from, 2048 for the description; the identifier stays whole."""
    long = "é" * 5000
    links = {"runbook_url": long, "generator_url": long}
    more = {"name": long, "key": long, "links": links, "silence": {"silence_comment": long}, "volatile": {"a": long}}
    event = made({"v": long}, {"note": long, "description": long}, **more)
    assert (len(event["description"]), len(event["incident_identifier"])) == (2048, 5000)
    tags = ("v", "note", "check", "vendorwatch_key", *links, "silence_comment", "a")
    assert [len(event[name]) for name in tags] == [512] * len(tags)


@pytest.mark.parametrize(
    ("severity", "status", "mapped"),
    [
        ("critical", Status.CRITICAL, True),
        ("PAGE", Status.CRITICAL, True),
        (" disaster ", Status.CRITICAL, True),
        ("Major", Status.WARNING, True),
        ("info", Status.WARNING, True),
        ("none", None, True),
        ("purple", Status.WARNING, False),
        ("", Status.WARNING, False),
    ],
)
def test_a_firing_alert_takes_its_status_from_its_severity(severity, status, mapped):
    """In any case; an unmapped severity is a warning, and counted."""
    assert status_of(alert(severity=severity), MAPPING) == (status, mapped)


def test_a_resolved_alert_is_ok_whatever_its_severity():
    """Except a severity that is never sent."""
    assert status_of(alert(severity="purple", firing=False), MAPPING) == (Status.OK, True)
    assert status_of(alert(severity="none", firing=False), MAPPING) == (None, True)


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("critical", (Status.ACKNOWLEDGED, True)), ("odd", (Status.ACKNOWLEDGED, True)), ("none", (None, True))],
)
def test_a_silenced_alert_is_acknowledged_whatever_its_severity(severity, expected):
    """Unless that is not sent."""
    assert status_of(alert(severity=severity, silence={"silenced_by": "jo"}), MAPPING) == expected


def test_configured_statuses_are_added_to_the_defaults():
    """In any case, and they override the defaults."""
    settings = ReceiverSettings(receiver="x", source="s", app_key="own", statuses={"P1": "critical", "info": "none"})
    mapping = settings.mapping
    assert mapping.app_key == "own"
    assert [status_of(alert(severity=word), mapping)[0] for word in ("p1", "INFO", "page")] == [
        Status.CRITICAL,
        None,
        Status.CRITICAL,
    ]


def test_links_that_differ_between_replicas_are_no_change():
    """They are sent, but are not part of the content hash."""
    one = draft(alert(links={"alertmanager_url": "http://a", "runbook_url": "http://r"}), Status.OK, MAPPING)
    two = draft(alert(links={"alertmanager_url": "http://b", "runbook_url": "http://r"}), Status.OK, MAPPING)
    three = draft(alert(links={"alertmanager_url": "http://b", "runbook_url": "http://x"}), Status.OK, MAPPING)
    assert one.content_hash == two.content_hash != three.content_hash
    assert json.loads(two.freeze(1))["alertmanager_url"] == "http://b"


def test_measured_values_replace_no_other_member():
    """Whatever they are called."""
    links, values = {"generator_url": "http://prom/g"}, {"host": "9", "generator_url": "8", "Value A": "7", "95th": "6"}
    event = made({"host": "web-1"}, links=links, volatile=values)
    assert (event["host"], event["generator_url"], event["value_a"]) == ("web-1", "http://prom/g", "7")
    assert event["value_95th"] == "6"


def test_the_frozen_bytes_do_not_depend_on_the_senders_order():
    """The same alert is the same event."""
    one = draft(alert({"a": "1", "b": "2"}), Status.OK, MAPPING)
    assert one.freeze(5) == draft(alert({"b": "2", "a": "1"}), Status.OK, MAPPING).freeze(5)


@given(
    st.dictionaries(st.text() | st.sampled_from(sorted(MEMBERS)), st.text(), max_size=12),
    st.dictionaries(st.text() | st.sampled_from(sorted(MEMBERS)), st.text(), max_size=12),
    st.text(max_size=3000),
    st.sampled_from(list(Status)),
)
def test_event_is_valid_for_any_labels(labels, annotations, name, status):
    """Names, lengths, types and properties; no label and no annotation is lost."""
    event = build(alert(labels, annotations, name=name), status, 1_700_000_000, MAPPING)
    assert (event["status"], event["timestamp"], event["incident_identifier"]) == (status, 1_700_000_000, "prod:f1")
    assert event[event["primary_property"]].strip()
    assert all(NAME.fullmatch(member) for member in event)
    own = event.pop("description")
    assert 0 < len(own) <= 2048
    assert all(isinstance(value, str) and len(value) <= 512 for value in event.values() if value != 1_700_000_000)
    expected = len(labels) + len(set(annotations) - {"description", "runbook_url", "dashboard_url"})
    assert len(event) >= expected
    json.dumps(event, ensure_ascii=False).encode()
