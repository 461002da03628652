"""Faults as they look on the wire."""

import socket
import struct
from collections.abc import Callable
from io import BufferedIOBase
from typing import TYPE_CHECKING, BinaryIO, Protocol

from tests.sandbox.exchange import Reply, answer
from tests.sandbox.faults import Fault

if TYPE_CHECKING:
    from tests.sandbox.server import Sandbox

_PIECES = 40
_GLANCE = 0.2
_GARBAGE = b"<html><body><h1>Bad gateway</h1></body>"


class Line(Protocol):
    """The connection that a fault is carried out on."""

    close_connection: bool
    connection: socket.socket

    @property
    def wfile(self) -> BinaryIO | BufferedIOBase: ...

    def send(self, reply: Reply) -> None: ...
    def head(self, reply: Reply, length: int) -> bytes: ...
    def abort(self) -> None: ...


def linger_none(connection: socket.socket) -> None:
    """Make close() send RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def gone(connection: socket.socket) -> bool:
    """Whether the other side has hung up."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def hang_up(connection: socket.socket) -> None:
    """Wake whoever reads from it."""
    connection.shutdown(socket.SHUT_RDWR)


def carry_out(
    line: Line, fault: Fault | None, act: Callable[[], Reply], unauthorized: Callable[[], Reply], sandbox: "Sandbox"
) -> int | None:
    """Answer, or fail as the fault says; the status that was sent, None for none.

    The vendor acts on the request only where an answer of its own is (partly) sent or lost on the way back.
    """
    kind = fault.kind if fault else None
    if fault is None:
        return _send(line, act())
    if kind == "hang":
        return _hang(line, fault, act, sandbox)
    if kind == "reset":
        line.abort()
        return None
    if kind == "lose_answer":
        act()
        line.abort()
        return None
    if kind in ("slow", "truncate"):
        return _partly(line, fault, act(), sandbox)
    return _send(line, _instead(fault, unauthorized))


def _send(line: Line, reply: Reply) -> int:
    line.send(reply)
    return reply.status


def _hang(line: Line, fault: Fault, act: Callable[[], Reply], sandbox: "Sandbox") -> int | None:
    """Wait; without `seconds` until the client or the fault is gone, and then close without an answer."""
    if fault.seconds is not None:
        return _send(line, act()) if not sandbox.stopping.wait(fault.seconds) else None
    while sandbox.faults.standing(fault.id) and not gone(line.connection):
        if sandbox.stopping.wait(_GLANCE):
            break
    line.close_connection = True
    return None


def _partly(line: Line, fault: Fault, reply: Reply, sandbox: "Sandbox") -> int:
    line.wfile.write(line.head(reply, len(reply.body)))
    if fault.kind == "truncate":
        line.wfile.write(reply.body[: len(reply.body) // 2])
        line.close_connection = True
        return reply.status
    step = max(1, -(-len(reply.body) // _PIECES))
    for start in range(0, len(reply.body), step):
        if sandbox.stopping.wait((fault.seconds or 10) / _PIECES):
            break
        line.wfile.write(reply.body[start : start + step])
    return reply.status


def _instead(fault: Fault, unauthorized: Callable[[], Reply]) -> Reply:
    if fault.kind == "garbage":
        return Reply(200, _GARBAGE, {"Content-Type": "application/json"})
    if fault.kind == "redirect":
        return Reply(302, b"", {"Location": fault.to})
    if fault.kind == "refuse_credentials":
        return unauthorized()
    waiting = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return answer(fault.code, {"error": f"fault {fault.id}"}).adding(waiting)
