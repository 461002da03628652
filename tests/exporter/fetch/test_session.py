import pytest
import responses
from responses import matchers

from exporter.collectors.contract import Get, Reason, Response
from exporter.collectors.settings import TargetSettings
from exporter.errors import (
    ClientError,
    ConnectFailed,
    Malformed,
    PollError,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
    TlsFailed,
)
from exporter.fetch.error_mapping import check
from exporter.fetch.session import Session, located
from exporter.toolkit import http_errors
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_errors import HttpError
from tests.toolkit.talking import serving

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
    with pytest.raises(PollError) as caught:
        session.get(requested)
    return caught.value


@pytest.fixture
def vendor():
    with responses.RequestsMock() as mock:
        yield mock


def test_a_response_carries_its_time_status_body_and_headers(vendor):
    """The time is when it was requested for, names of headers are in lower case; any status is a response."""
    vendor.get(f"{VENDOR}/x", body=b"[1]", status=418, headers={"X-Limit": "9"})
    found = opened().get(request())
    assert (found.at, found.status, found.body, found.headers["x-limit"]) == (1000.0, 418, b"[1]", "9")


def test_text_of_the_vendor_is_valid_from_here_on(vendor):
    """Half an emoji, NUL and bytes of another encoding come to nobody."""
    vendor.get(f"{VENDOR}/x", body=b'["\\ud83d", "\\u0000", "\xff"]')
    assert opened().get(request()).body == b'["\\ufffd", "\\ufffd", "\xef\xbf\xbd"]'


def test_a_request_says_what_it_accepts_and_carries_the_token_as_it_is_now(vendor, tmp_path):
    """A token file is read again when it has changed."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    session = opened(token=Secret(file=file))
    seen = set()
    for token in (TOKEN, "renewed"):
        file.write_text(token)
        headers = {"Accept": "application/hal+json", "Authorization": f"Bearer {token}"}
        vendor.get(f"{VENDOR}/x", match=[matchers.header_matcher(headers)])
        session.get(request(accept="application/hal+json"))
        seen.add(session.credentials())
    assert len(seen) == 2
    assert seen.isdisjoint({"", TOKEN, "renewed"})


def test_a_redirect_is_an_error(vendor):
    """Following it would carry the token away."""
    vendor.get(f"{VENDOR}/x", status=302, headers={"Location": f"{VENDOR}/y"})
    with pytest.raises(ClientError, match="302: redirects are not followed"):
        check(request(), opened(token=Secret(TOKEN)).get(request()))


def test_a_vendor_that_does_not_answer_in_time_is_timed_out():
    """The target's `timeout` counts for the whole answer."""
    with serving(lambda _, server: server.over.wait(60)) as server:
        error = failure(opened(server.url, timeout=0.3), request())
    assert type(error) is TimedOut
    assert str(error).startswith("no complete response within 0.3 s (")


def test_an_answer_that_is_too_long_is_malformed(vendor):
    """`max_response` bounds it."""
    vendor.get(f"{VENDOR}/x", body=b"12")
    error = failure(opened(max_response=1), request())
    assert (type(error), str(error)) == (Malformed, "response larger than 1 bytes")


def test_an_answer_of_too_many_objects_is_malformed(vendor):
    """A few bytes of JSON are many of memory, so their number is bounded before they are made."""
    vendor.get(f"{VENDOR}/x", body=b"[" + b"{}," * 40_000 + b"{}]")
    error = failure(opened(), request())
    assert (type(error), str(error)) == (Malformed, "response with more than 40,000 objects")


@pytest.mark.parametrize("address", ["", "http://[::1", "nonsense://x"])
def test_a_url_that_cannot_be_used_is_our_own_mistake(address):
    """The vendor is not to blame."""
    error = failure(opened(address), request())
    assert (type(error), str(error)) == (ClientError, "the URL cannot be used")


@pytest.mark.parametrize(
    ("secret", "failing"), [({"token": "gone"}, "token"), ({"address": "gone"}, "URL")]
)  # fmt: skip
def test_a_secret_that_cannot_be_read_is_a_refusal(tmp_path, secret, failing):
    """The target waits for the file, as it waits for better credentials."""
    (name,) = secret
    values = {"address": VENDOR, "token": None, name: Secret(file=tmp_path / "gone")}
    session = Session(Settings.model_construct(collector="c", account="a", **values), lambda: 0.0)
    error = failure(session, request())
    assert isinstance(error, Refused)
    assert failing in str(error)
    assert session.credentials() == ""


def test_no_message_holds_a_secret():
    """Whatever goes wrong with a secret URL and a token, neither is repeated, nor in the chain of causes."""
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
        ("http://v/s?t=1&t=2&u", "", (("t", "3"), ("t", "4")), "http://v/s?u&t=3&t=4"),
        ("http://v/s#part", "/x", (), "http://v/s/x"),
    ],
)
def test_a_request_is_located_below_the_base_url(base, path, params, url):
    """The base's own query stays to the letter, except for what the ask's params replace."""
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
        (204, {}, Malformed, None),
        (999, {}, Malformed, None),
    ],
)
def test_a_status_means_one_kind_of_error(status, headers, kind, retry_after):
    """Retry-After is read as seconds or as a date, from the moment of asking."""
    with pytest.raises(PollError) as caught:
        check(request(), Response(1000.0, status, b"", headers))
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", None) == retry_after


@pytest.mark.parametrize("status", [200, 418])
def test_200_and_what_the_request_names_are_answers(status):
    """PacketVis answers 418 with a body."""
    check(request(expected_statuses=frozenset({418})), Response(0.0, status, b""))


def test_every_error_below_http_is_an_outcome():
    """The words are the transport's, the reason is the label of a metric."""
    below = [one for one in vars(http_errors).values() if isinstance(one, type) and issubclass(one, HttpError)]
    reasons = {one.reason for one in below if one is not HttpError}
    assert reasons == {"timeout", "connect", "tls", "client_error", "malformed"}
    assert set(below) - {HttpError} == {TimedOut, ConnectFailed, TlsFailed, ClientError, Malformed}
    assert all(issubclass(one, PollError) for one in below)
