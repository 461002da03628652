"""The endpoints of every program, before the program's own application."""

import gzip

import pytest
import requests

from exporter.toolkit import management
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.exposition import OPENMETRICS, TEXT
from exporter.toolkit.front import Lane, Route
from exporter.toolkit.management import Management
from exporter.toolkit.wsgi import plain


def page(*, openmetrics, packed):
    text = b"up 1\n" + b"# EOF\n" * openmetrics
    return [gzip.compress(text)] if packed else [text[:2], text[2:]]


@pytest.fixture
def ask(serve):
    """Return one request's response of a program; what it waits for and how it reloads may be given."""

    def asked(method, path, *, waiting="", reload=None, **headers):
        managed = Management("demo", lambda _environ: plain(200, "own"), page, lambda: waiting, reload)
        missing = {"/nothing": "not found"}
        way = lambda path: management.route(path, Lane.SIDE) or Route(path=path, missing=missing.get(path, ""))  # noqa: E731
        address = serve(answering=managed, route=way).address
        given = {"Accept": None, "Accept-Encoding": None} | {name.replace("_", "-"): headers[name] for name in headers}
        return requests.request(method, "http://{}:{}".format(*address) + path, headers=given, timeout=30)

    return asked


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, TEXT),
        ("*/*", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4", TEXT),
    ],
)
def test_metrics_have_the_requested_format_and_encoding(ask, accept, kind):
    """Text or OpenMetrics, by q value, plain or gzipped. HEAD has no body."""
    plain_page, packed = (
        ask("GET", "/metrics", Accept=accept),
        ask("GET", "/metrics", Accept=accept, Accept_Encoding="gzip"),
    )
    assert plain_page.headers["Content-Type"] == packed.headers["Content-Type"] == kind
    assert plain_page.content == packed.content == b"up 1\n" + b"# EOF\n" * (kind == OPENMETRICS)
    assert (plain_page.headers.get("Content-Encoding"), packed.headers["Content-Encoding"]) == (None, "gzip")
    assert ask("HEAD", "/metrics", Accept=accept).content == b""


def test_ready_unless_it_waits_for_something(ask):
    """503 says for what; it is healthy throughout."""
    assert (ask("GET", "/-/ready").status_code, ask("GET", "/-/ready").text) == (200, "demo is ready.\n")
    answer = ask("GET", "/-/ready", waiting="the database cannot be written")
    assert (answer.status_code, answer.text) == (503, "Not ready, the database cannot be written\n")
    assert ask("GET", "/-/healthy", waiting="the database cannot be written").text == "demo is healthy.\n"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_reload_over_http(ask, method):
    """A valid file is used; an invalid one is rejected with each problem; it must be enabled."""

    def failing():
        raise ConfigError(["bigpanda.url: missing", "receivers: missing"])

    reloads = []
    assert ask(method, "/-/reload", reload=lambda: reloads.append(1)).status_code == 200
    assert reloads == [1]
    answer = ask(method, "/-/reload", reload=failing)
    assert answer.status_code == 500
    assert answer.text.endswith(":\nbigpanda.url: missing\nreceivers: missing\n")
    answer = ask(method, "/-/reload")
    assert (answer.status_code, "--web.enable-lifecycle" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 200, None),
        ("GET", "/nothing", 404, None),
        ("POST", "/metrics", 405, "GET, HEAD"),
        ("DELETE", "/-/ready", 405, "GET, HEAD"),
        ("GET", "/-/reload", 405, "POST, PUT"),
    ],
)
def test_all_else_is_the_programs(ask, method, path, status, allow):
    """405 lists the allowed methods."""
    answer = ask(method, path)
    assert (answer.status_code, answer.headers.get("Allow")) == (status, allow)
    assert (answer.text == "own\n") == (path == "/")
