"""The contract of every sender module, checked with sample bodies; a module without one fails."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.contract import sender, senders, translate
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.text import valid_json

NOW = 1_795_200_000.0
TESTDATA = Path(__file__).parent / "testdata"
ALERT = {"status": "critical", "host": "web-1", "check": "disk", "timestamp": 1_795_199_000, "description": "d"}
SAMPLES = {
    "alertmanager": {
        "receiver": "bp",
        "externalURL": "http://am",
        "routeLabels": {"team": "a"},
        "alerts": [
            {"status": "firing", "labels": {"alertname": "A", "severity": "page"}, "annotations": {"summary": "s"},
             "startsAt": "2026-11-20T11:38:00Z", "generatorURL": "http://p", "values": {"B": 1.5}, "panelURL": "http://g"}
        ],
    },
    "alerts_api": {"app_key": "theirs", "alerts": [ALERT]},
    "bigpanda": {"id": "i1", "status": "critical", "active": True,
                 "alerts": [{"tags": [{"name": "host", "value": "h"}]}]},
    "thousandeyes": json.loads((TESTDATA / "thousandeyes_trigger.json").read_text()),
    "vigilmon": json.loads((TESTDATA / "vigilmon_down.json").read_text()),
}  # fmt: skip
ODD = [None, 7, 1.5, True, "", "x" * 100_000, [], ["a", 1], {}, {"a": [{}]}, "\ud800\0\u202e", -1, 10**400]


def made(name):
    return sender(name).Settings(receiver=name, source="s", app_key="app")


def paths(body, way=()):
    """Give the place of every member, however deep."""
    members = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in members:
        yield (*way, name)
        yield from paths(value, (*way, name))


def changed(body, way, value):
    """Return the body with another value in one place, as it comes in from a request."""
    copy = json.loads(json.dumps(body))
    at = copy
    for name in way[:-1]:
        at = at[name]
    at[way[-1]] = value
    return json.loads(valid_json(json.dumps(copy).encode()))


def translated(name, body):
    """Return what a sender's module makes of a body; None where it is unreadable, in few words."""
    try:
        return translate(body, made(name), NOW)
    except Unreadable as error:
        assert 0 < len(str(error)) < 3000  # noqa: PT017  it names members
        return None


def test_every_sender_is_covered():
    """A new module in the folder needs a sample here."""
    assert set(SAMPLES) == set(senders())


@pytest.mark.parametrize("name", senders())
def test_module_follows_the_contract(name):
    """Its settings are a receiver's, and a sample becomes a notification with content."""
    assert issubclass(sender(name).Settings, ReceiverSettings)
    notification = translated(name, SAMPLES[name])
    assert isinstance(notification, Notification)
    assert (notification.receiver, notification.source, notification.mapping.app_key) == (name, "s", "app")
    assert len(notification.alerts) + len(notification.incidents) == 1
    for alert in notification.alerts:
        assert alert.key.startswith("s:")
        assert (alert.receiver, alert.source) == (name, "s")


@pytest.mark.parametrize("name", senders())
@pytest.mark.parametrize("body", [None, 1, "x", [], {}, {"alerts": None}, {"alerts": [None]}])
def test_invalid_body_is_unreadable_or_empty(name, body):
    """No alert is invented, and no other exception is raised."""
    notification = translated(name, body)
    assert notification is None or not notification.alerts


@pytest.mark.parametrize("name", senders())
def test_strange_values_are_read_leniently(name):
    """In any place: no exception but Unreadable, every text a string, every key of bounded length."""
    for way in paths(SAMPLES[name]):
        for value in ODD:
            notification = translated(name, changed(SAMPLES[name], way, value))
            for alert in notification.alerts if notification else ():
                texts = (
                    *alert.labels.items(),
                    *alert.annotations.items(),
                    *alert.links.items(),
                    *alert.volatile.items(),
                )
                assert all(isinstance(text, str) for pair in texts for text in pair)
                assert len(alert.key) <= 1000


@pytest.mark.parametrize("name", senders())
@settings(max_examples=60)
@given(data=st.data(), text=st.text(st.characters(exclude_categories=())))
def test_any_text_is_read_or_unreadable(name, data, text):
    """In any member, lone surrogates and NUL included."""
    way = data.draw(st.sampled_from(list(paths(SAMPLES[name]))))
    notification = translated(name, changed(SAMPLES[name], way, text))
    for alert in notification.alerts if notification else ():
        json.dumps(dict(alert.labels), ensure_ascii=False).encode()
