"""Real programs as subprocesses: started on loopback, waited for with a bound, ended by their own pid."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import requests

from tests.system.fork_server import Forked, ForkServers

ROOT = Path(__file__).parents[2]
if _PROGRAMS := os.environ.get("VENDORWATCH_PROGRAMS"):
    os.environ["PATH"] = os.pathsep.join([str(Path(_PROGRAMS).resolve()), os.environ["PATH"]])
PATIENCE = 60.0
"""Seconds to wait for something that should happen at once: two busy cores are slow."""
fork_servers: ForkServers | None = None
"""What forks the programs that it knows, where the imports of each start would take most of the time."""
T = TypeVar("T")


class NotInTime(AssertionError):
    """Something did not happen within its bound; the message says what was waited for and what was there instead."""


def missing(*programs: str) -> list[str]:
    """Return which of these programs this machine does not have."""
    return [program for program in programs if shutil.which(program) is None]


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = range(10_000 + _WORKER % 10 * 2000, 12_000 + _WORKER % 10 * 2000)
_places = count(random.randrange(len(_PORTS)))


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now.

    Each worker has a range of its own, below the ports that the kernel gives to connections: so nobody else takes it
    until the program that it is meant for has started.
    """
    return next(port for place in _places if is_free(port := _PORTS[place % len(_PORTS)]))


def is_free(port: int) -> bool:
    """Return whether one could listen on this port of loopback now."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def until(condition: str, ask: Callable[[], T], patience: float = PATIENCE, pause: float = 0.1) -> T:
    """Ask until the answer is true and return it; NotInTime after `patience` seconds. A failed connection is no."""
    end = time.monotonic() + patience
    last: object = None
    while time.monotonic() < end:
        try:
            answer = ask()
        except requests.RequestException as error:
            last = type(error).__name__
        else:
            if answer:
                return answer
            last = answer
        time.sleep(pause)
    raise NotInTime(f"{condition}: not within {patience:g} s; last answer: {last!r:.2000}")


def launch(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | Forked:
    """Start a command whose output goes to a log."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    if fork_servers and list(command[:2]) == [sys.executable, "-m"] and (server := fork_servers.server(command[2])):
        return Forked(server, command, environment, log)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )


@dataclass
class Program:
    """One subprocess. Its output goes to `log`; `ready` is asked over HTTP until it answers 200."""

    name: str
    command: Sequence[str]
    log: Path
    url: str
    ready: str = "/-/ready"
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | Forked | None" = None

    def start(self, patience: float = PATIENCE) -> Self:
        """Start and wait until ready. RuntimeError with the end of its log when it ends before that."""
        self._process = launch(self.command, self.log, self.environment)
        try:
            until(f"{self.name} is ready", self._answers, patience)
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with status {self._process.returncode}:\n{self.tail()}")
        return requests.get(self.url + self.ready, timeout=5).status_code == 200

    @property
    def pid(self) -> int:
        """The process's id; RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self, patience: float = 20) -> int:
        """Ask it to end (SIGTERM), wait, and return its status; SIGKILL when it does not."""
        return self._end(signal.SIGTERM, patience)

    def kill(self) -> int:
        """End it at once (SIGKILL)."""
        return self._end(signal.SIGKILL, 20)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGHUP or SIGSTOP."""
        os.kill(self.pid, number)

    def restart(self) -> Self:
        """Stop and start again, with the same command and log."""
        self.stop()
        return self.start()

    def _end(self, number: signal.Signals, patience: float) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, signal.SIGKILL)
            status = self._process.wait()
        self._process = None
        return status

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET below its address."""
        return requests.get(self.url + path, params=params, timeout=10)

    def post(self, path: str, content: object) -> requests.Response:
        """POST JSON below its address."""
        return requests.post(self.url + path, json=content, timeout=10)


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]
