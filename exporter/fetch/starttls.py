"""The STARTTLS dialogues that prepare a plain connection for TLS, bounded in bytes and time."""

import ipaddress
import socket
import time
from typing import Final
from xml.sax.saxutils import quoteattr

from exporter.collectors.contract import StartTls

MOST_BYTES: Final = 65_536
"""Most bytes that a server may send before TLS."""
_XMPP_ENDS: Final = (b"</stream:features>", b"</features>", b"features/>", b"</stream:error>")
"""The ends of what an XMPP server says first."""


class StartTlsRefused(Exception):
    """The server refuses to start TLS."""


class Dialogue:
    """The plaintext dialogue before TLS, until `deadline` (`time.monotonic`)."""

    def __init__(self, plain: socket.socket, server_name: str, deadline: float) -> None:
        self.plain = plain
        self.server_name = server_name
        self._deadline = deadline
        self.unread = b""
        self._received = 0

    def send(self, words: bytes) -> None:
        """Send `words`."""
        self.plain.settimeout(remaining(self._deadline))
        self.plain.sendall(words)

    def until(self, *ends: bytes) -> bytes:
        """Read up to and including the first of `ends`."""
        while not (found := [self.unread.index(end) + len(end) for end in ends if end in self.unread]):
            self._receive()
        return self.exactly(min(found))

    def exactly(self, count: int) -> bytes:
        """Read the next `count` bytes."""
        while len(self.unread) < count:
            self._receive()
        taken, self.unread = self.unread[:count], self.unread[count:]
        return taken

    def _receive(self) -> None:
        self.plain.settimeout(remaining(self._deadline))
        received = self.plain.recv(4096)
        if not received:
            raise StartTlsRefused("the server closed the connection before TLS")
        self.unread += received
        self._received += len(received)
        if self._received > MOST_BYTES:
            raise StartTlsRefused(f"the server sent more than {MOST_BYTES} bytes before TLS")


def remaining(deadline: float) -> float:
    """Return the seconds until `deadline`. Raises TimeoutError once it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def start_tls(protocol: StartTls, plain: socket.socket, server_name: str, deadline: float) -> None:
    """Negotiate TLS on `plain`, up to the handshake. Raises StartTlsRefused with the server's answer."""
    dialogue = Dialogue(plain, server_name, deadline)
    match protocol:
        case "smtp":
            _smtp(dialogue)
        case "ftp":
            _reply(dialogue, b"220")
            dialogue.send(b"AUTH TLS\r\n")
            _reply(dialogue, b"234")
        case "imap":
            _expect(dialogue.until(b"\n"), b"* OK")
            dialogue.send(b"a STARTTLS\r\n")
            while (line := dialogue.until(b"\n")).startswith(b"* "):
                pass
            _expect(line, b"a OK")
        case "pop3":
            _expect(dialogue.until(b"\n"), b"+OK")
            dialogue.send(b"STLS\r\n")
            _expect(dialogue.until(b"\n"), b"+OK")
        case "postgres":
            dialogue.send(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest: its length and its code
            _expect(dialogue.exactly(1), b"S")
        case "ldap":
            _ldap(dialogue)
        case "xmpp":
            _xmpp(dialogue)
    # Plaintext after the server has agreed would be taken for TLS, or may be injected.
    if dialogue.unread:
        raise StartTlsRefused("the server sent plaintext after it agreed to TLS")


def _smtp(dialogue: Dialogue) -> None:
    own = ipaddress.ip_address(dialogue.plain.getsockname()[0])
    literal = f"[IPv6:{own}]" if own.version == 6 else f"[{own}]"  # noqa: PLR2004  the version of IPv6
    _reply(dialogue, b"220")
    dialogue.send(f"EHLO {literal}\r\n".encode())
    if b"STARTTLS" not in _reply(dialogue, b"250").upper():
        raise StartTlsRefused("the server does not offer STARTTLS")
    dialogue.send(b"STARTTLS\r\n")
    _reply(dialogue, b"220")


def _reply(dialogue: Dialogue, code: bytes) -> bytes:
    """Read a reply of one or more lines; only the last has the first one's code without a hyphen after it."""
    while not (line := dialogue.until(b"\n"))[:3].isdigit():
        pass
    reply = line
    while reply[3:4] == b"-" and (line[:3] != reply[:3] or line[3:4] not in b" \r\n"):
        reply += (line := dialogue.until(b"\n"))
    _expect(line, code)
    return reply


def _ldap(dialogue: Dialogue) -> None:
    # ExtendedRequest (RFC 4511, 4.14): message 1, request name 1.3.6.1.4.1.1466.20037
    dialogue.send(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037")
    _expect(dialogue.exactly(1), b"\x30")
    _ber_length(dialogue)
    _expect(dialogue.exactly(3), b"\x02\x01\x01")
    _expect(dialogue.exactly(1), b"\x78")
    rest = dialogue.exactly(_ber_length(dialogue))
    _expect(rest[:3], b"\x0a\x01\x00")  # resultCode: success


def _ber_length(dialogue: Dialogue) -> int:
    first = dialogue.exactly(1)[0]
    return int.from_bytes(dialogue.exactly(first & 0x7F)) if first & 0x80 else first


def _xmpp(dialogue: Dialogue) -> None:
    to = quoteattr(dialogue.server_name)
    dialogue.send(
        f"<?xml version='1.0'?><stream:stream to={to} version='1.0' xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams'>".encode()
    )
    if b"urn:ietf:params:xml:ns:xmpp-tls" not in dialogue.until(*_XMPP_ENDS):
        raise StartTlsRefused("the server does not offer STARTTLS")
    dialogue.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    answer = dialogue.until(b">").lstrip()
    _expect(answer, b"<proceed")
    if not answer.endswith(b"/>"):
        dialogue.until(b"</proceed>")


def _expect(answer: bytes, begins: bytes) -> None:
    if not answer.upper().startswith(begins.upper()):
        text = answer[:80].decode("ascii", "backslashreplace").strip()
        raise StartTlsRefused(f"the server answered {text!r} instead of agreeing to TLS")
