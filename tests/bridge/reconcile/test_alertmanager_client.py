"""An Alertmanager's answer counts as a whole or not at all, and its credentials go nowhere else."""

import base64

import pytest
import requests
import responses

from bridge.errors import Unanswered, Unreadable
from bridge.receivers.alertmanager import Settings
from bridge.reconcile.alertmanager_client import AlertmanagerApi, Peer, listed, muted

URL = "http://am-1:9093/prefix"
NOW = 1_700_000_000.0
STATUS = {"uptime": "2023-11-14T21:13:20.123456789Z", "cluster": {"status": "ready"}, "versionInfo": {}}
ENTRY = {
    "labels": {"alertname": "A", "severity": "page"},
    "annotations": {"summary": "s"},
    "fingerprint": "00aa",
    "startsAt": "2023-11-14T22:00:00.000Z",
    "endsAt": "2033-11-14T22:00:00.000Z",
    "updatedAt": "2023-11-14T22:00:00.000Z",
    "generatorURL": "http://prom/graph",
    "receivers": [{"name": "big.panda"}, {"name": "other"}],
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
}


def settings(**reconcile):
    return Settings(receiver="alertmanager", source="prod", reconcile={"urls": [URL], **reconcile})


@pytest.fixture
def ask():
    def ask(**reconcile):
        api = AlertmanagerApi(settings(**reconcile))
        try:
            return api.ask(NOW)
        finally:
            api.close()

    return ask


def given(status=STATUS, alerts=(ENTRY,), **more):
    responses.get(f"{URL}/api/v2/status", json=status)
    return responses.get(f"{URL}/api/v2/alerts", json=list(alerts) if isinstance(alerts, tuple) else alerts, **more)


@responses.activate
def test_an_answer_says_what_fires_and_since_when_it_runs(ask):
    """The alert is as its webhook would tell it; everything is asked for, suppressed or not."""
    call = given()
    (peer,) = ask()
    assert isinstance(peer, Peer)
    assert (peer.started, peer.settling) == (pytest.approx(1_699_996_400.123456), False)
    (found,) = peer.listed
    assert (found.alert.key, found.alert.severity, found.alert.firing) == ("prod:00aa", "page", True)
    assert found.alert.starts_at == 1_699_999_200.0
    assert found.alert.ends_at is None
    assert found.active
    assert found.receivers == {"big.panda", "other"}
    assert call.calls[0].request.params == dict.fromkeys(("active", "silenced", "inhibited", "unprocessed"), "true")


@pytest.mark.parametrize(
    ("status", "active", "suppressed"),
    [
        ({"state": "active"}, True, False),
        ({"state": "suppressed", "silencedBy": ["x"]}, False, True),
        ({"state": "active", "mutedBy": ["nights"]}, False, True),
        ({"state": "active", "inhibitedBy": ["x"]}, False, True),
        ({"state": "unprocessed"}, False, False),
        ({}, False, False),
        (None, False, False),
    ],
)
def test_states(status, active, suppressed):
    """What any silence, inhibition or time interval mutes is suppressed; what is not looked at yet is neither."""
    (found,) = listed([ENTRY | {"status": status}], settings(), NOW)
    assert (found.active, found.suppressed) == (active, suppressed)


@pytest.mark.parametrize(
    "answer",
    [None, {}, [None], [{}], [ENTRY, {"labels": {"a": 1}}], [ENTRY | {"startsAt": "soon"}]],
    ids=["null", "object", "null in it", "no labels", "a label is a number", "no time"],
)
def test_an_alert_that_cannot_be_read_could_be_any(answer):
    """One unreadable alert makes the whole list unreadable: it must not close what it may be."""
    with pytest.raises(Unreadable):
        list(listed(answer, settings(), NOW))


@responses.activate
@pytest.mark.parametrize(
    ("status", "told"),
    [
        ([], "status: not an object"),
        ({}, "status: uptime: missing"),
        ({"uptime": 5}, "uptime: not a time"),
        ({"uptime": "0001-01-01T00:00:00Z"}, "status: uptime: missing"),
    ],
)
def test_a_status_without_a_start_does_not_count(ask, status, told):
    """An age that is not known is not assumed."""
    given(status=status)
    (answer,) = ask()
    assert (isinstance(answer, Unanswered), str(answer), answer.url) == (True, told, URL)


@responses.activate
def test_a_settling_cluster_says_so(ask):
    """And one without a cluster does not settle."""
    given(status=STATUS | {"cluster": {"status": "settling"}})
    assert ask()[0].settling
    responses.reset()
    given(status={"uptime": STATUS["uptime"]})
    assert not ask()[0].settling


@responses.activate
@pytest.mark.parametrize("code", [302, 401, 404, 410, 503])
def test_every_status_but_200_does_not_count(ask, code):
    """503 is Alertmanager's answer over its concurrency limit; a redirect is not followed with our credentials."""
    given(status=STATUS)
    responses.replace(responses.GET, f"{URL}/api/v2/alerts", status=code, headers={"Location": "http://evil.test/"})
    (answer,) = ask(bearer_token="tok-9")
    assert str(answer) == f"answered {code}"
    assert len(responses.calls) == 2


@responses.activate
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("<html>", "answered with something that is not JSON"),
        ('[{"labels": {}', "answered with something that is not JSON"),
        (requests.ConnectionError("http://user:pass@am"), "the connection failed"),
        (requests.ReadTimeout(), "no answer in time"),
    ],
)
def test_what_goes_wrong_is_said_in_words(ask, body, told):
    """No exception leaves, and no word of it."""
    given()
    responses.replace(responses.GET, f"{URL}/api/v2/alerts", body=body)
    (answer,) = ask()
    assert str(answer) == told


@responses.activate
@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({}, None),
        ({"bearer_token": "tok-9"}, "Bearer tok-9"),
        ({"username": "u", "password": "p"}, f"Basic {base64.b64encode(b'u:p').decode()}"),
    ],
)
def test_credentials(ask, credentials, header):
    """A bearer token, or a user and a password, in the header of each request."""
    given()
    ask(**credentials)
    assert [call.request.headers.get("Authorization") for call in responses.calls] == [header] * 2


MUTED = ENTRY | {"status": {"state": "suppressed", "mutedBy": ["nights"]}}
OURS, OTHERS = {"receiver": {"name": "big.panda"}}, {"receiver": {"name": "other"}}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([OURS | {"alerts": [MUTED]}], {"prod:00aa"}),
        ([OURS | {"alerts": [ENTRY]}], set()),
        ([OTHERS | {"alerts": [MUTED]}, OURS | {"alerts": [ENTRY]}], set()),
        ([OURS | {"alerts": [MUTED]}, OTHERS | {"alerts": [ENTRY]}], {"prod:00aa"}),
        ([OURS | {"alerts": [MUTED]}, OURS | {"alerts": [ENTRY]}], set()),
        ([ENTRY, None, {}], set()),
        ({}, set()),
    ],
)
def test_what_time_intervals_mute(groups, expected):
    """A group that goes to us counts; what another group of ours tells is not muted."""
    assert muted(groups, {"big.panda"}, settings(), NOW) == expected


@responses.activate
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"json": [OURS | {"alerts": [MUTED]}]}, {"json": []}, {"prod:00aa"}),
        ({"json": [OURS | {"alerts": [MUTED]}]}, {"status": 503}, {"prod:00aa"}),
        ({"status": 404}, {"status": 404}, set()),
        ({"status": 404}, {"status": 503}, set()),
        ({"status": 503}, {"status": 500}, "answered 503"),
    ],
)
def test_one_of_them_says_what_is_muted(first, second, expected):
    """One without groups mutes nothing; when none of them answers, it is not known."""
    urls = [URL, "http://am-2:9093"]
    for url, answer in zip(urls, (first, second), strict=True):
        responses.get(f"{url}/api/v2/alerts/groups", **answer)
    api = AlertmanagerApi(settings(urls=urls))
    try:
        found = api.muted({"big.panda"}, NOW)
    except Unanswered as error:
        found = str(error)
    finally:
        api.close()
    assert found == expected


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"urls": ["http://u:p@am:9093"]}, "credentials do not belong in a URL"),
        ({"username": "u"}, "username and password belong together"),
        ({"bearer_token": "t", "username": "u", "password": "p"}, "not both"),
        ({"ca_file": "/nowhere.pem"}, "cannot use /nowhere.pem: No such file"),
        ({"ca_file": __file__}, "not PEM|cannot use"),
    ],
)
def test_settings_that_cannot_be_used(wrong, told):
    """Each is a problem when the configuration is read."""
    with pytest.raises(ValueError, match=told):
        settings(**wrong)
