"""The latency of a scrape and a webhook with valid credentials while hostile clients crowd the server."""

import base64
import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import bcrypt
import requests
import yaml

from tests.bench import servers
from tests.bench.account import SERIES
from tests.bench.figures import Promise, Table
from tests.bench.webhooks import standin
from tests.system.running import ROOT, Program, free_port, python

COST = 12
PAIR = ("ann", "sesame")
TOKEN = {"Authorization": "Bearer tok"}
TIMES = 15
PATIENCE = 250.0
"""Milliseconds."""
_HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
_BODY = (
    b"POST /webhooks/alertmanager/prod HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tok\r\nContent-Length: 900\r\n\r\n{"
)
Crowd = Callable[[Program], contextlib.AbstractContextManager[None]]


def table(*, quick: bool) -> Table:
    """Measure every crowd, and nobody."""
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        web = folder / "web.yml"
        hashed = bcrypt.hashpw(PAIR[1].encode(), bcrypt.gensalt(4 if quick else COST)).decode()
        web.write_text(yaml.safe_dump({"basic_auth_users": {PAIR[0]: hashed}}))
        series = 1_000 if quick else 100_000
        exporter = servers.exporter(folder, [(servers.quiet(), -(-series // SERIES))])
        exporter.command = [*exporter.command, f"--web.config.file={web}"]
        stack.enter_context(_Guarded(**_fields(exporter)))
        bridge = stack.enter_context(_bridge(folder, web, stack))
        for title, crowd in _crowds(quick=quick).items():
            with crowd(exporter):
                rows[title] = {"scrape": _waits(_scrape(exporter))}
            with crowd(bridge):
                rows[title]["webhook"] = _waits(_webhook(bridge))
    promises = [
        Promise(f"{what} beside {title}", wait, PATIENCE, "ms")
        for title, row in rows.items()
        for what, wait in row.items()
    ]
    notes = [f"Median of {TIMES} whole answers. The password was right before; 100,000 series, gzip."]
    return Table("crowds", "Beside a crowd", "ms", rows, notes, promises)


class _Guarded(Program):
    """A program that asks for a password."""

    def _answers(self) -> bool:
        assert self.running, self.tail()
        return requests.get(self.url + self.ready, auth=PAIR, timeout=30).status_code == 200


def _fields(program: Program) -> Mapping[str, object]:
    return {name: getattr(program, name) for name in ("name", "command", "log", "url", "ready")}


@contextlib.contextmanager
def _bridge(folder: Path, web: Path, stack: contextlib.ExitStack) -> Iterator[Program]:
    panda = stack.enter_context(standin(folder, "destination", "0.01"))
    config = {
        "database": f"sqlite:///{folder}/bridge.db",
        "bigpanda": {"url": f"{panda.url}/data/v2/alerts", "app_key": "app", "token": "t"},
        "receivers": [{"receiver": "alertmanager", "source": "prod", "bearer_token": "tok"}],
    }
    file, port = folder / "bridge.yml", free_port()
    file.write_text(yaml.safe_dump(config))
    flags = (f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", f"--web.config.file={web}",
             "--log.level=error")  # fmt: skip
    with _Guarded("bridge", python("bridge", *flags), folder / "bridge.log", f"http://127.0.0.1:{port}") as running:
        yield running


def _scrape(program: Program) -> Callable[[requests.Session], int]:
    return lambda session: session.get(f"{program.url}/metrics", auth=PAIR, timeout=60).status_code


def _webhook(program: Program) -> Callable[[requests.Session], int]:
    url, body = f"{program.url}/webhooks/alertmanager/prod", {"version": "4", "alerts": []}
    return lambda session: session.post(url, json=body, headers=TOKEN, timeout=60).status_code


def _waits(ask: Callable[[requests.Session], int]) -> float:
    times = []
    for _ in range(TIMES):
        with requests.Session() as session:
            began = time.perf_counter()
            if ask(session) != 200:
                raise RuntimeError("not answered with 200")
            times.append(time.perf_counter() - began)
    return 1000 * median(times)


def _crowds(*, quick: bool) -> Mapping[str, Crowd]:
    share = 10 if quick else 1
    return {
        "nobody": lambda _program: contextlib.nullcontext(),
        "200 half heads": lambda program: _holding(program, 200 // share, _HEAD),
        "200 half bodies": lambda program: _holding(program, 200 // share, _BODY),
        "50 slow readers of the page": lambda program: _holding(program, 50 // share, _reading(), room=4096),
        "130 wrong passwords": lambda program: _guessing(program, 130 // share),
    }


def _reading() -> bytes:
    credentials = base64.b64encode(":".join(PAIR).encode())
    return _HEAD + b"Authorization: Basic " + credentials + b"\r\n\r\n"


@contextlib.contextmanager
def _holding(program: Program, count: int, said: bytes, room: int = 0) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        for _ in range(count):
            client = held.enter_context(socket.socket())
            if room:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            client.connect(("127.0.0.1", servers.port_of(program)))
            client.sendall(said)
        yield


@contextlib.contextmanager
def _guessing(program: Program, count: int) -> Iterator[None]:
    """Let clients guess at one user's password, in a process of their own: they would hold up the one that measures."""
    command = python("tests.bench.crowds", program.url, str(count))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as guessers:
        assert guessers.stdout
        guessers.stdout.readline()
        try:
            yield
        finally:
            guessers.kill()


def guess(url: str, count: int) -> None:
    """Guess until the process is ended: each client again as soon as it has been refused."""

    def one() -> None:
        while True:
            with contextlib.suppress(requests.RequestException):
                requests.get(url, auth=(PAIR[0], "wrong"), timeout=60)
            time.sleep(0.2)

    for _ in range(count):
        threading.Thread(target=one).start()
    time.sleep(1)
    print("guessing", flush=True)


if __name__ == "__main__":
    guess(sys.argv[1], int(sys.argv[2]))
