"""Who polls, of the exporters that use one directory: the one that holds the lock on a file in it.

The kernel frees the lock when its process ends, however that happens; it is never given back before. So whoever
leads once leads until its end, and whoever follows need only try again and again.
"""

import fcntl
import logging
import os
import threading
from os.path import samestat
from pathlib import Path
from typing import Final

from exporter.toolkit.config_types import ConfigError

FILE: Final = "leader.lock"
"""Below the directory. It stays there: what counts is the lock on it. Who holds the lock puts it back when it goes."""
TRY_EVERY: Final = 1.0
"""Seconds between two tries of one that follows, or two looks of one that leads."""
GONE: Final = 5
"""Tries that find no file before one that follows makes it: who leads would have put it back."""
_log = logging.getLogger(__name__)


class Lock:
    """An exclusive lock on a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self, *, make: bool = True) -> bool:
        """Take the lock unless another process has it; tell whether it is ours. OSError: there is no locking here.

        FileNotFoundError: there is no file, and `make` is False.
        """
        made = os.O_CREAT if make else 0
        descriptor = os.open(self._path, os.O_RDWR | made | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self.release()
        self._descriptor = descriptor
        return True

    def is_in_place(self) -> bool:
        """Tell whether the file with our lock is the one that others find."""
        try:
            return self._descriptor is not None and samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class LeaderLock:
    """Whether this exporter leads. Without a lock it always does. All methods are safe from any thread."""

    def __init__(self, lock: Lock | None = None, *, leading: bool = True) -> None:
        self._lock = lock
        self._leading = leading
        self._missed = 0
        self._told = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)

    def leads(self) -> bool:
        """Tell whether this exporter polls."""
        return self._leading

    def start(self) -> None:
        """Try for the lock until it is ours, and see to it that it stays where others look; returns at once."""
        if self._lock:
            self._thread.start()

    def stop(self) -> None:
        """End trying, and let another lead."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock:
            self._lock.release()

    def _run(self) -> None:
        while self._lock and not self._stopping.wait(TRY_EVERY):
            try:
                self._keep(self._lock) if self._leading else self._try(self._lock)
            except OSError as error:
                doing = f"make {FILE} anew" if self._leading else "try to lead"
                self._tell(logging.WARNING, f"cannot {doing}: {error.strerror}")

    def _try(self, lock: Lock) -> None:
        try:
            self._leading = lock.take(make=self._missed >= GONE)
            self._missed = 0
        except FileNotFoundError:
            self._missed += 1
        if self._leading:
            self._tell(logging.INFO, "leading: the exporter that led has ended")

    def _keep(self, lock: Lock) -> None:
        """Lock the file anew that somebody deleted, or it would keep nobody from leading too."""
        if lock.is_in_place():
            self._told = ""
        elif lock.take():
            self._tell(logging.WARNING, f"{FILE} was deleted: it is there again")
        else:
            self._tell(logging.ERROR, f"two exporters poll: {FILE} was deleted while one led; restart one of them")

    def _tell(self, level: int, what: str) -> None:
        """Log it, once for as long as it is the same."""
        if what != self._told:
            _log.log(level, "%s", what)
        self._told = what


def shared(directory: Path) -> LeaderLock:
    """Return this exporter's part among those that share `directory`. ConfigError where nothing can be locked."""
    lock = Lock(directory / FILE)
    try:
        leading = lock.take()
    except OSError as error:
        told = f"cannot lock --storage.path {directory} ({error.strerror})"
        raise ConfigError([f"{told}: --storage.share needs a file system that can"]) from error
    _log.info("leading: polls, and stores for others" if leading else "following: serves what another exporter stores")
    return LeaderLock(lock, leading=leading)


def claimed(directory: Path) -> LeaderLock:
    """Keep `directory` for this exporter alone. ConfigError when another uses it: both would ask the same vendors.

    Where nothing can be locked, that is only told: storage is a convenience.
    """
    lock = Lock(directory / FILE)
    try:
        free = lock.take()
    except OSError as error:
        _log.warning("cannot lock %s (%s): see to it that no other exporter uses it", directory, error.strerror)
        return LeaderLock()
    if not free:
        told = f"another exporter uses --storage.path {directory}"
        raise ConfigError([f"{told}: give each its own, or both --storage.share, so that one follows the other"])
    return LeaderLock(lock)
