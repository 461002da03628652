"""Whom a request is for and whether it may come in, by its path and headers."""

import base64

import pytest

from bridge.receivers import alertmanager, alerts_api, bigpanda, vigilmon
from bridge.web.routes import authenticated, route
from exporter.toolkit.front import Lane


def settings(module, **more):
    name = module.__name__.rpartition(".")[2]
    return module.Settings.model_validate({"receiver": name, "source": "prod", **more})


BEARER = settings(alertmanager, bearer_token="Tok 1", username="am", password="p w")
SECRET = settings(vigilmon, secret="Word rest")
HEADERS = settings(bigpanda, headers={"x-api-key": "Key k", "x-more": "m"})
PAIR = base64.b64encode(b"am:p w")


@pytest.mark.parametrize(
    ("found", "headers", "admitted"),
    [
        (BEARER, [(b"authorization", b"Bearer Tok 1")], True),
        (BEARER, [(b"authorization", b"bEARER  Tok 1 ")], True),
        (BEARER, [(b"authorization", b"Basic " + PAIR)], True),
        (BEARER, [(b"authorization", b"basic " + PAIR)], True),
        (BEARER, [(b"authorization", b"Bearer tok 1")], False),
        (BEARER, [(b"authorization", b"Bearer Tok 1"), (b"authorization", b"Bearer Tok 1")], False),
        (BEARER, [(b"authorization", b"Bearer x"), (b"authorization", b"Bearer Tok 1")], False),
        (BEARER, [(b"authorization", b"Bearer \xe9")], False),
        (BEARER, [(b"authorization", b"")], False),
        (BEARER, [], False),
        (SECRET, [(b"x-vigilmon-secret", b"Word rest")], True),
        (SECRET, [(b"x-vigilmon-secret", b"word rest")], False),
        (SECRET, [(b"x_vigilmon_secret", b"Word rest")], False),
        (SECRET, [(b"x-vigilmon-secret", b"Word rest"), (b"x-vigilmon-secret", b"Word rest")], False),
        (HEADERS, [(b"x-api-key", b"Key k"), (b"x-more", b"m")], True),
        (HEADERS, [(b"x-api-key", b"key k"), (b"x-more", b"m")], False),
        (HEADERS, [(b"x-api-key", b"Key k")], False),
    ],
)
def test_credentials_must_match_exactly(found, headers, admitted):
    """Except for the case of the scheme; from a single header of that name."""
    assert authenticated(found, headers) is admitted


def test_token_in_the_query_is_for_the_alerts_api_alone():
    """Others would have their secrets in a proxy's log for nothing."""
    assert not authenticated(BEARER, [], b"access_token=Tok%201")
    assert authenticated(settings(alerts_api, bearer_token="Tok 1"), [], b"a&access_token=Tok+1")


def test_path_determines_limits_and_credentials():
    """Prometheus' paths do not wait for webhooks."""
    bare = settings(alertmanager)
    receivers = {("alertmanager", "prod"): BEARER, ("alertmanager", "bare"): bare}
    found = route("//webhooks/alertmanager//prod/", receivers, 7)
    assert (found.path, found.max_body, found.receiver) == ("/webhooks/alertmanager/prod", 7, "alertmanager/prod")
    assert (found.methods, found.missing, found.lane) == (("POST",), "", Lane.BRIEF)
    assert found.admits([(b"authorization", b"Bearer Tok 1")], b"")
    assert not found.admits([], b"")
    assert route("/webhooks/alertmanager/bare", receivers, 7).admits is None
    served = [route(path, receivers, 7) for path in ("/-/healthy", "/metrics/", "/-/ready", "/-/reload", "/")]
    assert [(each.path, each.methods, each.lane) for each in served] == [
        ("/-/healthy", ("GET", "HEAD"), Lane.LOOP),
        ("/metrics", ("GET", "HEAD"), Lane.SIDE),
        ("/-/ready", ("GET", "HEAD"), Lane.SIDE),
        ("/-/reload", ("POST", "PUT"), Lane.POOL),
        ("/", (), Lane.POOL),
    ]
    for path in ("/webhooks", "/webhooks/alertmanager", "/webhooks/alertmanager/other", "/webhooks/a/b/c"):
        assert route(path, receivers, 7).missing


@pytest.mark.parametrize("path", ["//-/reload", "/-//reload", "/-/reload/"])
def test_reload_has_one_path(path):
    """A proxy that forbids it would let the others pass."""
    assert route(path, {}, 7).missing == "not found"
