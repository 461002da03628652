"""`send`: an event from a script on any machine. Exit 0 means that it is durable."""

import json
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from bridge.__main__ import main
from tests.sandbox.local_server import LocalServer


class Bridge:
    """Answers with these statuses, the last one again and again; notes what it is sent."""

    def __init__(self, *statuses):
        self.statuses, self.requests = list(statuses), []
        bridge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bridge.requests.append((self.path, self.headers["Authorization"], body))
                status = bridge.statuses.pop(0) if len(bridge.statuses) > 1 else bridge.statuses[0]
                said = b"" if status in {201, 204} else b'{"errors": ["what is wrong"]}'
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        self._server = LocalServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhooks/alerts_api/cron"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def bridge():
    started = []

    def start(*statuses):
        started.append(Bridge(*statuses))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def send(tmp_path, capsys):
    """Run `send`; return its exit status and what it complained of. There is no bridge.yml on such a machine."""
    (tmp_path / "token").write_text("cron-token\n")

    def run(url, *more):
        arguments = ["--token-file", str(tmp_path / "token"), "--status=critical", "--host=db-1", "--check=backup"]
        status = main(["send", "--url", url, *arguments, *more])
        return status, capsys.readouterr().err

    return run


def test_send_posts_an_event_of_bigpandas_api(bridge, send):
    """With the token, the members, and tags that cannot replace them, under another name; 201 exits with 0."""
    running = bridge(201)
    assert send(running.url, "--description=it failed", "--tag=team=db", "--tag=status=odd") == (0, "")
    ((path, token, body),) = running.requests
    assert (path, token) == ("/webhooks/alerts_api/cron/data/v2/alerts", "Bearer cron-token")
    event = json.loads(body)
    assert isinstance(event.pop("timestamp"), int)
    assert event == {
        "app_key": "vendorwatch", "status": "critical", "host": "db-1", "check": "backup", "description": "it failed",
        "primary_property": "host", "secondary_property": "check", "team": "db",
        "label_status": "odd",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["", "/", "/data/v2/alerts"])
def test_url_may_be_the_base_or_complete(bridge, send, suffix):
    """A duplicate is a success as well."""
    running = bridge(204)
    assert send(running.url + suffix)[0] == 0
    assert running.requests[0][0] == "/webhooks/alerts_api/cron/data/v2/alerts"


def test_503_is_retried_with_the_same_bytes(bridge, send):
    """The retry of a restarting bridge's 503 is no second event."""
    running = bridge(503, 201)
    assert send(running.url, "--timeout=30")[0] == 0
    assert len({body for _, _, body in running.requests}) == 1
    assert len(running.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 200, 302])
def test_other_statuses_fail_at_once(bridge, send, status):
    """With the status, never with the token."""
    running = bridge(status)
    ended, output = send(running.url)
    assert ended == 1
    assert output.startswith(f"send: not accepted: the bridge answered {status}")
    assert "cron-token" not in output
    assert len(running.requests) == 1


def test_unreachable_bridge_fails_after_the_timeout(send):
    """In one line."""
    ended, output = send("http://127.0.0.1:1/webhooks/alerts_api/cron", "--timeout=0.5")
    assert (ended, output.count("\n")) == (1, 1)
    assert output.startswith("send: not accepted: ")


@pytest.mark.parametrize(
    ("url", "more", "output"),
    [
        ("nowhere", (), "send: --url: not a URL"),
        ("http://bridge:9789/webhooks/alerts_api/a?access_token=s3cret", (), "send: --url: must not contain ? or #"),
        ("http://127.0.0.1:1", ("--token-file=/nowhere",), "send: --token-file: cannot read /nowhere: No such file"),
        ("http://127.0.0.1:1", ("--token-file=/dev/null",), "send: --token-file: /dev/null is empty"),
        *(
            ("http://127.0.0.1:1", (f"--timeout={odd}",), f"send: --timeout: {odd}: not a number of seconds")
            for odd in ("nan", "inf", "1e+10", "0", "-1")
        ),
        ("http://127.0.0.1:1", ("--ca-file=/nowhere",), "send: --ca-file: cannot read /nowhere: No such file"),
        ("http://127.0.0.1:1", ("--ca-file=/dev/null",), "send: --ca-file: no certificate authority in PEM form"),
    ],
)
def test_invalid_arguments_are_one_line(send, url, more, output):
    """Status 1, and nothing is sent."""
    ended, complaint = send(url, *more)
    assert ended == 1
    assert complaint.startswith(output)
