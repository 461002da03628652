"""Any text in a webhook: it is stored, shown, and sent as strict JSON."""

import copy
import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.config import BigPanda, Config
from bridge.receivers.contract import sender, senders
from bridge.web.application import create_app
from bridge.web.current import Current
from bridge.web.operator_page import OperatorPage
from exporter.toolkit.periodic import Clock
from exporter.toolkit.text import valid
from tests.bridge.serving import webhooks_at

NOW = 1_795_200_000.0
TESTDATA = Path(__file__).parents[1] / "receivers/testdata"
PAGES = ("/", "/alerts", "/waiting", "/deliveries", "/quarantine", "/incidents", "/dead-letters")


def places(body, way=()):
    """Give the way to every text of a body."""
    members = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in members:
        if isinstance(value, str):
            yield (*way, name)
        yield from places(value, (*way, name))


SAMPLES = {
    "alertmanager": [
        {
            "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "bigpanda", "truncatedAlerts": 0,
            "externalURL": "http://am.example.com", "routeLabels": {"team": "db"}, "groupLabels": {"alertname": "Down"},
            "alerts": [{
                "status": "firing", "labels": {"alertname": "Down", "severity": "critical", "host": "web-1"},
                "annotations": {"summary": "s", "description": "d", "runbook_url": "http://r", "dashboard_url": "http://d"},
                "startsAt": "2026-11-20T11:38:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f00d",
                "generatorURL": "http://p", "silenceURL": "http://s", "dashboardURL": "http://d", "panelURL": "http://g",
                "imageURL": "http://i", "valueString": "[ var='B' ]", "values": {"B": 1.5},
            }],
        }
    ],
    "alerts_api": [{"app_key": "k", "alerts": [{
        "status": "critical", "host": "web-1", "check": "disk", "description": "d", "tags": ["a", "b"],
        "incident_identifier": "i", "primary_property": "host", "secondary_property": "check", "runbook_url": "http://r",
    }]}],
    **{
        name: [json.loads(path.read_text()) for path in sorted(TESTDATA.glob(f"{place}*.json"))]
        for name, place in (("bigpanda", "bigpanda/v"), ("thousandeyes", "thousandeyes_"), ("vigilmon", "vigilmon_"))
    },
}  # fmt: skip
PLACES = {
    name: [(number, way) for number, body in enumerate(bodies) for way in places(body)]
    for name, bodies in SAMPLES.items()
}
pieces = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    [
        "\0",
        "\ud800",
        "\udc00\ud800",
        "\u202eevil\u2066",
        "\N{GRINNING FACE}",
        "{{ id }}",
        "\x1b[31m",
        "</td><script>",
        "\\u0000",
    ]
)
UNPACKABLE = "".join(random.Random(1).choices([chr(one) for one in range(0x13000, 0x13400)], k=3000))
"""Longer than what PostgreSQL keeps in an index, however it packs it."""
NASTY = "\ud83d\0\u202e\udc00</td>\x1b[31m\N{GRINNING FACE}"


def changed(body, way, text):
    made = copy.deepcopy(body)
    at = made
    for name in way[:-1]:
        at = at[name]
    at[way[-1]] = text
    return made


class Desk:
    """A bridge's webhooks and pages over a store."""

    def __init__(self, store):
        self.store, receivers = store, {(name, "s"): made(name) for name in senders()}
        webhooks = webhooks_at(NOW, store, lambda: receivers)
        current = Current(Config.model_construct(bigpanda=BigPanda(app_key="app", token="t")))
        page = OperatorPage(store, lambda: current, lambda _user: None, clock=Clock(lambda: NOW))
        self.client = create_app([webhooks.blueprint(), page.blueprint()]).test_client()

    def post(self, name, place, text, *, raw):
        """Send a sample with this text in a place; `raw`: as bytes, that may not be UTF-8, instead of escapes."""
        number, way = place
        body = changed(SAMPLES[name][number], way, text)
        content = json.dumps(body, ensure_ascii=not raw).encode("utf-8", "surrogatepass")
        return self.client.post(f"/webhooks/{name}/s", data=content, content_type="application/json").status_code

    def survives(self):
        """See that each page shows what is stored as strict text, and that every event is JSON that anyone reads."""
        alerts, incidents = self.store.alerts.open_alerts("s"), self.store.incidents.records()
        ways = [*PAGES, *(f"/alert?key={quote(one.key, errors='replace')}" for one in alerts)]
        ways += [f"/incident?source=s&id={quote(one.id, errors='replace')}" for one in incidents]
        answers = [self.client.get(way) for way in ways]
        assert [answer.status_code for answer in answers] == [200] * len(ways)
        assert all(answer.data.decode() for answer in answers)
        for claimed in self.store.queue.claim(1000, NOW, 60.0):
            assert all(valid(str(value)) == str(value) for value in json.loads(claimed.body.encode()).values())


def made(name):
    return sender(name).Settings(receiver=name, source="s", app_key="app")


@pytest.fixture
def desk(outbox):
    return Desk(outbox)


@pytest.mark.slow
@pytest.mark.parametrize("name", senders())
def test_any_text_is_stored_shown_and_sent(desk, name):
    """In any place, of any length, as escapes or raw bytes, on both databases."""

    @settings(max_examples=6, suppress_health_check=list(HealthCheck))
    @given(piece=pieces, times=st.sampled_from([1, 5_000]), raw=st.booleans(), place=st.sampled_from(PLACES[name]))
    def holds(piece, times, raw, place):
        desk.store.clear()
        status = desk.post(name, place, piece * times, raw=raw)
        assert status in (200, 201, 204, 400)
        assert status != 400 or desk.store.quarantine.oldest()
        desk.survives()

    holds()


@pytest.mark.slow
@pytest.mark.parametrize("name", senders())
def test_every_member_accepts_hostile_text(desk, name):
    """Half an emoji, NUL, direction marks, terminal escapes; short, and 20 kB of which part cannot be compressed."""
    for place in PLACES[name]:
        for text, raw in ((NASTY, False), (NASTY + UNPACKABLE + NASTY * 500, True)):
            assert desk.post(name, place, text, raw=raw) in (200, 201, 204, 400)
    desk.survives()
