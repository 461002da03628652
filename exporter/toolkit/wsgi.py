"""Applications behind ASGI: a request's environment as WSGI has it, a response, and bounded thread pools."""

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Full
from typing import Any, TypeVar
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.wrappers import Response

Headers = Sequence[tuple[bytes, bytes]]
"""Headers with lower-case names, in the order received."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: Headers
    body: Sequence[bytes]


Application = Callable[[WSGIEnvironment], Answer]
LARGE = 4_000_000
"""Bytes from which bodies are handled one at a time."""
LATER = "vendorwatch.later"
"""Where the environ holds a function, for a response that is not decided yet: no thread waits for it.

It takes the future to wait for, and what returns the response then, in place of the one returned now.
"""


def plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> Answer:
    """Return a plain-text response."""
    return Answer(status, [(b"content-type", b"text/plain; charset=utf-8"), *headers], [f"{text}\n".encode()])


def environment(scope: Any, path: str, body: io.BytesIO, length: int, user: str | None) -> WSGIEnvironment:
    """Return the WSGI environ. Headers with an underscore are left out: they could pass for another header."""
    host, port = scope["server"] or ("", 0)  # None if the client has gone already
    found: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "CONTENT_LENGTH": str(length),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if user is not None:
        found["REMOTE_USER"] = user
    for name, value in scope["headers"]:
        if b"_" in name or name in {b"content-length", b"transfer-encoding"}:
            continue
        key, text = name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def call(application: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Call a WSGI application and return its response."""
    response = Response.from_app(application, environ, buffered=True)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    return Answer(response.status_code, headers, list(response.iter_encoded()))


class Pool:
    """A thread pool with a limited queue. It starts threads only when needed: each that has worked keeps some memory.

    All methods are called from the event loop, which waiting for a thread does not block.
    """

    def __init__(self, name: str, threads: int, queued: int) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._most, self._unfinished = threads + queued, 0

    async def run(self, work: Callable[[], T], later: list[tuple[Future[Any], Callable[[], T]]] | None = None) -> T:
        """Run `work` in a thread and return its result. Raises queue.Full if too much work is waiting.

        `later`: where `work` puts what must happen first, and what returns the result then. No thread waits for that,
        but the work counts until then.
        """
        if self._unfinished >= self._most:
            raise Full
        self._unfinished += 1
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, work)
            while later:
                event, decide = later.pop()  # a request may be part of a cycle: what it holds stays in memory for long
                with suppress(Exception):  # it is for `decide` to tell
                    await asyncio.wrap_future(event)
                result = decide()
            return result
        finally:
            self._unfinished -= 1

    def stop(self, patience: float) -> None:
        """End the threads, waiting at most `patience` seconds for their work."""
        ending = threading.Thread(target=self._executor.shutdown, daemon=True)
        ending.start()
        ending.join(patience)
