"""One TLS handshake as a client would make it, completed whatever is wrong with the certificate.

Uses pyOpenSSL because, on every Python, it shows the certificates that the server sent, even if the handshake fails
afterwards, and OpenSSL's objections to them, without a second connection.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509StoreFlags

from exporter.collectors.contract import Probe
from exporter.fetch.name_resolution import to_ascii
from exporter.fetch.starttls import remaining

MOST_BYTES: Final = 1_000_000
VERDICT: Final = 1.0
"""Seconds to wait, with TLS 1.3, for the server's alert about our client certificate, or our lack of one."""
Hello = Literal["current", "short", "old"]
"""The client's first message: that of current clients, one without the keys of TLS 1.3, or one for old servers."""
ATTEMPTS: Final[tuple[tuple[Hello, float], ...]] = (("current", 0.7), ("short", 1.0), ("old", 1.0))
"""The attempts at a handshake, each with the share of the timeout by which it must have ended.

With post-quantum keys the first message is longer than a packet: some servers and firewalls then drop the connection,
or never answer. Others have no protocol or cipher in common with current clients, but dates too.
"""
T = TypeVar("T")


@dataclass(slots=True)
class Handshake:
    """The result of a handshake."""

    chain: tuple[x509.Certificate, ...] = ()
    """As sent, its own certificate first; if it is trusted, without what it does not need, as a cross-signed root."""
    verify_code: int = 0
    """OpenSSL's first objection (X509_V_ERR_…) to the chain, not counting the name; 0: none."""
    asks_for_certificate: bool = False
    error: Exception | None = None
    """Why it failed, or the server's alert right after it; None on success."""
    unreadable: list[str] = field(default_factory=list)
    """Our own files that could not be used."""


def shake_hands(plain: socket.socket, request: Probe, ca_file: str | None, deadline: float, hello: Hello) -> Handshake:
    """Do a handshake on `plain` by `deadline`. Raises UnicodeError for an impossible name.

    Without `ca_file` the system's roots are trusted.
    """
    shown = Handshake()
    context = _context(request, ca_file, shown, hello)

    def object_to(_connection: SSL.Connection, _certificate: Any, code: int, _depth: int, ok: int) -> bool:
        if not ok and not shown.verify_code:
            shown.verify_code = code
        return True  # an invalid certificate has dates too

    def follow(connection: SSL.Connection, _where: int, _result: int) -> None:
        if b"certificate request" in connection.get_state_string():
            shown.asks_for_certificate = True

    context.set_verify(SSL.VERIFY_PEER, object_to)
    context.set_info_callback(follow)
    connection = SSL.Connection(context)
    try:
        ipaddress.ip_address(request.to.server_name)  # no SNI for an address
    except ValueError:
        # RFC 6066: without the trailing dot
        connection.set_tlsext_host_name(to_ascii(request.to.server_name).removesuffix(".").encode())
    connection.set_connect_state()
    try:
        _carry(connection.do_handshake, connection, plain, deadline)
        if shown.asks_for_certificate:
            # An alert means that the client certificate, or its absence, is rejected. Silence means it is accepted.
            with suppress(TimeoutError, SSL.ZeroReturnError):
                _carry(lambda: connection.recv(1), connection, plain, min(deadline, time.monotonic() + VERDICT))
    except (SSL.Error, OSError, EOFError) as error:
        shown.error = error
    shown.chain = tuple(connection.get_peer_cert_chain(as_cryptography=True) or ())
    if not shown.verify_code and (needed := connection.get_verified_chain(as_cryptography=True)):
        shown.chain = tuple(sent for sent in shown.chain if sent in needed)
    return shown


def _context(request: Probe, ca_file: str | None, shown: Handshake, hello: Hello) -> SSL.Context:
    """Return the TLS context; `shown` records which of our files cannot be used."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION if hello == "old" else SSL.TLS1_2_VERSION)
    if hello != "current":
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    if hello == "old":
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_options(ssl.OP_LEGACY_SERVER_CONNECT if hasattr(ssl, "OP_LEGACY_SERVER_CONNECT") else 0x4)
    # The roots that truststore uses, so that a probe trusts the same as the API client; SSL_CERT_FILE is honoured.
    system = ssl.get_default_verify_paths()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
            if store := context.get_cert_store():  # an intermediate authority may be named without its root
                store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
        except SSL.Error:
            shown.unreadable.append("ca_file")
    elif system.cafile or system.capath:
        for file, folder in ((system.cafile, None), (None, system.capath)):
            with suppress(SSL.Error):  # there is none, or no root in it: the API client trusts those of the other
                context.load_verify_locations(file, folder)
    else:
        context.set_default_verify_paths()
    if request.client_certificate:
        cert_file, key_file = request.client_certificate
        try:
            context.use_certificate_chain_file(cert_file)
            # Not use_privatekey_file: OpenSSL would prompt on the terminal for the password of an encrypted key.
            key: Any = load_pem_private_key(Path(key_file).read_bytes(), None)
            context.use_privatekey(key)
        except (OSError, ValueError, TypeError, SSL.Error):
            shown.unreadable.append("client_cert_file or client_key_file")
    return context


def _carry(act: Callable[[], T], connection: SSL.Connection, plain: socket.socket, deadline: float) -> T:
    """Return the result of `act` once enough has arrived. Raises TimeoutError, EOFError, OSError, SSL.Error."""
    total = 0
    while True:
        try:
            return act()
        except SSL.WantReadError:
            pass
        finally:  # an alert, too
            with suppress(SSL.WantReadError):
                while written := connection.bio_read(65_536):
                    plain.settimeout(remaining(deadline))
                    plain.sendall(written)
        plain.settimeout(remaining(deadline))
        received = plain.recv(65_536)
        total += len(received)
        if not received:
            raise EOFError
        if total > MOST_BYTES:
            raise ConnectionError(f"more than {MOST_BYTES} bytes of handshake")
        connection.bio_write(received)
