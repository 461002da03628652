"""BigPanda's callback service: the requests, and the meaning of its responses."""

import json

import pytest
import requests
import responses

from bridge.errors import Rejected, Stopped, Transient
from bridge.incidents.callback import CallbackService
from bridge.receivers.bigpanda import Callback

URL = "https://api.bigpanda.io/resources/v2.1/outbound/callback"


@pytest.fixture
def rests():
    """Collect the pauses."""
    return []


@pytest.fixture
def service(tmp_path, rests):
    (tmp_path / "key").write_text("us3r-key\n")
    made = CallbackService(Callback(api_key_file=f"{tmp_path}/key", app_key="out"), rests.append)
    yield made
    made.close()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@responses.activate
def test_a_share_is_confirmed(service, status):
    """With its three members and the user's key; any 2xx is a success, whatever its body."""
    call = responses.post(URL, status=status, body="" if status == 204 else "?")
    service.confirm("i1")
    request = call.calls[0].request
    assert json.loads(request.body) == {"event_type": "incident#new", "incident_id": "i1", "app_key": "out"}
    assert request.headers["Authorization"] == "Bearer us3r-key"


@responses.activate
def test_confirmations_keep_to_bigpandas_limit(service, rests):
    """Five requests a second: the shares of a storm are confirmed one after the other."""
    responses.post(URL, status=400, json={"errors": ["no such incident"]})
    for _ in range(3):
        with pytest.raises(Rejected):
            service.confirm("i1")
    assert rests == [0.25, 0.25, 0.25]


@responses.activate
def test_a_login_page_confirms_nothing(service):
    """A proxy's 200 is not BigPanda's."""
    responses.post(URL, status=200, body="<html><title>Log in</title>")
    with pytest.raises(Stopped, match="a web page"):
        service.confirm("i1")


@pytest.mark.parametrize(
    ("answer", "error", "retry_after"),
    [
        ({"status": 400, "json": {"errors": ["no such incident"]}}, Rejected, None),
        ({"status": 401}, Stopped, None),
        ({"status": 404}, Stopped, None),
        ({"status": 429, "headers": {"Retry-After": "7"}}, Transient, 7.0),
        ({"status": 500}, Transient, None),
        ({"status": 302, "headers": {"Location": "http://elsewhere"}}, Stopped, None),
        ({"body": requests.ConnectTimeout()}, Transient, None),
    ],
)
@responses.activate
def test_each_status_is_one_kind_of_error(service, answer, error, retry_after):
    """As with the Alerts API; the key is in no message, and is sent to no other address."""
    responses.post(URL, **answer)
    with pytest.raises(error) as raised:
        service.confirm("i1")
    assert raised.value.retry_after == retry_after
    assert "us3r-key" not in str(raised.value)
    assert len(responses.calls) == 1
