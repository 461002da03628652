"""Every way out of the bridge leads through the proxy that its own section names."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bridge.config import read
from bridge.delivery.bigpanda_client import BigPanda
from bridge.delivery.integration_api import IntegrationApi
from bridge.errors import DeliveryError, Unanswered
from bridge.incidents.callback import CallbackService
from bridge.incidents.silence_client import SilenceApi
from bridge.reconcile.alertmanager_client import AlertmanagerApi


@pytest.fixture
def proxy():
    """Give a proxy that notes what it is asked for and refuses it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def refuse(self):
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(502)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = refuse  # noqa: N815  the server's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def config(proxy_url):
    """Read a bridge.yml in which everything is reached through a proxy."""
    return read(
        {
            "database": "sqlite:////tmp/never-opened.db",
            "bigpanda": {
                "url": "http://panda.test/data/v2/alerts",
                "app_key": "a",
                "token": "t",
                "proxy_url": proxy_url,
                "confirm": {"api_key": "k"},
            },
            "receivers": [
                {
                    "receiver": "alertmanager",
                    "source": "prod",
                    "reconcile": {"urls": ["http://am.test"], "proxy_url": proxy_url},
                },
                {
                    "receiver": "bigpanda",
                    "source": "panda",
                    "headers": {"x": "y"},
                    "callback": {"url": "http://back.test/", "api_key": "k", "app_key": "a", "proxy_url": proxy_url},
                    "silences": {"alertmanager": "http://quiet.test", "proxy_url": proxy_url},
                },
            ],
        }
    )


def test_every_connection_uses_its_proxy(proxy):
    """The Alerts API, the confirmation, the reconciler, the callback and the silences."""
    url, asked = proxy
    read_config = config(url)
    alertmanager, panda = read_config.receivers
    found = read_config.bigpanda
    bigpanda = BigPanda(found)
    with pytest.raises(DeliveryError):
        bigpanda.send([], "a")
    confirmation = IntegrationApi(found, found.confirm)
    with pytest.raises(DeliveryError):
        next(confirmation.alerts("a", 0.0))
    callback = CallbackService(panda.callback)
    with pytest.raises(DeliveryError):
        callback.confirm("i")
    silences = SilenceApi(panda.silences, "owner")
    with pytest.raises(DeliveryError):
        silences.ours()
    reconciler = AlertmanagerApi(alertmanager)
    assert isinstance(reconciler.ask(0.0)[0], Unanswered)
    for client in (bigpanda, confirmation, callback, silences, reconciler):
        client.close()
    assert [path.partition("?")[0] for path in asked] == [
        "http://panda.test/data/v2/alerts",
        "http://panda.test/resources/v2.1/integration-alerts",
        "http://back.test/",
        "http://quiet.test/api/v2/silences",
        "http://am.test/api/v2/status",
    ]
