"""The life of a program: its configuration's problems on standard error, and its signals."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.text import escaped

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Blocked in every thread and awaited in the main one: a handler might run late while the main thread sleeps."""
LAST_MOMENT: Final = 4.5
"""Seconds after a signal until the process exits in any case."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Program(Protocol):
    """What `run` runs. `reload` raises ConfigError, as `reloading` does."""

    def start(self) -> None: ...  # noqa: D102  see the class
    def reload(self) -> None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102


def open_streams() -> None:
    """Discard what is written to standard streams that are closed, as by `>&-`: Python has None in their place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  as long as the process


def hold_reloads() -> None:
    """Keep a SIGHUP for `run`: until then it would end the program, as a reload right after a start does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))


def report(about: object, lines: Iterable[object]) -> int:
    """Print problems of a file or the program, one a line, and return the exit status for them."""
    sys.stderr.writelines(f"{about}: {escaped(str(line))}\n" for line in lines)
    return 1


def read(how: Callable[[Path], T], file: Path) -> T | None:
    """Return the content of a file, or None after reporting its problems."""
    try:
        return how(file)
    except ConfigError as error:
        report(file, error.problems)
        return None


def command(run: Callable[[], int]) -> int:
    """Run a command and return its exit status; 130 if it is interrupted, 1 if its reader closes the pipe."""
    status = 1
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:  # as with `| head`: nobody reads the rest, which Python would write when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    return status


@contextmanager
def reloading(file: Path | None, failed: Callable[[], None]) -> Iterator[None]:
    """Log whatever goes wrong in a reload and call `failed`. Raises ConfigError for any error, naming the file."""
    try:
        yield
    except ConfigError as error:
        failed()
        problems = [f"{file}: {problem}" for problem in error.problems]
        for problem in problems:
            _log.error("Reload failed, keeping the current configuration: %s", problem)
        raise ConfigError(problems) from error
    except Exception as error:
        failed()
        _log.exception("Reload failed unexpectedly, keeping the current configuration")
        raise ConfigError([f"unexpected {type(error).__name__}: see the log"]) from error


def run(program: Program) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads. Raises what `start` raises, once what it began has stopped."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        program.start()
    except BaseException:
        program.stop()  # otherwise the open sockets would go on accepting connections
        raise
    while signal.sigwait(SIGNALS) == signal.SIGHUP:
        with suppress(ConfigError):
            program.reload()
    _log.info("Stopping")
    end = threading.Timer(LAST_MOMENT, os._exit, [0])
    end.daemon = True
    end.start()
    program.stop()
    if any(thread is not threading.current_thread() and not thread.daemon for thread in threading.enumerate()):
        # A thread that hangs in a library would keep the interpreter from exiting.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
