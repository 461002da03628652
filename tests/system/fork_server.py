"""Python programs forked from a process that has imported them: imports take three quarters of a start.

What is forked runs a module's `__main__` as `python -m` does, with arguments, environment, output and session of its
own, and ends as any Python. `python -m tests.system.fork_server MODULE ...` forks until its input ends. Starts from
nothing are tested by tests/bridge/test_main.py, tests/exporter/test_main.py and tests/deploy.
"""

import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).parents[2]
BRIDGE = ("bridge.__main__", "bridge.app")
IMPORTED = {
    "bridge": BRIDGE,
    "exporter": ("exporter.__main__",),
    "tests.sandbox": ("tests.sandbox.__main__",),
    "tests.system.crashing": BRIDGE,
}
"""By program, the modules that import all that it does."""


class ForkServer:
    """A process that has imported these modules."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *modules],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and return the response. Raises RuntimeError once the server has ended."""
        with self._lock:
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
            if answer := self._process.stdout.readline():
                return json.loads(answer)
        status = self._process.wait()
        raise RuntimeError(f"the fork server ended with status {status}: see the test's standard error")

    def close(self) -> None:
        """End it. What it forked goes on."""
        self._process.communicate()


class ForkServers:
    """A fork server for each of the programs, from its first start on."""

    def __init__(self) -> None:
        self._servers: dict[Sequence[str], ForkServer] = {}
        self._lock = Lock()

    def server(self, program: str) -> ForkServer | None:
        """Return the server that forks a program, None for one that has none."""
        modules = IMPORTED.get(program, ())
        with self._lock:
            if modules and modules not in self._servers:
                self._servers[modules] = ForkServer(modules)
            return self._servers.get(modules)

    def close(self) -> None:
        """End them."""
        for server in self._servers.values():
            server.close()


class Forked:
    """A forked process, with what `Program` needs of subprocess.Popen."""

    def __init__(self, server: ForkServer, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._server, self._command = server, command
        self.returncode: int | None = None
        self.pid: int = server.ask(arguments=command[2:], environment=dict(environment), log=str(log.resolve()))

    def poll(self) -> int | None:
        """Return its status if it has ended."""
        if self.returncode is None:
            self.returncode = self._server.ask(ended=self.pid)
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        """Wait until it has ended and return its status; subprocess.TimeoutExpired if it has not in time."""
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self._command, timeout)
            time.sleep(0.02)
        return status


def serve(modules: Sequence[str]) -> None:
    """Import the modules, then fork for each request, or respond with the status of a process that has ended."""
    for module in modules:
        import_module(module)
    for module in modules:
        if module.endswith(".__main__"):
            del sys.modules[module]  # so that it runs as if it were not imported
    while line := sys.stdin.readline():
        request = json.loads(line)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
        elif pid := os.fork():
            print(pid, flush=True)
        else:
            return run(**request)
    return None


def run(arguments: Sequence[str], environment: Mapping[str, str], log: str) -> None:
    """Become the program of these arguments: a module's name, and its own."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    with Path(os.devnull).open("rb") as nothing, Path(log).open("ab") as output:
        for file, descriptor in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(file.fileno(), descriptor)
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(sys.argv[1:])
