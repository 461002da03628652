"""The meaning of BigPanda's responses, above all of those that only look like a success."""

import json

import pytest

from bridge.delivery.answers import judge as judge_response
from bridge.delivery.answers import masked, words
from bridge.errors import Rejected, Stopped, Transient
from exporter.toolkit.http_connection import HttpResponse

NOW = 1000.0
LOGIN = "<!DOCTYPE html><html><title> Single\n sign-on </title><body>Log in</body></html>"


def judge(status, retry_after, text, now):
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return judge_response(HttpResponse(status, headers, text.encode()), now)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, ""),
        (201, "Created"),
        (201, '"Created"'),
        (200, "{not json"),
        (202, "[" * 100_000),
        (200, '{"status": "ok"}'),
        (200, '{"status": 200, "errors": []}'),
        (200, '{"status": "201", "error": null}'),
        (200, '{"response": {"status": "created", "errors": []}}'),
        (201, '{"alerts": [{"status": "critical", "error": "disk", "code": 500}]}'),  # our own alerts, echoed
        (201, "[]"),
        (299, "null"),
    ],
)
def test_2xx_is_an_acceptance_by_default(status, text):
    """BigPanda documents no body for it, so an empty or unreadable one is an acceptance."""
    judge(status, None, text, NOW)


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (200, LOGIN, ": a web page (Single sign-on)"),
        (201, "\ufeff\n <html>no title", ": a web page"),
        (200, f"<title>{'x' * 101}</title>", f": a web page ({'x' * 100})"),
        (204, LOGIN, ": a web page (Single sign-on)"),
        (200, '<?xml version="1.0"?><error/>', ": a web page"),
        (200, '{"errors": ["app_key is not known", "no host"]}', ": app_key is not known; no host"),
        (200, '{"error": "maintenance"}', ": maintenance"),
        (200, '{"status": 400}', ': {"status": 400}'),
        (200, '{"status": "503", "message": "later"}', ": later"),
        (200, '{"status": "error", "message": "no"}', ": no"),
        (200, '{"statusCode": 401}', ': {"statusCode": 401}'),
        (200, '{"success": false}', ': {"success": false}'),
        (200, '{"ok": "False", "message": "no"}', ": no"),
        (200, '{"code": 403, "message": "Forbidden"}', ": Forbidden"),
        (200, '{"status": "done", "status_code": "500"}', ': {"status": "done", "status_code": "500"}'),
        (200, '{"response": {"errors": ["bad"]}}', ": bad"),
        (200, '[{"status": 201}, {"status": 400, "errors": ["bad"]}]', ": bad"),
        (207, '{"results": [{"status": 201}, {"status": 400, "errors": ["bad"]}]}', ": bad"),
        (207, '{"errors": ["one of two"]}', ": one of two"),
        (207, "", ""),
    ],
)
def test_2xx_with_an_error_body_is_no_acceptance(status, text, said):
    """The destination is at fault, not the event, and the message is BigPanda's."""
    with pytest.raises(Stopped) as raised:
        judge(status, None, text, NOW)
    assert str(raised.value) == f"BigPanda answered {status}, but did not accept{said}"
    assert raised.value.status == status


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exceeded maximum\n silences\n", ": exceeded maximum silences"),
        ('{"detail": "no such key"}', ': {"detail": "no such key"}'),
        (LOGIN, ": a web page (Single sign-on)"),
        ("", ""),
    ],
)
def test_message_is_the_body_if_nothing_in_it_is_known(text, said):
    """Plain text, as proxies and Alertmanager answer, or JSON of another form."""
    with pytest.raises(Rejected) as raised:
        judge(400, None, text, NOW)
    assert str(raised.value) == f"BigPanda answered 400{said}"


def test_message_is_found_in_the_form_in_which_bigpanda_rejects():
    """Among its status and an id, two different reasons would look alike, and so like a destination at fault."""
    details = ["alert 1: 'status' must exist and be one of: ok,warning,critical", "alert 2: no host"]
    answer = {"response": {"status": "invalid payload", "details": details, "error_id": "1942-8d0e-11ec"}}
    with pytest.raises(Rejected) as raised:
        judge(400, None, json.dumps(answer, indent=2), NOW)
    assert str(raised.value) == f"BigPanda answered 400: {details[0]}; {details[1]}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the token s3cret is wrong", "the token <secret> is wrong"),
        ("Authorization: Bearer other-token; Basic dXNlcjpwdw==", "Authorization: Bearer <secret>; Basic <secret>"),
        ('{"authorization": "bearer abc"}', '{"authorization": "bearer <secret>"}'),
        ("POST /alerts?access_token=abc&x=1", "POST /alerts?access_token=<secret>&x=1"),
        (r"quo\"ted", "<secret>"),
        ('quo"ted', "<secret>"),
        ("neither s3cret nor s3cret-too", "neither <secret> nor <secret>"),
        ("tenant 123 has pin 1234", "tenant 123 has pin <secret>"),
    ],
)
def test_secrets_are_masked(text, shown):
    """Our own secrets, in any form in which JSON writes them, and anything that looks like credentials."""
    assert masked(text, ["s3cret", "", "123", "1234", 'quo"ted', "s3cret-too"]) == shown


def test_secret_is_masked_before_truncation():
    """Otherwise half a token would be logged."""
    assert "s3c" not in masked("x" * 495 + "s3cret", ["s3cret"])


def test_unknown_status_has_the_pages_title():
    """A gateway's own page names the gateway."""
    with pytest.raises(Transient, match=r"^BigPanda answered 502: a web page \(Single sign-on\)$"):
        judge(502, None, LOGIN, NOW)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("", None),
        ("17", 17.0),
        ("soon", None),
        ("-5", None),
        ("1.5", 1.5),
        ("Thu, 01 Jan 1970 00:17:10 GMT", 30.0),  # 1030 - 1000
        ("Thu, 01 Jan 1970 00:20:00 GMT", 60.0),  # one of the clocks may be wrong
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),  # past: at once
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, wanted):
    """Any other value counts as missing."""
    with pytest.raises(Transient) as raised:
        judge(429, header, "", 1000.0)
    assert raised.value.retry_after == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"status": 400, "errors": ["alert 1: bad status", "alert 3: no host"]}',
            "alert 1: bad status; alert 3: no host",
        ),
        ('{"error": "no app_key"}', "no app_key"),
        ('{"message": "bad"}', "bad"),
        ('{"errors": [{"field": "status"}]}', '{"field": "status"}'),
        ('{"errors": "bad"}', "bad"),
        ('{"status": 400}', ""),
        ("[1, 2]", ""),
        ("<html>", ""),
        ('"silence maximum size"', "silence maximum size"),
        ("[" * 100_000, ""),
        ("", ""),
    ],
)
def test_bigpandas_message_is_kept(text, said):
    """The reason is BigPanda's own, from any of its members."""
    assert words(text) == said


def test_message_is_truncated():
    """A message that quotes a whole event does not flood log and page."""
    with pytest.raises(Rejected) as raised:
        judge(400, None, json.dumps({"error": "x" * 5000}), 1000.0)
    assert len(str(raised.value)) == 500
