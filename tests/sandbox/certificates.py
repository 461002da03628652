"""Real TLS endpoints on loopback. Each answers a small HTTP page once the handshake is done, except the silent one."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from tests.sandbox.issuer import DAYS, NAME, Issuer
from tests.sandbox.starttls import GREETINGS

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_HANDSHAKE = 30
CHAIN_DAYS = 10.0
"""Days that are left of an `intermediate` unless said otherwise."""
KINDS = (*DAYS, "silent", "plain")


class Endpoint:
    """One listener. `silent` accepts and never answers, `plain` speaks HTTP without TLS.

    `starttls`: it speaks that protocol until the client asks for TLS.
    """

    def __init__(
        self, kind: str, not_after: float | None, context: ssl.SSLContext | None, starttls: str | None = None
    ) -> None:
        self.kind, self.not_after, self.context, self.starttls = kind, not_after, context, starttls
        self.connections = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name=f"endpoint {kind}", daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """As a monitor names it."""
        return f"https://{NAME}:{self.port}/"

    def described(self) -> dict[str, Any]:
        """Tell what `GET /control/certificates` answers of it."""
        endpoint = f"{self.starttls}://{NAME}:{self.port}" if self.starttls else f"{NAME}:{self.port}"
        said = {"kind": self.kind, "port": self.port, "url": self.url, "endpoint": endpoint}
        return {**said, "not_after": self.not_after, "connections": self.connections}

    def close(self) -> None:
        """Stop listening and let every connection go."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                self.connections += 1
                self._open.add(connection)
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                serving = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                serving.start()
                self._threads.append(serving)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                connection.settimeout(None if self.kind == "silent" else _HANDSHAKE)
                self._talk(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _talk(self, connection: socket.socket) -> None:
        if self.kind == "silent":
            while connection.recv(4096):
                pass
        elif self.context is None:
            connection.recv(4096)
            connection.sendall(_PAGE)
        else:
            if self.starttls:
                GREETINGS[self.starttls](connection)
            with self.context.wrap_socket(connection.dup(), server_side=True) as secured:
                if secured.recv(4096):
                    secured.sendall(_PAGE)


class Certificates:
    """The endpoints of one sandbox; none until they are opened."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._issuer: Issuer | None = None
        self.endpoints: list[Endpoint] = []

    @property
    def root_pem(self) -> bytes:
        """The root that signed them all but the self-signed one."""
        with self._lock:
            return self._made_issuer().pem

    def client_pem(self, days: float = 60.0) -> bytes:
        """Return a client certificate that the `client_certificate` kinds accept, with its key."""
        with self._lock:
            return self._made_issuer().client_pem(days)

    def open(
        self,
        kind: str = "good",
        days: float | None = None,
        chain_days: float | None = None,
        starttls: str | None = None,
    ) -> Endpoint:
        """Open an endpoint whose certificate has `days` left (its kind's default unless given).

        `chain_days`: those left of the one that signed it, of kind `intermediate`.
        """
        if kind not in KINDS:
            raise ValueError(f"no such kind: {kind}; there are {', '.join(KINDS)}")
        if starttls and starttls not in GREETINGS:
            raise ValueError(f"no such protocol: {starttls}; there are {', '.join(GREETINGS)}")
        with self._lock:
            endpoint = Endpoint(kind, *self._certificate(kind, days, chain_days), starttls)
            self.endpoints.append(endpoint)
        return endpoint

    def renew(self, port: int, days: float, kind: str = "good", chain_days: float | None = None) -> None:
        """Give the endpoint at `port` another certificate; days may be few or negative."""
        with self._lock:
            endpoint = next((endpoint for endpoint in self.endpoints if endpoint.port == port), None)
            if endpoint is None or endpoint.context is None:
                raise LookupError(f"no certificate at port {port}")
            endpoint.not_after, endpoint.context = self._certificate(kind, days, chain_days)
            endpoint.kind = kind

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            while self.endpoints:
                self.endpoints.pop().close()

    def _certificate(
        self, kind: str, days: float | None, chain_days: float | None
    ) -> tuple[float | None, ssl.SSLContext | None]:
        if kind not in DAYS:
            return None, None
        now = self._clock()
        not_after = float(int(now + (DAYS[kind] if days is None else days) * 86400))
        chain_not_after = float(int(now + (CHAIN_DAYS if chain_days is None else chain_days) * 86400))
        return not_after, self._made_issuer().context(kind, not_after, chain_not_after)

    def _made_issuer(self) -> Issuer:
        if self._issuer is None:
            self._issuer = Issuer()
        return self._issuer
