"""Alertmanager's silences: what is asked, what counts as ours, and what its answers mean."""

import base64
import json

import pytest
import requests
import responses

from bridge.errors import Overloaded, Rejected, Stopped, Unreached
from bridge.incidents.silence_client import SilenceApi
from bridge.incidents.silence_plan import CREATED_BY, Silence, Step, Verb, Wanted, owner_tag
from bridge.receivers.bigpanda import Silences

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
def test_ours_are_those_that_bear_our_mark_and_are_not_over(api):
    """An operator's, another bridge's and what is expired are nobody's here; matchers are put in order."""
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
def test_a_silence_of_ours_that_somebody_widened_is_seen(api, matchers):
    """It is not of the kind we make, so it is put right."""
    responses.get(f"{URL}/api/v2/silences", json=[{**ENTRY, "matchers": matchers}])
    assert api.ours()[0].matchers is None


@pytest.mark.parametrize("answer", [{}, [None], [{**ENTRY, "id": 7}], [{**ENTRY, "endsAt": "soon"}], None, "x"])
@responses.activate
def test_a_list_that_cannot_be_read_is_no_list(api, answer):
    """To make or to end anything by it could double or lose a silence."""
    responses.get(f"{URL}/api/v2/silences", body=json.dumps(answer))
    with pytest.raises(Stopped, match="cannot be read"):
        api.ours()


@responses.activate
def test_a_new_silence_begins_at_once_whatever_the_clocks_say(api):
    """Alertmanager moves a beginning in its past to now; one in its future would have to be waited for."""
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
def test_a_change_names_the_silence_and_leaves_its_beginning(api):
    """Another beginning would make Alertmanager end it and make a new one."""
    call = responses.post(f"{URL}/api/v2/silences", json={"silenceID": "another"})
    api.do(UPDATE, T0)
    sent = json.loads(call.calls[0].request.body)
    assert (sent["id"], sent["startsAt"]) == ("s1", OURS.starts_at)


@pytest.mark.parametrize("status", [200, 404])
@responses.activate
def test_a_silence_that_is_gone_is_as_good_as_ended(api, status):
    """Whoever ended it."""
    responses.delete(f"{URL}/api/v2/silence/s1", status=status)
    api.do(EXPIRE, T0)


@responses.activate
def test_a_change_of_what_is_gone_waits_for_the_next_look(api):
    """Then it is made anew."""
    responses.post(f"{URL}/api/v2/silences", status=404)
    api.do(UPDATE, T0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 400}, Rejected),
        ({"status": 401}, Stopped),
        ({"status": 302, "headers": {"Location": "http://elsewhere"}}, Stopped),
        ({"status": 429}, Overloaded),
        ({"status": 503}, Overloaded),
        ({"body": requests.ConnectionError("http://secret")}, Unreached),
        ({"body": requests.ReadTimeout()}, Unreached),
    ],
)
@responses.activate
def test_each_refusal_says_whose_fault_it_is(api, answer, error):
    """Without the URL, a body or a secret."""
    responses.post(f"{URL}/api/v2/silences", **answer)
    with pytest.raises(error) as raised:
        api.do(CREATE, T0)
    assert "secret" not in str(raised.value)
    assert "am-t0ken" not in str(raised.value)


@responses.activate
def test_a_user_and_a_password_will_do():
    """As everywhere."""
    call = responses.get(f"{URL}/api/v2/silences", json=[])
    api = SilenceApi(Silences(alertmanager=f"{URL}/", username="u", password="p"), OWNER)
    assert api.ours() == []
    api.close()
    assert call.calls[0].request.headers["Authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"


@responses.activate
def test_what_has_expired_is_not_asked_for(api):
    """There may be thousands; an Alertmanager that does not know the question lists them all the same."""
    call = responses.get(f"{URL}/api/v2/silences", json=[])
    api.ours()
    assert call.calls[0].request.params == {"expired": "false"}


@responses.activate
def test_alertmanagers_words_are_kept_without_our_token(api):
    """Alertmanager's error is a JSON string; what echoes our credentials does not bring them into the log."""
    responses.post(f"{URL}/api/v2/silences", status=400, json="silence too large; Bearer am-t0ken; am-t0ken")
    with pytest.raises(Rejected) as raised:
        api.do(CREATE, T0)
    assert str(raised.value) == "Alertmanager answered 400: silence too large; Bearer <secret>; <secret>"
