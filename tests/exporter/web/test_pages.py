"""The pages served over HTTP."""

import gzip
from dataclasses import replace

import pytest

from exporter.collectors.contract import Figure
from exporter.metrics.exporter_metrics import Running
from exporter.polling.page_cache import PageCache
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.exposition import OPENMETRICS, TEXT
from exporter.web.pages import application
from tests.exporter.health import HEALTH
from tests.exporter.web.serving import asked
from tests.toolkit.test_exposition import PROMETHEUS


class Target:
    def __init__(self, health, figure="3 down: <b>shop</b>"):
        self.health = lambda: health
        self.figures = lambda: [Figure(figure, bad=True)]


class Served(PageCache):
    """An exposition whose targets are only their health."""

    def __init__(self, *healths):
        super().__init__(lambda: 1000.0, Running("1.2.3"))
        self.targets = [Target(health) for health in healths]

    def pollers(self):
        return self.targets


def request(web, path="/metrics", method="GET", **headers):
    """Return the status, the headers and the body of an answer; `Date` moves between two of them."""
    status, got, body = asked(web, path, method, **headers)
    assert got.pop("Date")
    return status, got, body


@pytest.mark.parametrize(("accept", "content_type"), [("", TEXT), (PROMETHEUS, OPENMETRICS)])
def test_page_has_the_requested_format_and_encoding(accept, content_type):
    """With content type, length and Vary."""
    web = application(Served(HEALTH), None)
    status, headers, plain = request(web, accept=accept)
    assert (status, headers["Content-Type"], headers["Content-Length"]) == ("200 OK", content_type, str(len(plain)))
    assert headers["Vary"] == "Accept, Accept-Encoding"
    _, headers, packed = request(web, accept=accept, accept_encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed).startswith(b"# HELP vendorwatch_poll_success ")
    assert plain.endswith(b"# EOF\n") == (content_type == OPENMETRICS)


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
def test_head_has_the_headers_of_get(path):
    """And no body."""
    web = application(Served(HEALTH), None)
    status, headers, body = request(web, path, "GET")
    assert int(headers["Content-Length"]) == len(body) > 0
    without_body = request(web, path, "HEAD")
    if path == "/metrics":  # figures of the process move between two requests, and with them the length
        headers.pop("Content-Length")
        assert int(without_body[1].pop("Content-Length")) > 0
    assert without_body == (status, headers, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing", "404 Not Found", None),
        ("POST", "/nothing", "404 Not Found", None),
        ("GET", "/metrics/", "404 Not Found", None),
        ("POST", "/metrics", "405 Method Not Allowed", "GET, HEAD"),
        ("DELETE", "/", "405 Method Not Allowed", "GET, HEAD"),
        ("PUT", "/-/healthy", "405 Method Not Allowed", "GET, HEAD"),
        ("GET", "/-/reload", "405 Method Not Allowed", "POST, PUT"),
    ],
)
def test_anything_else_is_404_or_405(method, path, status, allow):
    """405 lists the allowed methods. Neither is stored on its way or taken for a page."""
    got, headers, _ = request(application(Served(HEALTH), None), path, method)
    assert (got, headers.get("Allow")) == (status, allow)
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    ("healths", "status", "expected"),
    [
        ([HEALTH], "200 OK", b"vendorwatch-exporter is ready.\n"),
        ([], "200 OK", b"vendorwatch-exporter is ready.\n"),
        (
            [HEALTH, replace(HEALTH, account="corp", first_poll_ended=False)],
            "503 Service Unavailable",
            b"Not ready, first poll not ended: demo corp\n",
        ),
    ],
)
def test_ready_once_every_first_poll_has_ended(healths, status, expected):
    """Before that, it names the awaited targets; the exporter is healthy throughout."""
    web = application(Served(*healths), None)
    assert request(web, "/-/ready")[::2] == (status, expected)
    assert request(web, "/-/healthy")[0] == "200 OK"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_reload_answers_when_it_is_done(method):
    """200 once the new configuration is used."""
    reloaded = []
    assert request(application(Served(), lambda: reloaded.append(1)), "/-/reload", method)[0] == "200 OK"
    assert reloaded == [1]


def test_reload_of_an_invalid_file_is_500():
    """With every problem."""

    def reload():
        raise ConfigError(["targets: missing", "a: unknown key"])

    status, _, body = request(application(Served(), reload), "/-/reload", "POST")
    assert (status, body) == (
        "500 Internal Server Error",
        b"Reload failed, keeping the current configuration:\ntargets: missing\na: unknown key\n",
    )


def test_reload_is_forbidden_unless_it_is_enabled():
    """As in Prometheus."""
    status, _, body = request(application(Served(), None), "/-/reload", "POST")
    assert (status, body) == ("403 Forbidden", b"Lifecycle API is not enabled: needs --web.enable-lifecycle\n")


def test_status_page_shows_each_target():
    """State, summary, age, problems, next poll and budget; as HTML without scripts."""
    failing = replace(
        HEALTH,
        account="corp",
        success=False,
        reason="/a: auth: 401",
        problems=tuple(f"/{number}: server_error: 503" for number in range(7)),
        last_error="timeout: no answer",
        last_error_at=990.0,
    )
    paused = replace(HEALTH, account="edge", paused_until=1060.0, paused_reason="rate_limited", truncated=True)
    fresh = replace(HEALTH, account="new", success=None, last_success=None, next_poll=None)
    web = application(Served(HEALTH, failing, paused, fresh), None, clock=lambda: 1000.0)
    _, headers, body = request(web, "/")
    page = body.decode()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for shown in ("demo prod", "up to date", "1m 40s", "in 10s", "25%", "failing", "timeout: no answer", "10s ago"):
        assert shown in page
    for shown in ("paused", "rate_limited", "(incomplete)", "not yet polled", "unknown"):
        assert shown in page
    for shown in ("3 down: &lt;b&gt;shop", "/a: auth: 401", "/4: server_error: 503", "and 2 more"):
        assert shown in page
    assert "/5: server_error" not in page
    assert "<script" not in page


def test_status_page_escapes_untrusted_text():
    """An account or an error is text, whatever it contains."""
    hostile = replace(HEALTH, account="<script>alert(1)</script>", last_error='<img src="x">&', last_error_at=1.0)
    page = request(application(Served(hostile), None), "/")[2].decode()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_status_page_shows_names_as_they_are():
    """A change of the text's direction would turn around the rest of the line; what is endless is cut."""
    served = Served()
    served.targets = [Target(HEALTH, f"2 down: \u202egnp.exe, {'x' * 3000}")]
    page = request(application(served, None), "/")[2].decode()
    assert "2 down: \\u202egnp.exe, xxx" in page
    assert "x…</li>" in page
    assert "x" * 1000 not in page
