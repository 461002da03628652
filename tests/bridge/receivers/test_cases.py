"""Vendors' webhooks → events, as data: every sample, every form that is documented or was seen, and hostile ones."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from bridge.domain.dedup import decide
from bridge.domain.event import status_of
from bridge.errors import Unreadable
from bridge.receivers.contract import sender, translate
from tests.bridge.alerts import build

TESTDATA = Path(__file__).parent / "testdata"
NOW = 1_795_200_000.0
SOURCES = {"vigilmon": "uptime", "thousandeyes": "netops"}
CASES = [
    pytest.param(receiver, case, id=f"{receiver}-{number}-{case['case']}")
    for receiver in SOURCES
    for number, case in enumerate(yaml.safe_load((TESTDATA / f"{receiver}.yml").read_text()))
]


def body_of(case):
    body = case["body"]
    body = json.loads((TESTDATA / body).read_text()) if isinstance(body, str) else copy.deepcopy(body)
    for path, value in case.get("change", {}).items():
        *way, last = path.split(".")
        place = body
        for step in way:
            place = place[step]
        place[last] = value
    return body


def translated(receiver, body):
    settings = sender(receiver).Settings(receiver=receiver, source=SOURCES[receiver], app_key="app")
    return translate(body, settings, NOW), settings.mapping


@pytest.mark.parametrize(("receiver", "case"), CASES)
def test_webhook_becomes_the_event_of_its_case(receiver, case):
    """An event with these members (null: absent), or none, or a reason why it is unreadable."""
    body = body_of(case)
    if "unreadable" in case:
        with pytest.raises(Unreadable) as raised:
            translated(receiver, body)
        assert str(raised.value) == case["unreadable"]
        return
    translation, mapping = translated(receiver, body)
    assert translation.ignored == case.get("ignored", 0)
    assert len(translation.alerts) == ("event" in case)
    for alert in translation.alerts:
        status, _ = status_of(alert, mapping)
        decision = decide(None, alert, status, "", now=NOW, update_interval=0.0)
        event = build(alert, status, decision.timestamp, mapping)
        assert {name: event.get(name) for name in case["event"]} == case["event"]
        assert "hunter2" not in json.dumps(event)


def test_every_sample_is_a_case():
    """No body in the folder is unused."""
    used = {case.values[1]["body"] for case in CASES if isinstance(case.values[1]["body"], str)}
    assert {path.name for path in TESTDATA.glob("*.json")} == used


@pytest.mark.parametrize(("receiver", "case"), CASES)
def test_a_repeat_of_a_webhook_is_the_same_event(receiver, case):
    """A vendor's repeat has the same content, at any time."""
    if "event" not in case or case.get("change", {}).get("days_remaining", 0) is None:
        return
    (first, mapping), settings = translated(receiver, body_of(case)), sender(receiver).Settings
    later = translate(
        body_of(case) | {"eventId": "another"},
        settings(receiver=receiver, source=SOURCES[receiver], app_key="app"),
        NOW + 300,
    )
    events = [build(one.alerts[0], status_of(one.alerts[0], mapping)[0], 0, mapping) for one in (first, later)]
    assert events[0] == events[1]
