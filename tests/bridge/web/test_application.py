import pytest

from bridge.web.application import create_app


@pytest.fixture
def client():
    app = create_app([])

    @app.get("/fine")
    def fine():
        return "fine"

    @app.get("/broken")
    def broken():
        raise RuntimeError("the token is tok-1")

    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/nothing", 404),
        ("post", "/fine", 405),
        ("get", "/fine/", 200),
        ("delete", "/fine", 405),
        ("get", "/broken", 500),
    ],
)
def test_errors_are_one_line_of_text(client, method, path, status):
    """An internal error's text is never shown."""
    answer = getattr(client, method)(path)
    assert answer.status_code == status
    assert b"tok-1" not in answer.data
    assert (answer.data == b"unexpected RuntimeError: see the log\n") is (path == "/broken")
    if status != 200:
        assert answer.mimetype == "text/plain"
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize(("query", "status"), [("key=%00", 400), ("q=a%00b", 400), ("key=%2500", 200)])
def test_a_query_with_a_nul_is_a_bad_request(client, query, status):
    """PostgreSQL would fail on it; a percent sign before two zeros is none."""
    answer = client.get(f"/fine?{query}")
    assert (answer.status_code, b"NUL" in answer.data) == (status, status == 400)
