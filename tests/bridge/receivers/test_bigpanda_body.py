"""Members of BigPanda's dataset options: read in any place, and left out if they are strange."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.incident import ForeignAlert, IncidentDetails, RelatedChange, merge_details
from bridge.receivers.bigpanda import Settings, translate

NOW = 1_700_000_000.0
V1 = json.loads((Path(__file__).parent / "testdata/bigpanda/v1.json").read_text())


def incident_of(body):
    """Return the incident of one webhook, with an id."""
    body = body | {"incident": {"id": "1", **body["incident"]}} if "incident" in body else {"id": "1", **body}
    (incident,) = translate(body, Settings(receiver="bigpanda", source="panda"), NOW).incidents
    return incident


def read(body, known=IncidentDetails()):  # noqa: B008  it is frozen
    """Return the details after one webhook."""
    return merge_details(known, incident_of(body).details)


def test_webhook_with_every_dataset_option_is_read():
    """People, environment, comment, tags, changes, events, flapping, other sources' alerts."""
    body = {
        "incident": {
            "id": "i-1",
            "flapping": True,
            "updatedOn": 1_699_999_990,
            "alerts": [
                {"id": "ours", "tags": [{"name": "vendorwatch_key", "value": "prod:1"}]},
                {
                    "id": "a-2",
                    "status": "Critical",
                    "primaryProperty": "host",
                    "secondaryProperty": "check",
                    "sourceSystem": "nagios.est",
                    "description": "CPU is 98%",
                    "tags": [{"name": "host", "value": "web-3"}, {"name": "check", "value": "CPU"}],
                },
            ],
        },
        "incidentTags": [{"id": "itd_priority_1", "value": 1000}, {"id": "team", "value": ["noc", "net"]}],
        "relatedChanges": [
            {
                "change": {"id": "c1", "identifier": "CHG-7", "summary": "new switch", "status": "Done",
                           "ticket_url": "https://tickets.example.com/7"},
                "match_certainty": "SUSPECT",
                "comment": "same host",
            }
        ],
        "metadata": {
            "sender": {"name": "Sender Of The Share"},
            "environment": "edge",
            "environment_id": "55550bc8",
            "assignee": {"name": "Ann Lee", "email": "ann@example.com"},
            "assigner": {"email": "bob@example.com"},
            "comment": {"comment": "looking", "environment": "All"},
        },
        "event_types": [{"event": "incident#new", "time": 1_699_999_000}],
    }  # fmt: skip
    assert read(body) == IncidentDetails(
        environment_id="55550bc8",
        assignee="Ann Lee",
        assigner="bob@example.com",
        flapping=True,
        comments=((1_699_999_990.0, "looking"),),
        tags={"itd_priority_1": "1000", "team": "noc, net"},
        changes=(
            RelatedChange(id="CHG-7", summary="new switch", status="Done", link="https://tickets.example.com/7",
                          certainty="SUSPECT", comment="same host"),
        ),
        events=((1_699_999_000.0, "incident#new"),),
        foreign=(ForeignAlert(id="a-2", status="critical", source="nagios.est", description="web-3 CPU: CPU is 98%"),),
    )  # fmt: skip


def test_bigpandas_own_sample_is_read():
    """The v1 body of its documentation: other sources' alerts, not flapping."""
    found = read(V1)
    assert not found.flapping
    assert {one.source for one in found.foreign} == {"nagios.est"}


@pytest.mark.parametrize(
    ("alert", "shown"),
    [
        ({"primary_property": "host", "secondary_property": "check"}, "web-3 CPU: slow"),
        ({"primary_property": "web-3", "secondary_property": "Disk"}, "web-3 Disk: slow"),
        ({"primaryProperty": "host", "secondaryProperty": None}, "web-3: slow"),
        ({"primaryProperty": 5, "secondary_property": ["check"]}, "5: slow"),
        ({}, "slow"),
    ],
)
def test_subject_of_a_foreign_alert_in_any_spelling(alert, shown):
    """The properties are the names of its tags, or their values."""
    tags = [{"name": "host", "value": "web-3"}, {"name": "check", "value": "CPU"}]
    (found,) = read({"alerts": [{"id": "1", "description": "slow", "tags": tags, **alert}]}).foreign
    assert found.description == shown


@pytest.mark.parametrize("where", ["metadata", "body", "incident"])
def test_sender_of_a_share_is_never_shown_as_snoozer(where):
    """It is the user who pressed Share, or AutoShare."""
    said = {"sender": {"name": "Sender"}, "assigner": {"name": "Bob"}}
    body = {"incident": {"id": "1", "snooze": {"snoozed": True}}}
    if where == "body":
        body |= said
    elif where == "metadata":
        body["metadata"] = said
    else:
        body["incident"] |= said
    found = read(body)
    assert (found.snoozed_by, found.assignee, found.assigner) == ("", "", "Bob")


def test_template_can_have_the_snoozer():
    """v2's body is ours; an unfilled placeholder counts as missing."""
    assert read({"id": "1", "snoozed_by": "Ann"}).snoozed_by == "Ann"
    assert read({"id": "1", "snooze": {"snoozed_by": {"name": "Ann"}}}).snoozed_by == "Ann"
    assert read({"id": "1", "snoozed_by": "{{snooze.user}}"}).snoozed_by == ""


def test_missing_members_keep_their_values():
    """Comments and events are added once; an assignee of null is an unassignment."""
    said = {"assignee": {"name": "Ann"}, "comment": {"comment": "a"}}
    known = read({"id": "1", "updated_at": NOW + 100, "metadata": said,
                  "event_types": [{"event": "incident#new", "time": NOW + 90}]})  # fmt: skip
    said = {"id": "1", "updated_at": NOW + 200, "metadata": {"comment": {"comment": "b"}},
            "event_types": [{"event": "incident#new", "time": NOW + 90},
                            {"event": "incident#commented", "time": NOW + 200}]}  # fmt: skip
    after = read(said, known)
    assert after.assignee == "Ann"
    assert after.comments == ((NOW + 100.0, "a"), (NOW + 200.0, "b"))
    assert after.events == ((NOW + 90.0, "incident#new"), (NOW + 200.0, "incident#commented"))
    assert read({"metadata": {"assignee": None}}, after).assignee == ""


@pytest.mark.parametrize(
    ("body", "available"),
    [
        ({"quota": {"used": 1000, "available": 0, "last_reset": 1, "notified": True}}, 0.0),
        ({"metadata": {"quota": {"available": 12}}}, 12.0),
        ({"incident": {"quota": {"available": "3"}}}, 3.0),
        ({"quota": {"available": -1.0}}, -1.0),
        ({"quota": {"available": "--1"}}, None),
        ({"quota": {"available": True}}, None),
        ({"quota": {"available": "{{quota}}"}}, None),
        ({"quota": 7}, None),
        ({"quota": "{{quota}}", "metadata": {"quota": {"available": 9}}}, 9.0),
        ({}, None),
    ],
)
def test_the_share_quota_is_read(body, available):
    """The shares left until the next reset, wherever BigPanda puts it."""
    assert incident_of(body).quota == available


def test_number_and_length_of_what_is_kept_are_bounded():
    """A hundred of each, 512 characters of a text; a number beyond any id or count is none."""
    many = [{"id": f"{number}", "value": "x" * 513, "change": {"id": "c"}} for number in range(101)]
    found = read({"id": "1", "incidentTags": many, "relatedChanges": many, "alerts": many})
    assert [len(found.tags), len(found.changes), len(found.foreign), len(found.tags["0"])] == [100, 100, 100, 512]
    assert [read({"id": "1", "environment_id": 10**14 - less}).environment_id for less in (0, 1)] == ["", "9" * 14]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "assignee", "assigner", "snoozed_by", "snooze", "environment_id", "flapping", "incidentTags", "relatedChanges",
    "alerts", "comment", "comments", "event_types", "event", "metadata", "quota", "updatedOn",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), _json), st.dictionaries(st.sampled_from(NAMES), _json))
def test_any_json_in_any_member_is_read(body, incident):
    """As far as possible, and the result can be stored."""
    found = read(body | {"incident": incident})
    json.dumps(found.comments + found.events).encode()
