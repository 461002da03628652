"""The one HTTP server: a thread per connection, so a hung one holds up nobody else."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

from tests.sandbox import wire
from tests.sandbox.bigpanda.api import BigPandaApi
from tests.sandbox.certificates import Certificates
from tests.sandbox.control import Control
from tests.sandbox.exchange import Api, Reply, Request, answer
from tests.sandbox.faults import Faults
from tests.sandbox.limits import Limits
from tests.sandbox.local_server import LocalServer
from tests.sandbox.packetvis import PacketVisApi
from tests.sandbox.settings import Settings
from tests.sandbox.thousandeyes.api import ThousandEyesApi
from tests.sandbox.traffic import Traffic
from tests.sandbox.vigilmon.api import VigilmonApi
from tests.sandbox.world import World

CLOCK = time.time


class Sandbox:
    """Every vendor's API below one URL: `with Sandbox() as sandbox: sandbox.url`.

    `listen` is (host, port), port 0 a free one; `clock` gives epoch seconds and may be a test's own.
    """

    def __init__(
        self,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        clock: Callable[[], float] = CLOCK,
        settings: Settings | None = None,
    ) -> None:
        self.clock = clock
        self.settings = settings or Settings()
        self._first_settings = asdict(self.settings)
        self.world = World(clock, self.settings)
        self.faults = Faults(clock)
        self.traffic = Traffic(clock)
        self.limits = Limits()
        self.certificates = Certificates(clock)
        self.stopping = threading.Event()
        self.apis: dict[str, Api] = {
            "vigilmon": VigilmonApi(self.world.vigilmon, self.settings.vigilmon, self.limits, clock),
            "thousandeyes": ThousandEyesApi(self.world.thousandeyes, self.settings.thousandeyes, self.limits, clock),
            "packetvis": PacketVisApi(self.world.packetvis, self.settings.packetvis, self.limits, clock),
            "bigpanda": BigPandaApi(self.world.bigpanda, self.settings.bigpanda, self.limits, clock),
        }
        self.control = Control(self)
        self._server = _Server(listen, self)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Without a slash at the end; add `/vigilmon/api/v1`, `/thousandeyes/v7` and so on."""
        return f"http://{self._server.server_address[0]!s}:{self.port}"

    def base_url(self, vendor: str) -> str:
        """Tell what a client of `vendor` is configured with; PacketVis' is the whole URL with its secrets."""
        return self.url + self.apis[vendor].base_path

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sandbox")
        self._thread.start()

    def close(self) -> None:
        """Stop serving: hung connections are let go, outbound webhooks given up, TLS endpoints closed."""
        self.stopping.set()
        if self._thread:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()
        self.world.close()
        self.certificates.close()

    def reset(self) -> None:
        """No faults, no counts, an empty world with the credentials and limits it began with."""
        self.faults.clear()
        self.traffic.forget()
        self.limits.forget()
        self.settings.change(self._first_settings)
        self.world.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(LocalServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, listen: tuple[str, int], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._lock = threading.Lock()
        self._open: dict[Any, threading.Thread] = {}
        self._aborted: set[Any] = set()
        super().__init__(listen, _Handler)

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which can take seconds."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)

    def abort(self, connection: Any) -> None:
        """Close with RST instead of FIN."""
        wire.linger_none(connection)
        with self._lock:
            self._aborted.add(connection)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            aborted = request in self._aborted
            self._aborted.discard(request)
        if aborted:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every open connection and wait for its thread."""
        with self._lock:
            open_now = dict(self._open)
        for connection, thread in open_now.items():
            with contextlib.suppress(OSError):
                wire.hang_up(connection)
            thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name http.server gives it
        """Log nothing: requests are counted."""

    def _serve(self) -> None:
        sandbox = cast(_Server, self.server).sandbox
        parts = urlsplit(self.path)
        prefix, _, below = parts.path.lstrip("/").partition("/")
        request = Request(
            method=self.command,
            path="/" + below,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            peer=str(self.client_address[0]),
        )
        if prefix in sandbox.apis:
            self._serve_vendor(sandbox, prefix, request)
        else:
            known = prefix == "control"
            self.send(sandbox.control.answer(request) if known else answer(404, {"error": "no vendor has this path"}))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  the names http.server calls

    def _serve_vendor(self, sandbox: Sandbox, vendor: str, request: Request) -> None:
        api = sandbox.apis[vendor]
        sandbox.traffic.arrived(vendor, api.template(request.path), request)
        fault = sandbox.faults.strike(vendor, request.path, request.method, request.body)
        status: int | None = None
        try:
            status = wire.carry_out(self, fault, lambda: api.answer(request), api.unauthorized, sandbox)
        finally:
            sandbox.traffic.ended(vendor, status, fault.kind if fault else None)

    def send(self, reply: Reply) -> None:
        """Head and body in one write."""
        self.wfile.write(self.head(reply, len(reply.body)) + (b"" if self.command == "HEAD" else reply.body))

    def head(self, reply: Reply, length: int) -> bytes:
        """Give the status line and headers, for a body of `length` bytes."""
        self.send_response_only(reply.status)
        self.send_header("Date", self.date_time_string())
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(length))
        lines = b"".join(cast(Any, self)._headers_buffer) + b"\r\n"
        cast(Any, self)._headers_buffer = []
        return lines

    def abort(self) -> None:
        """Reset the connection; nothing more is said on it."""
        self.close_connection = True
        cast(_Server, self.server).abort(self.connection)
