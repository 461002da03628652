"""The server's side of each dialogue that ends in TLS, as such servers hold it. Each returns when TLS is to begin."""

import socket
from collections.abc import Callable, Mapping
from typing import Final


def _line(connection: socket.socket, *, end: bytes = b"\n") -> bytes:
    line = b""
    while not line.endswith(end):
        received = connection.recv(1)
        if not received:
            raise ConnectionError("the client left")
        line += received
    return line


def _smtp(connection: socket.socket) -> None:
    connection.sendall(b"220-mail.example.com ESMTP\r\n220 ready\r\n")
    while (line := _line(connection).upper()) != b"STARTTLS\r\n":
        known = line.startswith(b"EHLO ")
        connection.sendall(
            b"250-mail.example.com\r\n250-PIPELINING\r\n250 STARTTLS\r\n" if known else b"502 5.5.2 no\r\n"
        )
    connection.sendall(b"220 2.0.0 go ahead\r\n")


def _imap(connection: socket.socket) -> None:
    connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
    while True:
        tag, command = _line(connection).split()[:2]
        connection.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag + b" OK done\r\n")
        if command.upper() == b"STARTTLS":
            return


def _pop3(connection: socket.socket) -> None:
    connection.sendall(b"+OK POP3 ready\r\n")
    while _line(connection) != b"STLS\r\n":
        connection.sendall(b"+OK what I can\r\nSTLS\r\n.\r\n")
    connection.sendall(b"+OK begin TLS\r\n")


def _ftp(connection: socket.socket) -> None:
    connection.sendall(b"220-welcome\r\n and read this\r\n220 ready\r\n")
    connection.sendall(b"234 AUTH TLS accepted\r\n" if _line(connection) == b"AUTH TLS\r\n" else b"500 no\r\n")


def _postgres(connection: socket.socket) -> None:
    asked = connection.recv(8, socket.MSG_WAITALL)
    connection.sendall(b"S" if asked == (8).to_bytes(4) + (80877103).to_bytes(4) else b"E")


def _ldap(connection: socket.socket) -> None:
    asked = connection.recv(31, socket.MSG_WAITALL)
    done = b"\x0a\x01\x00" if asked.endswith(b"1.3.6.1.4.1.1466.20037") else b"\x0a\x01\x02"
    answer = done + b"\x04\x00\x04\x00"
    # Lengths in the long form, as Active Directory writes them.
    body = b"\x02\x01\x01\x78\x84" + len(answer).to_bytes(4) + answer
    connection.sendall(b"\x30\x84" + len(body).to_bytes(4) + body)


def _xmpp(connection: socket.socket) -> None:
    _line(connection, end=b"<stream:stream")
    _line(connection, end=b">")
    connection.sendall(
        b"<?xml version='1.0'?><stream:stream from='localhost' id='1' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'><stream:features>"
        b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
    )
    _line(connection, end=b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    connection.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")


GREETINGS: Final[Mapping[str, Callable[[socket.socket], None]]] = {
    "smtp": _smtp,
    "imap": _imap,
    "pop3": _pop3,
    "ftp": _ftp,
    "postgres": _postgres,
    "ldap": _ldap,
    "xmpp": _xmpp,
}
