"""A small Alertmanager over HTTP: it knows what a test says, and nothing else."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.sandbox.local_server import LocalServer

STATUS = {"uptime": "2020-01-01T00:00:00Z", "versionInfo": {"version": "0.35.0"}, "cluster": {"status": "ready"}}


@contextmanager
def alertmanager_with(**known):
    """Serve lists by their names below /api/v2, empty ones for the others; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0].removeprefix("/api/v2/")
            content = json.dumps({"status": STATUS, **known}.get(path, [])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with LocalServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
