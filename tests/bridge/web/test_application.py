import gzip

import pytest

from bridge.metrics import Metrics
from bridge.web.application import create_app
from bridge.web.health import health
from exporter.toolkit.config_types import ConfigError


@pytest.fixture
def state():
    return {"ready": True, "reload": None}


@pytest.fixture
def client(state):
    def reload():
        if state["reload"]:
            raise state["reload"]

    app = create_app([health(Metrics().registry, lambda: state["ready"], reload)])

    @app.get("/broken")
    def broken():
        raise RuntimeError("the token is tok-1")

    return app.test_client()


TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4", TEXT),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/json", TEXT),
    ],
)
def test_metrics_have_the_requested_format(client, accept, kind):
    """Text or OpenMetrics, by q value."""
    answer = client.get("/metrics", headers={"Accept": accept} if accept else {})
    assert answer.content_type == kind
    assert answer.data.endswith(b"# EOF\n") == (kind == OPENMETRICS)


def test_metrics_are_compressed_on_request(client):
    """Plain otherwise; HEAD has no body."""
    packed = client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert b"vendorwatch_bridge_destination_up" in gzip.decompress(packed.data)
    assert "Content-Encoding" not in client.get("/metrics").headers
    assert client.head("/metrics").data == b""


def test_ready_follows_the_database(client, state):
    """200 while the database is writable, 503 otherwise; healthy throughout."""
    assert client.get("/-/ready").status_code == 200
    state["ready"] = False
    assert client.get("/-/ready").status_code == 503
    assert client.get("/-/healthy").status_code == 200


@pytest.mark.parametrize("method", ["post", "put"])
def test_reload_over_http(client, state, method):
    """A valid file is used; an invalid one is rejected with each problem."""
    assert getattr(client, method)("/-/reload").status_code == 200
    state["reload"] = ConfigError(["bigpanda.url: missing", "receivers: missing"])
    answer = getattr(client, method)("/-/reload")
    assert answer.status_code == 500
    assert b"bigpanda.url: missing\nreceivers: missing\n" in answer.data


def test_reload_must_be_enabled():
    """By --web.enable-lifecycle."""
    client = create_app([health(Metrics().registry, lambda: True, None)]).test_client()
    assert client.post("/-/reload").status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/nothing", 404),
        ("post", "/metrics", 405),
        ("get", "/-/reload", 405),
        ("get", "/metrics/", 200),
        ("delete", "/metrics", 405),
        ("get", "/broken", 503),
    ],
)
def test_errors_are_one_line_of_text(client, method, path, status):
    """An internal error's text is never shown."""
    answer = getattr(client, method)(path)
    assert answer.status_code == status
    assert b"tok-1" not in answer.data
    if status != 200:
        assert answer.mimetype == "text/plain"
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize(("query", "status"), [("key=%00", 400), ("q=a%00b", 400), ("key=%2500", 200)])
def test_a_query_with_a_nul_is_a_bad_request(client, query, status):
    """PostgreSQL would fail on it; a percent sign before two zeros is none."""
    answer = client.get(f"/-/healthy?{query}")
    assert (answer.status_code, b"NUL" in answer.data) == (status, status == 400)
