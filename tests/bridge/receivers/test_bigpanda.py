"""BigPanda's Notifications Webhook: whatever form it has, the incident in it is understood or not said."""

import copy
import json
import logging
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from pydantic import ValidationError

from bridge.config import read
from bridge.domain.incident import Incident
from bridge.errors import Unreadable
from bridge.metrics import Metrics
from bridge.receivers.bigpanda import STATUSES, Settings
from bridge.receivers.contract import translate
from bridge.web.application import create_app
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.text import valid_json
from tests.bridge.receivers.test_hostile import HOSTILE, paths, values
from tests.bridge.serving import serving, webhooks_at
from tests.store import Store

TESTDATA = Path(__file__).parent / "testdata/bigpanda"
NOW = 1_795_200_000.0
TRIGGERS = {"incident#closed": False, "incident#reopen": True}
SETTINGS = Settings(receiver="bigpanda", source="panda")
BARE = {
    "id": "5f1",
    "status": "critical",
    "severity": "critical",
    "active": True,
    "snooze": {"snoozed": True, "end_time": 1_795_203_600, "autoCancel": False},
    "startedOn": 1_795_190_000,
    "changedOn": 1_795_190_001,
    "updatedOn": 1_795_190_002,
    "endedOn": None,
    "alerts": [{"id": "a1", "tags": [{"name": "host", "value": "h"}, {"name": "vendorwatch_key", "value": "prod:1"}]}],
}
SAID = Incident(
    id="5f1",
    status="critical",
    severity="critical",
    active=True,
    started_at=1_795_190_000.0,
    updated_at=1_795_190_002.0,
    snoozed=True,
    snoozed_until=1_795_203_600.0,
    keys=("prod:1",),
)


def incident_of(body, settings=SETTINGS):
    (incident,) = translate(body, settings, NOW).incidents
    return incident


def without_digest(incident):
    return {name: getattr(incident, name) for name in Incident.__slots__ if name not in {"digest", "details"}}


def sample(name):
    return json.loads((TESTDATA / name).read_text())


@pytest.mark.parametrize("body", [BARE, {"incident": BARE}, {"incident": BARE, "tomorrow": [{}]}])
def test_an_incident_is_the_same_bare_and_wrapped(body):
    """With any other members beside it."""
    assert without_digest(incident_of(body)) == without_digest(SAID)


def test_documented_sample_is_read():
    """Its statuses are capitalised, its snooze has no end, and none of its alerts is ours."""
    found = incident_of(sample("v1.json"))
    assert (found.id, found.status, found.severity, found.active) == (
        "5555370aabc20a001145d6g9",
        "critical",
        "critical",
        True,
    )
    assert (found.snoozed, found.snoozed_until, found.keys) == (False, None, ())
    assert (found.started_at, found.updated_at, found.ended_at) == (1649576282.0, 1652897578.0, None)
    assert (found.environment, found.who, found.link) == ("All", None, "http://bigp.io/9ad55554d5c116e4")


def test_own_v2_body_is_read():
    """A template makes a string of everything, and names only the primary alert."""
    found = incident_of(sample("v2.json"))
    assert without_digest(found) == without_digest(
        Incident(
            id="5f1",
            status="warning",
            severity="critical",
            active=True,
            environment="All",
            started_at=1_795_190_000.0,
            updated_at=1_795_190_060.0,
            snoozed=True,
            snoozed_until=1_795_203_600.0,
            keys=("prod:1",),
            acknowledged=True,
            who="ann",
            link="https://a.bigpanda.io/#/app/5f1",
            event="incident#snoozed",
        )
    )


def test_shipped_template_has_the_members_that_are_read():
    """Each placeholder of deploy/bigpanda/webhook-v2.json is where the receiver reads it."""
    shipped = json.loads((Path(__file__).parents[3] / "deploy/bigpanda/webhook-v2.json").read_text())
    for event in shipped["workflow_config"]["events"]:
        assert event["method"] == "POST"
        assert without_digest(
            incident_of({**event["body"], "incident": {**event["body"]["incident"], "id": "5f1"}})
        ) == (
            without_digest(
                Incident(id="5f1", event=event["body"]["event"], active=TRIGGERS.get(event["body"]["event"]))
            )
        ), "an unfilled placeholder says nothing"
    filled = sample("v2.json")
    assert set(filled) == set(shipped["workflow_config"]["events"][0]["body"])
    assert set(filled["incident"]) == set(shipped["workflow_config"]["events"][0]["body"]["incident"])


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"status": "Warning"}, {"status": "warning"}),
        ({"status": "purple"}, {"status": None}),
        ({"active": "false"}, {"active": False}),
        ({"active": 1}, {"active": True}),
        ({"active": 2}, {"active": None}),
        ({"active": "{{incident.active}}", "event": "incident#closed"}, {"active": False}),
        ({"active": None, "event": "incident#reopen"}, {"active": True}),
        ({"active": True, "event": "incident#closed"}, {"active": True}),
        ({"updatedOn": "1795190002"}, {"updated_at": 1_795_190_002.0}),
        ({"updatedOn": 1_795_190_002_500}, {"updated_at": 1_795_190_002.5}),
        ({"updatedOn": "2026-11-20T20:00:02Z"}, {"updated_at": 1_795_204_802.0}),
        ({"updatedOn": None, "updated_at": 1795190007}, {"updated_at": 1_795_190_007.0}),
        ({"updatedOn": 7}, {"updated_at": None}),
        ({"updatedOn": -5}, {"updated_at": None}),
        ({"updatedOn": "{{incident.updated_at}}"}, {"updated_at": None}),
        ({"snooze": None}, {"snoozed": None, "snoozed_until": None}),
        ({"snooze": {"snoozed": True, "wake": 1795190009}}, {"snoozed": True, "snoozed_until": 1_795_190_009.0}),
        ({"snooze": False}, {"snoozed": False, "snoozed_until": None}),
        ({"alerts": None}, {"keys": None}),
        ({"alerts": []}, {"keys": ()}),
        ({"alerts": [None, {"tags": {"vendorwatch_key": "prod:2"}}]}, {"keys": ("prod:2",)}),
        ({"alerts": [{"tags": [{"name": "vendorwatch_key", "value": ["a", "b", "a"]}]}]}, {"keys": ("a", "b")}),
        ({"alerts": "{{x}}", "vendorwatch_key": "prod:3"}, {"keys": ("prod:3",)}),
        ({"assignee": {"username": "ann"}}, {"acknowledged": True, "who": "ann"}),
        (
            {"snooze": {"snoozed": True, "snoozed_by": {"name": "Bo"}}, "assigner": "ann"},
            {"snoozed": True, "who": "Bo"},
        ),
        ({"id": 7}, {"id": "7"}),
    ],
)
def test_members_are_read(members, said):
    """A strange value counts as missing, which keeps the known one."""
    found = incident_of({**copy.deepcopy(BARE), **members})
    assert {name: getattr(found, name) for name in said} == said


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "the body is not an object"),
        ({}, "incident: id: missing"),
        ({"incident": []}, "incident: not an object"),
        ({"incident": {"id": None}}, "incident: id: missing"),
        ({"incident": {"id": "{{incident.id}}"}}, "incident: id: missing"),
    ],
)
def test_a_body_without_an_incident_is_unreadable(body, reason):
    """And quarantined by the webhook view."""
    with pytest.raises(Unreadable, match=reason):
        incident_of(body)


PLACES = [(body, way) for body in (BARE, sample("v1.json"), sample("v2.json")) for way in paths(body)]


@given(place=st.sampled_from(PLACES), value=values | st.sampled_from(HOSTILE))
def test_any_body_is_read_or_unreadable(place, value):
    """No value in any place is an error of ours, and the result can be stored."""
    body, way = copy.deepcopy(place[0]), place[1]
    at = body
    for name in way[:-1]:
        at = at[name]
    at[way[-1]] = value
    try:
        found = incident_of(json.loads(valid_json(json.dumps(body).encode())))
    except Unreadable:
        return
    assert found.status is None or found.status in STATUSES
    for text in (found.id, found.severity, found.environment, found.who, found.link, found.event, *(found.keys or ())):
        assert text is None or (len(text.encode()) <= 4 * 512 and "\0" not in text)
    for time in (found.started_at, found.updated_at, found.ended_at, found.snoozed_until):
        assert time is None or -1e14 < time < 1e14


def test_a_share_is_confirmed_only_where_a_callback_is_configured():
    """The webhook view passes it on with the incident."""
    callback = {"api_key": "k3y", "app_key": "out"}
    assert translate(BARE, SETTINGS, NOW).confirm is False
    assert translate(BARE, Settings(receiver="bigpanda", source="p", callback=callback), NOW).confirm is True


def test_every_configured_header_is_required(tmp_path):
    """A literal, or from a file that is re-read."""
    (tmp_path / "key").write_text("from-file")
    settings = Settings(receiver="bigpanda", source="p", headers={"x-api-key_file": f"{tmp_path}/key", "x-b": "b"})
    assert sorted(settings.credentials()) == [("x-api-key", "from-file"), ("x-b", "b")]
    assert settings.needs_all
    (tmp_path / "key").write_text("rotated")
    assert ("x-api-key", "rotated") in settings.credentials()
    assert "from-file" not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"callback": {"app_key": "a"}}, "callback.api_key: missing"),
        ({"callback": {"api_key": "k", "app_key": "a", "url": "ftp://x"}}, "callback.url"),
        ({"silences": {}}, "silences.alertmanager: missing"),
        ({"silences": {"alertmanager": "http://u:s3cret@am"}}, "must not contain credentials"),
        ({"silences": {"alertmanager": "http://am", "ca_file": "/nowhere"}}, "cannot read /nowhere"),
        (
            {"silences": {"alertmanager": "http://am", "bearer_token": "t", "username": "u", "password": "p"}},
            "not both",
        ),
        ({"headers": {"x": ""}}, "is empty"),
        ({"reopen_after": "soon"}, "not a duration"),
    ],
)
def test_invalid_setting_is_an_error(settings, problem):
    """With its path in the file, without a secret."""
    with pytest.raises(ConfigError) as raised:
        read(
            {
                "database": "sqlite:////x/y.db",
                "bigpanda": {"app_key": "a", "token": "t"},
                "receivers": [{"receiver": "bigpanda", "source": "p", **settings}],
            }
        )
    assert problem in str(raised.value)
    assert "s3cret" not in str(raised.value)


class Front:
    """One BigPanda receiver, before a real store."""

    def __init__(self, outbox):
        self.outbox, self.metrics = outbox, Metrics()
        headers = {"x-api-key": "panda-s3cret", "x-second": "second-s3cret"}
        settings = Settings(receiver="bigpanda", source="panda", headers=headers)
        self.receivers = lambda: {("bigpanda", "panda"): settings}
        webhooks = webhooks_at(NOW, outbox, self.receivers, self.metrics)
        self.application = create_app([webhooks.blueprint()])
        self.address = None

    def post(self, body, headers):
        content = body if isinstance(body, str) else json.dumps(body)
        url = f"http://{self.address[0]}:{self.address[1]}/webhooks/bigpanda/panda"
        headers = {"Content-Type": "application/json", **headers}
        return requests.post(url, data=content, headers=headers, timeout=60).status_code


BOTH = {"X-Api-Key": "panda-s3cret", "x-second": "second-s3cret"}


@pytest.fixture
def front(tmp_path):
    outbox = Store(f"sqlite:///{tmp_path}/bridge.db")
    found = Front(outbox)
    with serving(found.application, found.receivers, found.metrics) as found.address:
        yield found
    outbox.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "panda-s3cret"},
        {"x-second": "second-s3cret"},
        {**BOTH, "x-second": "wrong"},
        {**BOTH, "X-Api-Key": ""},
    ],
)
def test_missing_header_is_401(front, headers, caplog):
    """One right header of two is not enough."""
    caplog.set_level(logging.DEBUG)
    assert front.post(BARE, headers) == 401
    assert front.outbox.incidents.records() == []
    assert "s3cret" not in caplog.text


def test_valid_webhook_stores_the_incident(front, caplog):
    """200 once it is durable; a replay is answered alike and changes nothing; times are observed once."""
    caplog.set_level(logging.DEBUG)
    assert [front.post({"incident": BARE}, BOTH) for _ in range(3)] == [200, 200, 200]
    (kept,) = front.outbox.incidents.records("panda")
    assert (kept.id, kept.keys, kept.snoozed) == ("5f1", ("prod:1",), True)
    page = generate_latest(front.metrics.registry).decode()
    name = "vendorwatch_bridge_incident_time_to_acknowledge_seconds"
    assert f'{name}_sum{{bigpanda_environment=""}} 10000.0' in page
    assert f'{name}_count{{bigpanda_environment=""}} 1.0' in page
    assert "s3cret" not in caplog.text + page


@pytest.mark.parametrize("body", ["{", "[]", '{"incident": {"token": "b0dy-s3cret"}}', "[" * 100_000])
def test_body_without_an_incident_is_quarantined(front, body, caplog):
    """400 with the reason; the body is in no log."""
    caplog.set_level(logging.DEBUG)
    assert front.post(body, BOTH) == 400
    assert [one.body for one in front.outbox.quarantine.oldest()] == [body]
    assert "s3cret" not in caplog.text


def test_large_incident_is_accepted(front):
    """BigPanda's limit is 300 alerts; ours is the size of the body."""
    alerts = [
        {"id": f"a{number}", "tags": {"vendorwatch_key": f"prod:{number}", "x": "y" * 512}} for number in range(5000)
    ]
    assert front.post({**BARE, "alerts": alerts}, BOTH) == 200
    assert len(front.outbox.incidents.records()[0].keys) == 5000


def test_reopening_is_off_by_default():
    """0s disables it too; a negative time is an error."""
    assert SETTINGS.reopen_after == 0
    assert Settings(receiver="bigpanda", source="p", reopen_after="0s").reopen_after == 0
    with pytest.raises(ValidationError):
        Settings(receiver="bigpanda", source="p", reopen_after=-1.0)
