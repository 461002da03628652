"""Alertmanager's silences: what is asked, what counts as ours, and what its answers mean."""

import base64
import json

import pytest
import requests
import responses

from bridge.errors import Rejected, Stopped, Transient
from bridge.incidents.silence_client import SilenceApi
from bridge.incidents.silence_plan import Silence, Step, Verb, Wanted, owner_tag
from bridge.receivers.bigpanda import CREATED_BY, Silences

URL = "http://am:9093/prefix"
T0 = 1_795_200_000.0
OWNER = "0a1b/panda"
WANTED = Wanted(
    key="prod:1",
    matchers=(("alertname", "Down"), ("host", "a.*b")),
    ends_at=T0 + 900.5,
    comment=f"Snoozed {owner_tag(OWNER, 'prod:1')}",
)
ENTRY = {
    "id": "s1",
    "status": {"state": "active"},
    "matchers": [
        {"name": "host", "value": "a.*b", "isRegex": False, "isEqual": True},
        {"name": "alertname", "value": "Down", "isRegex": False},
    ],
    "startsAt": "2026-11-20T20:00:00.123Z",
    "endsAt": "2026-11-20T20:15:00.500Z",
    "updatedAt": "2026-11-20T20:00:00.123Z",
    "createdBy": CREATED_BY,
    "comment": WANTED.comment,
    "annotations": {},
}
OURS = Silence(
    id="s1",
    key="prod:1",
    matchers=WANTED.matchers,
    starts_at="2026-11-20T20:00:00.123Z",
    ends_at=1_795_205_700.5,
    comment=WANTED.comment,
)
CREATE = Step(verb=Verb.CREATE, key="prod:1", reason="", wanted=WANTED)
UPDATE = Step(verb=Verb.UPDATE, key="prod:1", reason="", wanted=WANTED, silence=OURS)
EXPIRE = Step(verb=Verb.EXPIRE, key="prod:1", reason="", silence=OURS)


@pytest.fixture
def api():
    made = SilenceApi(Silences(alertmanager=URL, bearer_token="am-t0ken"), OWNER)
    yield made
    made.close()


@responses.activate
def test_own_silences_have_our_tag_and_are_active(api):
    """Those of an operator or another bridge, and expired ones, are left out; matchers are sorted."""
    others = [
        {**ENTRY, "createdBy": "ann"},
        {**ENTRY, "comment": f"Snoozed {owner_tag('ffff/panda', 'prod:1')}"},
        {**ENTRY, "status": {"state": "expired"}},
        {"comment": None},
    ]
    call = responses.get(f"{URL}/api/v2/silences", json=[*others, ENTRY])
    assert api.ours() == [OURS]
    assert call.calls[0].request.headers["Authorization"] == "Bearer am-t0ken"


@pytest.mark.parametrize(
    "matchers", [None, [None], [{"name": "a", "isRegex": True}], [{"name": "a", "isEqual": False}]]
)
@responses.activate
def test_widened_silence_is_detected(api, matchers):
    """It differs from the wanted one, so it is corrected."""
    responses.get(f"{URL}/api/v2/silences", json=[{**ENTRY, "matchers": matchers}])
    assert api.ours()[0].matchers == ()


@pytest.mark.parametrize("answer", [{}, [None], [{**ENTRY, "id": 7}], [{**ENTRY, "endsAt": "soon"}], None, "x"])
@responses.activate
def test_unreadable_list_is_an_error(api, answer):
    """Otherwise a silence could be duplicated or lost."""
    responses.get(f"{URL}/api/v2/silences", body=json.dumps(answer))
    with pytest.raises(Stopped, match="cannot be read"):
        api.ours()


@responses.activate
def test_new_silence_starts_at_once(api):
    """Alertmanager moves a start in its past to now; one in its future would delay the silence."""
    call = responses.post(f"{URL}/api/v2/silences", json={"silenceID": "s2"})
    api.do(CREATE, T0)
    assert json.loads(call.calls[0].request.body) == {
        "matchers": [
            {"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True},
            {"name": "host", "value": "a.*b", "isRegex": False, "isEqual": True},
        ],
        "startsAt": "2026-11-20T17:40:00.000Z",
        "endsAt": "2026-11-20T18:55:00.500Z",
        "createdBy": CREATED_BY,
        "comment": WANTED.comment,
    }


@responses.activate
def test_update_keeps_id_and_start(api):
    """With another start Alertmanager would expire it and create a new one."""
    call = responses.post(f"{URL}/api/v2/silences", json={"silenceID": "another"})
    api.do(UPDATE, T0)
    sent = json.loads(call.calls[0].request.body)
    assert (sent["id"], sent["startsAt"]) == ("s1", OURS.starts_at)


@pytest.mark.parametrize("status", [200, 404])
@responses.activate
def test_expiring_a_missing_silence_is_a_success(api, status):
    """Somebody else may have expired it."""
    responses.delete(f"{URL}/api/v2/silence/s1", status=status)
    api.do(EXPIRE, T0)


@responses.activate
def test_updating_a_missing_silence_waits_for_the_next_poll(api):
    """Then it is created again."""
    responses.post(f"{URL}/api/v2/silences", status=404)
    api.do(UPDATE, T0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 400}, Rejected),
        ({"status": 401}, Stopped),
        ({"status": 302, "headers": {"Location": "http://elsewhere"}}, Stopped),
        ({"status": 429}, Transient),
        ({"status": 503}, Transient),
        ({"body": requests.ConnectionError("http://secret")}, Transient),
        ({"body": requests.ReadTimeout()}, Transient),
    ],
)
@responses.activate
def test_each_status_is_one_kind_of_error(api, answer, error):
    """Without the URL, a body or a secret."""
    responses.post(f"{URL}/api/v2/silences", **answer)
    with pytest.raises(error) as raised:
        api.do(CREATE, T0)
    assert "secret" not in str(raised.value)
    assert "am-t0ken" not in str(raised.value)


@responses.activate
def test_basic_auth_is_supported():
    """As everywhere."""
    call = responses.get(f"{URL}/api/v2/silences", json=[])
    api = SilenceApi(Silences(alertmanager=f"{URL}/", username="u", password="p"), OWNER)
    assert api.ours() == []
    api.close()
    assert call.calls[0].request.headers["Authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"


@responses.activate
def test_expired_silences_are_not_requested(api):
    """There may be thousands; an Alertmanager without the filter lists them, and they are ignored."""
    call = responses.get(f"{URL}/api/v2/silences", json=[])
    api.ours()
    assert call.calls[0].request.params == {"expired": "false"}


@responses.activate
def test_alertmanagers_message_is_kept_without_our_token(api):
    """The error is a JSON string; echoed credentials are masked."""
    responses.post(f"{URL}/api/v2/silences", status=400, json="silence too large; Bearer am-t0ken; am-t0ken")
    with pytest.raises(Rejected) as raised:
        api.do(CREATE, T0)
    assert str(raised.value) == "Alertmanager answered 400: silence too large; Bearer <secret>; <secret>"


@responses.activate
def test_an_echoed_user_and_password_are_masked():
    """Also in the form in which the header carries them."""
    pair = base64.b64encode(b"u:p4ssword").decode()
    responses.post(f"{URL}/api/v2/silences", status=400, json=f"not a token: {pair}; p4ssword")
    api = SilenceApi(Silences(alertmanager=URL, username="u", password="p4ssword"), OWNER)
    with pytest.raises(Rejected, match=r"^Alertmanager answered 400: not a token: <secret>; <secret>$"):
        api.do(CREATE, T0)
    api.close()
