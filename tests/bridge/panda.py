"""A small BigPanda over HTTP, for the tests of the bridge alone."""

import json
import threading
from http.server import BaseHTTPRequestHandler

from tests.sandbox.local_server import LocalServer


class Panda:
    """Takes events at `url`, and notes each. `status` answers while set; `held` makes requests hang."""

    def __init__(self):
        self.events = []
        self.requests = []
        self.status = None
        self.words = {}
        self.flowing = threading.Event()
        self.flowing.set()
        self.token = "bp-token"
        self._seen = set()
        self._lock = threading.Lock()
        panda = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                panda.flowing.wait(60)
                status, words = panda.take(self.headers.get("Authorization"), json.loads(content))
                answer = json.dumps(words).encode() if words else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = LocalServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/data/v2/alerts"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def take(self, authorization, request):
        with self._lock:
            self.requests.append(request)
            if authorization != f"Bearer {self.token}":
                return 401, {"status": 401, "errors": ["unauthorized"]}
            if self.status:
                return self.status, self.words
            if not request["alerts"]:
                return 400, {"status": 400, "errors": ["alerts: empty"]}
            fresh = [event for event in request["alerts"] if json.dumps(event, sort_keys=True) not in self._seen]
            self._seen |= {json.dumps(event, sort_keys=True) for event in fresh}
            self.events += fresh
            return (201, {}) if fresh else (204, None)

    def statuses(self, key):
        return [event["status"] for event in self.events if event["incident_identifier"] == key]

    def close(self):
        self.flowing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
