"""BigPanda's two listings, page by page."""

import itertools

import pytest
import responses

from bridge.config import BigPanda, Confirm
from bridge.delivery.integration_api import IntegrationApi
from bridge.errors import Stopped, Transient
from exporter.toolkit.config_types import Secret

URL = "https://api.bigpanda.test"
ALERTS = f"{URL}/resources/v2.1/integration-alerts"
LOGS = f"{URL}/resources/v2.0/troubleshooting/logs"


KEY = Secret("us3r-key")


def listings(**more):
    bigpanda = BigPanda(url=f"{URL}/data/v2/alerts", app_key="app", token=Secret("t0ken"))
    return IntegrationApi(bigpanda, Confirm.model_construct(api_key=KEY), **more)


@pytest.fixture
def rests():
    return []


@pytest.fixture
def api(rests):
    made = listings(rest=rests.append)
    yield made
    made.close()


@responses.activate
def test_pages_are_read_until_one_is_empty(api, rests):
    """With the user's key, and with pauses below BigPanda's five requests a second."""
    for number in (1, 2, 0):
        responses.get(ALERTS, json={"alerts": [{"id": number}] * number, "total": 3})
    assert [len(page["alerts"]) for page in api.alerts("my app", 1000.9)] == [1, 2, 0]
    assert [call.request.params for call in responses.calls] == [
        {"app_key": "my app", "since": "1000", "limit": "100", "page": str(page)} for page in (1, 2, 3)
    ]
    assert {call.request.headers["Authorization"] for call in responses.calls} == {"Bearer us3r-key"}
    assert rests == [0.25, 0.25]


@responses.activate
def test_list_within_an_envelope_has_pages_too(api):
    """Of an incomplete listing the events on later pages would count as missing."""
    for number in (2, 1, 0):
        responses.get(ALERTS, json={"status": 200, "data": {"alerts": [{"id": number}] * number}})
    assert [len(page["data"]["alerts"]) for page in api.alerts("app", 1000.0)] == [2, 1, 0]


@responses.activate
def test_no_content_is_an_empty_page(api):
    """BigPanda lists nothing with 204; that is not a response that cannot be read."""
    responses.get(ALERTS, json={"alerts": [{"id": 1}]})
    responses.get(ALERTS, status=204)
    assert [page["alerts"] for page in api.alerts("app", 1000.0)] == [[{"id": 1}]]


@responses.activate
def test_repeated_page_is_the_last(api):
    """If BigPanda ignores the page number, the first page would repeat forever."""
    responses.get(LOGS, json={"logs": [{"log_id": "1"}]})
    assert len(list(api.diagnostics(1000.0))) == 1
    assert [call.request.params for call in responses.calls] == [
        {"start": "1000", "per_page": "100", "page": page} for page in "12"
    ]


@responses.activate
def test_listing_without_an_end_is_an_error(api):
    """Events on its further pages would count as missing."""
    numbers = itertools.count()
    responses.add_callback("GET", ALERTS, lambda _: (200, {}, f'[{{"id": {next(numbers)}}}]'))
    with pytest.raises(Transient, match="more than 50000 entries since the last check"):
        list(api.alerts("app", 1000.0))
    assert next(numbers) == 500


@responses.activate
@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"status": 403, "json": {"errors": ["forbidden for us3r-key"]}}, Stopped, "403: forbidden for <secret>"),
        ({"status": 429}, Transient, "429"),
        ({"body": "<html><title>Log in</title>"}, Stopped, "a web page"),
        ({"body": "{not json"}, Transient, "not JSON"),
        ({"body": ConnectionError()}, Transient, "connection"),
    ],
)
def test_invalid_listing_is_an_error(api, answer, error, words):
    """As an empty one it would make every event count as missing."""
    responses.get(ALERTS, **answer)
    with pytest.raises(error, match=words):
        list(api.alerts("a", 0.0))


def test_secrets_are_masked_in_bigpandas_messages():
    """The key of the request and the token for events."""
    made = listings()
    assert made.masked("us3r-key and t0ken are wrong") == "<secret> and <secret> are wrong"
    made.close()
