"""BigPanda's listing, and the consequences for events that are missing in it."""

import json

import pytest

from bridge.delivery.confirmation_diff import Diagnostic, ListedAlert, compare, read_alerts, read_diagnostics
from bridge.errors import Unreadable
from bridge.outbox.confirmations import SentEvent


def sent(number, key="prod:a", timestamp=1_700_000_000, **more):
    return SentEvent(
        id=number, key=key, app_key="app", status="critical", timestamp=timestamp, queued_at=1001.0, **more
    )


def outcome(event, *listed):
    result = compare([event], {"app": listed})
    (name,) = [name for name in ("confirmed", "missed", "resend", "lost") if getattr(result, name)]
    return name


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (ListedAlert("prod:a", 1_700_000_000, "critical"), "confirmed"),
        (ListedAlert("prod:a", 1_700_000_000, None), "confirmed"),
        (ListedAlert("prod:a", None, "critical"), "confirmed"),
        (ListedAlert("prod:a", None, None), "confirmed"),
        (ListedAlert("prod:a", 1_700_000_001, "critical"), "missed"),  # a later event of the same alert
        (ListedAlert("prod:a", None, "ok"), "missed"),
        (ListedAlert("prod:b", 1_700_000_000, "critical"), "missed"),
    ],
)
def test_event_is_identified_by_key_and_time(listed, expected):
    """No two events of an alert have the same second; without a time, the status decides."""
    assert outcome(sent(1), listed) == expected


def test_event_is_resent_after_two_polls():
    """One poll may come too early; after three resends it is lost."""
    assert outcome(sent(1)) == "missed"
    assert outcome(sent(1, looks=1)) == "resend"
    assert outcome(sent(1, looks=0, resends=1)) == "missed"
    assert outcome(sent(1, looks=1, resends=2)) == "resend"
    assert outcome(sent(1, looks=1, resends=3)) == "lost"
    assert outcome(sent(1, looks=5, resends=3), ListedAlert("prod:a", 1_700_000_000, None)) == "confirmed"


@pytest.mark.parametrize(
    ("number", "listed", "expected"),
    [(10, [], "missed"), (9, [], "resend"), (10, [ListedAlert("prod:other", 1, "ok")], "resend")],
    ids=["blind", "few", "others are listed"],
)
def test_nothing_is_resent_if_the_listing_shows_none_of_many(number, listed, expected):
    """It is then the listing that is wrong."""
    events = [sent(one, key=f"prod:{one}", looks=1) for one in range(number)]
    result = compare(events, {"app": listed})
    assert getattr(result, expected) == events
    assert result.blind == ({"app"} if expected == "missed" else set())


ALERT = {"incident_identifier": "prod:a", "timestamp": 1_700_000_000, "status": "Critical", "host": "h"}
LISTED = ListedAlert("prod:a", 1_700_000_000, "critical")


@pytest.mark.parametrize(
    "answer",
    [
        [ALERT],
        {"alerts": [ALERT], "total": 1},
        {"items": [{"id": "7", "payload": ALERT, "status": "processed", "timestamp": 5}]},
        {"data": [{"alert": {"raw": ALERT}}]},
        [ALERT | {"timestamp": "1700000000.9"}],
        [ALERT | {"timestamp": 1_700_000_000_000}, {"host": "of someone else"}, None, 5],
        [{"incident_identifier": "", "vendorwatch_key": "prod:a", "timestamp": 1_700_000_000, "status": "critical"}],
        [ALERT | {"incident_identifier": ["prod:b"], "vendorwatch_key": "prod:a"}],
        {"status": 200, "errors": [], "raw_alerts": [ALERT]},
        {"status": 200, "data": {"total": 1, "alerts": [ALERT]}},
        {"alerts": [{"id": "7", "raw": json.dumps(ALERT), "tags": "not JSON"}]},
    ],
    ids=[
        "bare",
        "alerts",
        "payload",
        "raw",
        "text",
        "others",
        "tag",
        "no text",
        "another name",
        "enveloped",
        "JSON as text",
    ],
)
def test_a_listing_is_read_leniently(answer):
    """The shape is not documented: alerts may be wrapped, and times text or milliseconds."""
    (found,) = read_alerts(answer)
    assert found in (LISTED, ListedAlert("prod:a", 1_700_000_000, "critical"))


def test_tags_in_incident_form_are_read():
    """[{"name": …, "value": …}]: they have the key, but neither status nor time."""
    tags = [{"name": "vendorwatch_key", "value": "prod:a"}, {"name": "host", "value": "h"}, None]
    assert read_alerts([{"id": "7", "tags": tags}]) == [ListedAlert("prod:a", None, None)]


@pytest.mark.parametrize("timestamp", [None, True, "soon", "nan", "inf", [], {}])
def test_invalid_time_counts_as_missing(timestamp):
    """It does not break the comparison."""
    assert read_alerts([ALERT | {"timestamp": timestamp}]) == [ListedAlert("prod:a", None, "critical")]


@pytest.mark.parametrize("answer", [None, 5, "x", {}, {"alerts": {}}, {"total": 0}, {"errors": []}, {"data": {}}])
def test_invalid_listing_is_an_error(answer):
    """As an empty one it would make every event count as missing."""
    with pytest.raises(Unreadable):
        read_alerts(answer)


ENTRY = {"log_id": "1", "level": "error", "message": "alert 1: bad", "resource_id": "api.app", "payload": {}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [Diagnostic(id="1", level="error", message="alert 1: bad")]),
        ({"resource_id": "app"}, [Diagnostic(id="1", level="error", message="alert 1: bad")]),
        (
            {"resource_id": "x", "payload": {"app_key": "app"}},
            [Diagnostic(id="1", level="error", message="alert 1: bad")],
        ),
        ({"resource_id": "x", "payload": ALERT}, [Diagnostic(id="1", level="error", message="alert 1: bad")]),
        ({"resource_id": "api.other"}, []),
        ({"resource_id": None}, []),
        ({"level": "Warning"}, [Diagnostic(id="1", level="warning", message="alert 1: bad")]),
        ({"level": "fatal", "message": None}, [Diagnostic(id="1", level="other", message="")]),
        ({"log_id": None, "timestamp": 5}, [Diagnostic(id="5 alert 1: bad", level="error", message="alert 1: bad")]),
    ],
)
def test_only_diagnostics_about_us_count(change, expected):
    """With our app keys, as the resource or in the payload, or with the key of one of our alerts."""
    assert read_diagnostics({"logs": [ENTRY | change]}, ["app"], ["prod"]) == expected
