"""An Alertmanager's answer counts as a whole or not at all, and its credentials go nowhere else."""

import base64
import math

import pytest
import requests
import responses

from bridge.errors import Unanswered, Unreadable
from bridge.receivers.alertmanager import Settings
from bridge.reconcile.alertmanager_client import AlertmanagerApi, Peer, Silence, listed, muted, origin, status

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
def test_response_has_alerts_and_start_time(ask):
    """Alerts are as in webhooks; all are requested, suppressed or not."""
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
def test_states_of_alerts(status, active, suppressed):
    """An alert muted by a silence, inhibition or time interval is suppressed; an unprocessed one is neither."""
    (found,) = listed([ENTRY | {"status": status}], settings(), NOW)
    assert (found.active, found.suppressed) == (active, suppressed)


@pytest.mark.parametrize(
    "answer",
    [None, {}, [None], [{}], [ENTRY, {"labels": {"a": 1}}]],
    ids=["null", "object", "null in it", "no labels", "a label is a number"],
)
def test_unreadable_alert_makes_the_list_unreadable(answer):
    """It could be any alert, so the list must not resolve one."""
    with pytest.raises(Unreadable):
        list(listed(answer, settings(), NOW))


@pytest.mark.parametrize("starts_at", ["0001-01-01T00:00:00.000+02:00", "0000-12-31T22:00:00.000Z", None])
def test_alert_with_an_impossible_start_is_listed(starts_at):
    """As a .NET client sends one that leaves the time out: it must not keep all other alerts from being resolved."""
    (found,) = listed([ENTRY | {"startsAt": starts_at}], settings(), NOW)
    assert (found.alert.starts_at, found.active) == (NOW, True)


@responses.activate
def test_invalid_status_is_an_error(ask):
    """A response without it is not Alertmanager's."""
    given(status=[])
    (answer,) = ask()
    assert isinstance(answer, Unanswered)
    assert (str(answer), answer.url) == ("status: not an object", "http://am-1:9093")


@responses.activate
@pytest.mark.parametrize("uptime", [None, 5, "soon", "0001-01-01T00:00:00Z"])
def test_alertmanager_without_uptime_is_young_at_the_first_poll(uptime):
    """Grafana's has none; after a failed response it may have restarted."""
    given(status=STATUS | {"uptime": uptime})
    clock = [0.0]
    api = AlertmanagerApi(settings(), steady=lambda: clock[0])

    def ask_at(seconds):
        clock[0] = seconds
        return api.ask(NOW + seconds)[0]

    assert [ask_at(seconds).started for seconds in (0.0, 60.0, 400.0)] == [NOW] * 3
    responses.replace(responses.GET, f"{URL}/api/v2/status", status=503)
    assert isinstance(ask_at(460.0), Unanswered)
    responses.replace(responses.GET, f"{URL}/api/v2/status", json={})
    assert ask_at(520.0).started == NOW + 520
    api.close()


@responses.activate
def test_age_of_an_alertmanager_ignores_clock_changes():
    """A clock set back does not make it young; another start time does."""
    given(status=STATUS | {"uptime": "2033-11-14T22:00:00Z"})
    clock = [0.0]
    api = AlertmanagerApi(settings(), steady=lambda: clock[0])
    assert api.ask(NOW)[0].started == NOW
    clock[0] = 400.0
    assert api.ask(NOW + 400 - 3600)[0].started == NOW - 3600
    responses.replace(responses.GET, f"{URL}/api/v2/status", json=STATUS | {"uptime": "2033-11-14T23:00:00Z"})
    assert api.ask(NOW)[0].started == NOW
    api.close()


@responses.activate
def test_age_of_an_alertmanager_that_restarts_is_by_our_own_time():
    """By a clock of ours that is ahead it would seem old, and what it does not list yet would be resolved."""
    given()
    clock = [0.0]
    api = AlertmanagerApi(settings(), steady=lambda: clock[0])

    def ask_at(seconds, uptime):
        clock[0] = seconds
        status = {"json": STATUS | {"uptime": uptime}} if uptime else {"status": 503}
        responses.replace(responses.GET, f"{URL}/api/v2/status", **status)
        return api.ask(NOW + 86_400 + seconds)[0]

    before, after = STATUS["uptime"], "2023-11-14T22:15:00Z"
    known = ask_at(0.0, before).started
    assert isinstance(ask_at(60.0, None), Unanswered)
    assert ask_at(120.0, before).started == known
    assert isinstance(ask_at(180.0, None), Unanswered)
    assert [ask_at(seconds, after).started for seconds in (240.0, 600.0)] == [NOW + 86_400 + 240] * 2
    assert ask_at(660.0, before).started == known  # another one behind the same URL
    assert ask_at(720.0, after).started == NOW + 86_400 + 240
    api.close()


CONFIG = """
route:
  receiver: x
  group_interval: 1m
  routes:
    - receiver: y
    - receiver: z
      group_interval: 2h30m
      routes: [{receiver: z}]
    - group_interval: 10s
"""


@pytest.mark.parametrize(
    ("version", "config", "lag"),
    [
        ("0.35.0", CONFIG, 0.0),
        ("0.35.0-rc.0", CONFIG, 0.0),
        ("1.0.0", CONFIG, 0.0),
        ("0.34.2", CONFIG, 9000.0),
        ("0.27.0", "route: {receiver: x, routes: [{mute_time_intervals: [night]}]}", math.inf),
        ("0.25.0", "route: {receiver: x, routes: [{active_time_intervals: [day]}]}", math.inf),
        ("0.25.0", "route: {receiver: x}\ntime_intervals: [{name: unused}]", 300.0),
        ("0.28.0", "route: {receiver: x, routes: [{mute_time_intervals: [night]}]}", 300.0),
        ("0.28.1", "route: {receiver: x}", 300.0),
        ("0.28.1", "route: {receiver: x, group_interval: soon}", 300.0),
        ("0.28.1", "route: [", 300.0),
        ("0.28.1", None, 300.0),
        (None, CONFIG, 9000.0),
        ("mimir", None, 300.0),
        ("0.28.1", "route: {receiver: x, group_interval: 10s, routes: 5}", 10.0),
    ],
)
def test_muting_delay_depends_on_version_and_routes(version, config, lag):
    """Before 0.35 the longest group interval of its routes, the default if unreadable; before 0.28 there is no end."""
    answer = STATUS | {"versionInfo": {"version": version}, "config": {"original": config}}
    assert status(answer).mutes_lag == lag


@pytest.mark.parametrize("strange", [{"versionInfo": None}, {"versionInfo": {"version": 5}}, {"config": []}])
def test_unreadable_version_counts_as_old(strange):
    """Opening too late is better than opening a muted alert."""
    assert status(STATUS | strange).mutes_lag == 300.0


@responses.activate
@pytest.mark.parametrize(
    ("config", "senders"),
    [
        ("receivers: [{name: x, webhook_configs: [{url: <secret>}]}, {name: y, slack_configs: [{}]}, {name: z}]", "x"),
        ("receivers: [{name: y, webhook_configs: []}, {webhook_configs: 5}, {name: 7}, null]", ""),
        ("receivers: {name: x}", ""),
        ("route: {receiver: x}", None),
        ("receivers: [", None),
        (None, None),
    ],
)
def test_alertmanager_without_a_webhook_for_our_receiver_is_another_one(config, senders):
    """A configuration that is not shown, as by some services, says nothing about any receiver."""
    given(STATUS | {"config": {"original": config}})
    api = AlertmanagerApi(settings())
    unknown, learned, other = (api.ask(NOW, names)[0] for names in ((), {"x", "old"}, {"y", "old"}))
    api.close()
    assert isinstance(unknown, Peer)
    assert unknown.senders == (senders if senders is None else set(senders))
    assert isinstance(learned, Unanswered) is (senders == "")
    assert isinstance(other, Unanswered) is (senders is not None)
    if isinstance(other, Unanswered):
        assert str(other) == "another Alertmanager: its configuration has no webhook for receiver old or y"


SILENCE = {"id": "s1", "createdBy": "jo", "comment": "deploy", "endsAt": "2033-11-14T22:00:00.123Z"}


@responses.activate
def test_silences_are_known_by_their_ids():
    """Of all peers that answer; an incomplete one is left out."""
    urls = [URL, "http://am-2:9093", "http://am-3:9093"]
    call = responses.get(f"{URL}/api/v2/silences", json=[SILENCE, {"id": "s2"}, {**SILENCE, "id": 5}, None])
    responses.get("http://am-2:9093/api/v2/silences", json=[{**SILENCE, "id": "s3", "createdBy": None}])
    responses.get("http://am-3:9093/api/v2/silences", status=503)
    api = AlertmanagerApi(settings(urls=urls))
    found = api.silences()
    api.close()
    assert found == {
        "s1": Silence(by="jo", until="2033-11-14T22:00:00Z", comment="deploy", ends_at=2_015_618_400.123),
        "s3": Silence(by="", until="2033-11-14T22:00:00Z", comment="deploy", ends_at=2_015_618_400.123),
    }
    assert call.calls[0].request.params == {"expired": "false"}
    assert found["s3"].tags == {"silenced_until": "2033-11-14T22:00:00Z", "silence_comment": "deploy"}


@responses.activate
def test_text_is_valid(ask):
    """No database takes half an emoji, and PostgreSQL no NUL: neither of an alert nor of a silence."""
    given(alerts=[{**ENTRY, "labels": {"half\ud83d": "a\0"}}])
    (peer,) = ask()
    assert dict(peer.listed[0].alert.labels) == {"half\ufffd": "a\ufffd"}
    responses.get(f"{URL}/api/v2/silences", json=[{**SILENCE, "comment": "half \ud83d"}])
    api = AlertmanagerApi(settings())
    assert api.silences()["s1"].comment == "half \ufffd"
    api.close()


@responses.activate
def test_failed_silence_lists_are_unknown():
    """That differs from an empty list."""
    responses.get(f"{URL}/api/v2/silences", status=403)
    api = AlertmanagerApi(settings())
    with pytest.raises(Unanswered, match="answered 403"):
        api.silences()
    api.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://am-1:9093/prefix?token=secret", "http://am-1:9093"),
        ("https://user:secret@am-1/x", "https://am-1"),
        ("http://[::1]:9093", "http://[::1]:9093"),
    ],
)
def test_only_scheme_and_host_of_a_url_are_shown(url, shown):
    """Its path and query may be secrets."""
    assert origin(url) == shown


@responses.activate
def test_settling_cluster_is_detected(ask):
    """One without a cluster does not settle."""
    given(status=STATUS | {"cluster": {"status": "settling"}})
    assert ask()[0].settling
    responses.reset()
    given(status={"uptime": STATUS["uptime"]})
    assert not ask()[0].settling


@responses.activate
@pytest.mark.parametrize("code", [302, 401, 404, 410, 503])
def test_every_status_but_200_is_an_error(ask, code):
    """503 is Alertmanager's response over its concurrency limit; redirects are not followed."""
    given(status=STATUS)
    responses.replace(responses.GET, f"{URL}/api/v2/alerts", status=code, headers={"Location": "http://evil.test/"})
    (answer,) = ask(bearer_token="tok-9")
    assert str(answer) == f"answered {code}"
    assert len(responses.calls) == 2


@responses.activate
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>", "the response is not JSON"),
        pytest.param(f"[{'1,' * 5_000_000}1]", "the response has more than 5,000,000 values", id="too many values"),
        ('[{"labels": {}', "the response is not JSON"),
        (requests.ConnectionError("http://user:pass@am"), "no connection"),
        (requests.ReadTimeout(), "no complete response within 10 s (waiting for the response)"),
    ],
)
def test_errors_have_our_own_messages(ask, body, message):
    """No foreign exception is passed on."""
    given()
    responses.replace(responses.GET, f"{URL}/api/v2/alerts", body=body)
    (answer,) = ask()
    assert str(answer) == message


@responses.activate
@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({}, None),
        ({"bearer_token": "tok-9"}, "Bearer tok-9"),
        ({"username": "u", "password": "p"}, f"Basic {base64.b64encode(b'u:p').decode()}"),
    ],
)
def test_credentials_are_sent(ask, credentials, header):
    """A bearer token, or user and password, in the header of each request."""
    given()
    ask(**credentials)
    assert [call.request.headers.get("Authorization") for call in responses.calls] == [header] * 2


@responses.activate
def test_headers_are_sent_beside_the_credentials(ask):
    """Mimir and Cortex want the tenant, some proxies two headers of their own."""
    given()
    ask(bearer_token="tok-9", headers={"X-Scope-OrgID": "prod", "CF-Access-Client-Secret": "sesame"})
    for call in responses.calls:
        sent = {
            name: call.request.headers[name] for name in ("Authorization", "x-scope-orgid", "cf-access-client-secret")
        }
        assert list(sent.values()) == ["Bearer tok-9", "prod", "sesame"]


@responses.activate
def test_reason_of_a_refusal_is_named_without_secrets(ask):
    """Mimir's for a request without a tenant is in its body alone. A short header is no secret, but part of words."""
    responses.get(f"{URL}/api/v2/status", status=401, body="no org id\nfor 'sesame' at 401")
    (answer,) = ask(headers={"X-Key": "sesame", "X-Scope-OrgID": "1"})
    assert str(answer) == "answered 401: no org id for '<secret>' at 401"


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
def test_muted_groups_suppress_their_alerts(groups, expected):
    """Only groups of our receiver count, and an alert in another group of ours is not muted."""
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
def test_muting_is_taken_from_one_alertmanager(first, second, expected):
    """Without groups nothing is muted; if none answers, it is unknown."""
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
    ("wrong", "message"),
    [
        ({"urls": ["http://u:p@am:9093"]}, "must not contain credentials"),
        ({"username": "u"}, "username and password belong together"),
        ({"bearer_token": "t", "username": "u", "password": "p"}, "not both"),
        ({"headers": {"X Scope": "t"}}, "not a valid header name"),
        ({"ca_file": "/nowhere.pem"}, "cannot read /nowhere.pem: No such file"),
        ({"ca_file": __file__}, "no certificate authority in PEM form"),
    ],
)
def test_invalid_settings_are_errors(wrong, message):
    """When the configuration is read."""
    with pytest.raises(ValueError, match=message):
        settings(**wrong)
