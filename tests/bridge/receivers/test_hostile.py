"""Any content of a vendor's webhook: it is read or unreadable, and every event is within its limits."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.alert import Alert
from bridge.domain.event import status_of
from bridge.errors import Unreadable
from bridge.outbox.rows import alert_json, alert_of
from bridge.receivers.contract import sender, translate
from tests.bridge.alerts import build

TESTDATA = Path(__file__).parent / "testdata"
NOW = 1_795_200_000.0
SAMPLES = [
    (path.name.partition("_")[0], json.loads(path.read_text()))
    for path in sorted(TESTDATA.glob("*.json"))
]  # fmt: skip
HOSTILE = [
    None, True, False, 0, -1, 2.5, 10**400, 1e308, -1e308, float("nan"), float("inf"), "", " ", "\0", "\ud800",
    "x" * 5000, "a b", "9" * 30, "https://[", "http://a:b", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    [], [[]], {}, [None], {"id": {}}, [{"agentName": {}}], ["\ud800"],
]  # fmt: skip
values = st.one_of(
    st.sampled_from(HOSTILE),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)


def paths(body, way=()):
    """Give the way to every member of a body, and to one that is not there."""
    for name, value in body.items():
        yield (*way, name)
        if isinstance(value, dict):
            yield from paths(value, (*way, name))
    yield (*way, "tomorrow")


PLACES = [(receiver, body, path) for receiver, body in SAMPLES for path in paths(body)]


def understood(receiver, body):
    """Return the events of a webhook; every one within BigPanda's bounds, every alert one that the outbox can keep."""
    chosen = sender(receiver).Settings(receiver=receiver, source="s", app_key="app")
    mapping = chosen.mapping
    try:
        alerts = translate(body, chosen, NOW).alerts
    except Unreadable as error:
        assert len(str(error)) < 100  # noqa: PT017  it names a member, and quotes nothing
        return []
    assert all(isinstance(alert, Alert) for alert in alerts)
    assert all(alert_of(alert_json(alert)) == alert for alert in alerts)
    events = [build(alert, status_of(alert, mapping)[0], 1, mapping) for alert in alerts]
    for event in events:
        assert max(len(value) for value in event.values() if isinstance(value, str)) <= 2048
        assert len(json.dumps(event, allow_nan=False).encode()) < 200_000
    return events


@pytest.mark.parametrize(("receiver", "body", "path"), PLACES)
def test_any_member_may_have_any_value(receiver, body, path):
    """Each in turn."""
    for value in HOSTILE:
        changed = copy.deepcopy(body)
        *way, last = path
        place = changed
        for step in way:
            place = place[step]
        place[last] = value
        understood(receiver, changed)


@pytest.mark.slow
@settings(max_examples=200)
@given(data=st.data(), place=st.sampled_from(PLACES))
def test_any_two_members_may_have_any_value(data, place):
    """Of the same alert."""
    receiver, body, (*way, last) = place
    changed = copy.deepcopy(body)
    inner = changed
    for step in way:
        inner = inner[step]
    for name in (last, data.draw(st.sampled_from([*inner, "new"]))):
        inner[name] = data.draw(values)
    understood(receiver, changed)


@pytest.mark.parametrize("receiver", ["vigilmon", "thousandeyes"])
@given(body=values)
def test_any_body_is_read_or_unreadable(receiver, body):
    """It makes no event, and no other error."""
    assert understood(receiver, body) == []


def test_event_size_is_bounded_for_any_number_of_fields():
    """A hundred thousand fields are not all tags."""
    body = copy.deepcopy(next(body for receiver, body in SAMPLES if body.get("alert", {}).get("active") == 1))
    body["alert"] |= {f"field{number}": "x" * 600 for number in range(100_000)}
    body["alert"]["agents"] = [{"agentName": "a", "metricsAtStart": f"Loss: {number} %"} for number in range(6)]
    (event,) = understood("thousandeyes", body)
    assert sum(name.startswith("field") for name in event) == 64
    assert event["description"].endswith(" (Loss: 0 %; Loss: 1 %; Loss: 2 %; Loss: 3 %; Loss: 4 %)")


@pytest.mark.parametrize(("length", "read"), [(253, 1), (254, 0)])
def test_host_of_a_certificate_is_at_most_as_long_as_a_name_may_be(length, read):
    """A longer one cannot have been resolved."""
    assert len(understood("vigilmon", {"event": "ssl.expiring", "monitor_url": f"https://{'x' * length}"})) == read
