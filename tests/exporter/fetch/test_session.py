import threading

import pytest
import responses
from responses import matchers

from exporter.collectors.contract import Get, Reason, Response
from exporter.collectors.settings import TargetSettings
from exporter.fetch.error_mapping import check
from exporter.fetch.session import Session, located
from exporter.toolkit import http_errors
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_errors import (
    ClientError,
    HttpError,
    Malformed,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
)
from tests.toolkit.talking import answer, serving

TOKEN = "s3cret-token"
VENDOR = "https://vendor.example"


class Settings(TargetSettings):
    address: str | Secret = ""
    token: Secret | None = None

    def url(self):
        return self.address

    def bearer(self):
        return self.token


def request(path="/x", params=(), **more):
    return Get(endpoint="/x", reason=Reason.STATUS, due=0.0, every=60.0, path=path, params=params, **more)


def opened(address=VENDOR, **more):
    return Session(Settings(collector="c", account="a", address=address, **more), lambda: 1000.0)


def failure(session, requested):
    with pytest.raises(HttpError) as caught:
        session.get(requested)
    return caught.value


@pytest.fixture
def vendor():
    with responses.RequestsMock() as mock:
        yield mock


def test_response_has_time_status_body_and_headers(vendor):
    """The time is that of the request; header names are in lower case; any status is a response."""
    vendor.get(f"{VENDOR}/x", body=b"[1]", status=418, headers={"X-Limit": "9"})
    found = opened().get(request())
    assert (found.at, found.status, found.body, found.headers["x-limit"]) == (1000.0, 418, b"[1]", "9")


def test_text_of_the_vendor_is_made_valid(vendor):
    """Half an emoji, NUL and invalid UTF-8 are replaced."""
    vendor.get(f"{VENDOR}/x", body=b'["\\ud83d", "\\u0000", "\xff"]')
    assert opened().get(request()).body == b'["\\ufffd", "\\ufffd", "\xef\xbf\xbd"]'


def test_request_has_accept_header_and_current_token(vendor, tmp_path):
    """A changed token file is re-read."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    session = opened(token=Secret(file=file))
    for token in (TOKEN, "renewed"):
        file.write_text(token)
        headers = {"Accept": "application/hal+json", "Authorization": f"Bearer {token}"}
        vendor.get(f"{VENDOR}/x", match=[matchers.header_matcher(headers)])
        session.get(request(accept="application/hal+json"))


def test_closing_aborts_the_request_in_flight():
    """The program, or a reload, does not wait for a vendor that hangs."""
    asked, ended = threading.Event(), []

    def hang(connection, server):
        next(server.heads(connection))
        asked.set()
        server.over.wait(60)

    with serving(hang) as server:
        session = opened(server.url, timeout=60.0, max_age=300.0)
        thread = threading.Thread(target=lambda: ended.append(failure(session, request())))
        thread.start()
        assert asked.wait(30)
        session.close()
        thread.join(30)
        assert len(ended) == 1


def test_a_request_with_content_is_a_post_of_json(vendor):
    """A search has its filter in the body; it is the only request that is no GET."""
    sent = [
        matchers.header_matcher({"Content-Type": "application/json"}),
        matchers.json_params_matcher({"window": "1h"}),
    ]
    vendor.post(f"{VENDOR}/x", match=sent)
    assert opened().get(request(content=b'{"window": "1h"}')).status == 200


def test_a_post_on_a_dead_connection_is_repeated():
    """It only reads; a NAT or the server may have dropped the connection since the last request."""

    def once(connection, server):
        heads = server.heads(connection)
        next(heads)
        connection.sendall(answer())
        next(heads, None)  # the next request on this connection gets no answer

    with serving(once) as server:
        session = opened(server.url)
        for _ in range(3):
            assert session.get(request(content=b"{}")).status == 200
        session.close()


def test_a_redirect_is_an_error(vendor):
    """Following it would send the token to another server."""
    vendor.get(f"{VENDOR}/x", status=302, headers={"Location": f"{VENDOR}/y"})
    with pytest.raises(ClientError, match="302: redirects are not followed"):
        check(request(), opened(token=Secret(TOKEN)).get(request()))


def test_slow_vendor_is_a_timeout():
    """The target's `timeout` covers the whole response."""
    with serving(lambda _, server: server.over.wait(60)) as server:
        error = failure(opened(server.url, timeout=0.3), request())
    assert type(error) is TimedOut
    assert str(error).startswith("no complete response within 0.3 s (")


def test_too_large_response_is_malformed(vendor):
    """`max_response` is the limit."""
    vendor.get(f"{VENDOR}/x", body=b"12")
    error = failure(opened(max_response=1), request())
    assert (type(error), str(error)) == (Malformed, "response larger than 1 bytes")


def test_response_with_too_many_objects_is_malformed(vendor):
    """A few bytes of JSON need much memory, so objects are counted before they are parsed."""
    vendor.get(f"{VENDOR}/x", body=b"[" + b"{}," * 39_998 + b"{}]")
    assert opened().get(request()).status == 200
    vendor.get(f"{VENDOR}/x", body=b"[" + b"{}," * 39_999 + b"{}]")
    error = failure(opened(), request())
    assert (type(error), str(error)) == (Malformed, "response with more than 40,000 objects")


@pytest.mark.parametrize("age", ["0", "300", "x"])
def test_a_cached_response_is_used_while_it_may_be_shown(vendor, age):
    """Caches are asked for a fresh one."""
    vendor.get(f"{VENDOR}/x", body=b"{}", headers={"Age": age})
    assert opened().get(request()).status == 200
    assert vendor.calls[0].request.headers["Cache-Control"] == "no-cache"


def test_an_older_response_of_a_cache_is_malformed(vendor):
    """It would be shown as data of now."""
    vendor.get(f"{VENDOR}/x", body=b"{}", headers={"Age": "301"})
    error = failure(opened(), request())
    assert (type(error), str(error)) == (Malformed, "response from a cache, 5m 1s old: longer than max_age")


@pytest.mark.parametrize("address", ["", "http://[::1", "nonsense://x"])
def test_unusable_url_is_a_client_error(address):
    """It is not counted as the vendor's fault."""
    error = failure(opened(address), request())
    assert (type(error), str(error)) == (ClientError, "the URL cannot be used")


def test_errors_contain_no_secret():
    """Neither a secret URL nor a token, nor in the chain of causes."""
    for base in ("http://127.0.0.1:1/?key=qs3cret", "nonsense://x?key=qs3cret", "http://[qs3cret", "http://qs3cret@v"):
        error = failure(opened(Secret(base), token=Secret(TOKEN)), request(""))
        assert not any(secret in str(error) + repr(error) for secret in ("qs3cret", TOKEN))
    error = failure(opened(token=Secret(TOKEN + "\nX: y")), request())
    assert (type(error), str(error)) == (
        ClientError,
        "the value of header Authorization cannot be sent: printable ASCII only",
    )


@pytest.mark.parametrize(
    ("base", "path", "params", "url"),
    [
        ("http://v/api/v1", "/monitors", (), "http://v/api/v1/monitors"),
        ("http://v/api/v1/", "/monitors", (("page", "2"),), "http://v/api/v1/monitors?page=2"),
        ("http://v/status?key=k&severity=1", "", (), "http://v/status?key=k&severity=1"),
        ("http://v/status?key=k&severity=1", "", (("severity", "3"),), "http://v/status?key=k&severity=3"),
        ("http://v/status?a=%2B+x&b", "", (("c", "a b&c"),), "http://v/status?a=%2B+x&b&c=a+b%26c"),
        ("http://v/s?sever%69ty=1", "", (("severity", "3"),), "http://v/s?severity=3"),
        ("http://v/s?t=1&t=2&u", "", (("t", "3"), ("t", "4")), "http://v/s?u&t=3&t=4"),
        ("http://v/s#part", "/x", (), "http://v/s/x"),
    ],
)
def test_request_url_is_below_the_base_url(base, path, params, url):
    """The base URL's own query is kept, except for parameters that the request replaces."""
    assert located(base, request(path, params)) == url


DAY = "Thu, 01 Jan 1970"


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after"),
    [
        (301, {}, ClientError, None),
        (400, {}, ClientError, None),
        (404, {}, ClientError, None),
        (401, {}, Refused, None),
        (403, {}, Refused, None),
        (429, {}, RateLimited, None),
        (429, {"retry-after": "30"}, RateLimited, 30),
        (429, {"retry-after": "1.5"}, RateLimited, 1.5),
        (429, {"retry-after": f"{DAY} 00:17:10 GMT"}, RateLimited, 30),
        (429, {"retry-after": f"{DAY} 00:00:00 GMT"}, RateLimited, 0),
        (429, {"retry-after": f"{DAY} 01:16:40 GMT"}, RateLimited, 60),
        (
            429,
            {"retry-after": f"{DAY} 01:17:10 GMT", "date": f"{DAY} 01:16:40 GMT"},
            RateLimited,
            30,
        ),
        (
            429,
            {"retry-after": f"{DAY} 01:16:40 GMT", "date": f"{DAY} 00:16:40 GMT"},
            RateLimited,
            3600,
        ),
        (
            429,
            {"retry-after": f"{DAY} 00:17:10 GMT", "date": f"{DAY} 01:16:40 GMT"},
            RateLimited,
            0,
        ),
        (429, {"retry-after": "later"}, RateLimited, None),
        (429, {"retry-after": "1x"}, RateLimited, None),
        (500, {}, ServerError, None),
        (599, {}, ServerError, None),
        (503, {"retry-after": "30"}, ServerError, 30),
        (204, {}, Malformed, None),
        (999, {}, Malformed, None),
    ],
)
def test_each_status_is_one_kind_of_error(status, headers, kind, retry_after):
    """Retry-After is read as seconds or as a date."""
    with pytest.raises(HttpError) as caught:
        check(request(), Response(1000.0, status, b"", headers))
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", None) == retry_after


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b"", "401: the vendor rejects the credentials"),
        (403, b"{}", "403: the credentials lack a permission, or this host's address is not allowed"),
        (403, b"\n<!doctype html>", "403: a firewall or proxy denies access, with a web page"),
    ],
)
def test_denied_access_names_who_denies_it(status, body, message):
    """A new token would not help against a firewall in front of the API."""
    with pytest.raises(Refused, match=f"^{message}$"):
        check(request(), Response(0.0, status, body))


@pytest.mark.parametrize("status", [200, 418])
def test_200_and_the_requests_own_statuses_are_responses(status):
    """PacketVis answers 418 with a body."""
    check(request(expected_statuses=frozenset({418})), Response(0.0, status, b""))


def test_every_error_below_http_is_an_outcome():
    """Its reason is the label of a metric."""
    below = [one for one in vars(http_errors).values() if isinstance(one, type) and issubclass(one, HttpError)]
    reasons = {one.reason for one in below if one not in {HttpError, http_errors.Unavailable}}
    assert reasons == {
        *("timeout", "connect", "tls", "client_error", "malformed"),
        *("auth", "rate_limited", "server_error"),
    }
