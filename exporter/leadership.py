"""Who polls, of the exporters that use one directory: the one that holds the lock on a file in it.

The kernel frees the lock when its process ends, however that happens; it is never given back before. So whoever
leads once leads until its end, and whoever follows need only try again and again.
"""

import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import Final

from exporter.errors import ConfigError

FILE: Final = "leader.lock"
"""Below the directory. It stays there: what counts is the lock on it."""
TRY_EVERY: Final = 1.0
"""Seconds between two tries of one that follows."""
_log = logging.getLogger(__name__)


class Lock:
    """An exclusive lock on a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock unless another process has it; tell whether it is ours. OSError: there is no locking here."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Leadership:
    """Whether this exporter leads. Without a lock it always does. All methods are safe from any thread."""

    def __init__(self, lock: Lock | None = None, *, leading: bool = True) -> None:
        self._lock = lock
        self._leading = leading
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)

    def leads(self) -> bool:
        """Tell whether this exporter polls."""
        return self._leading

    def start(self) -> None:
        """Try for the lock until it is ours; returns at once."""
        if not self._leading:
            self._thread.start()

    def stop(self) -> None:
        """End trying, and let another lead."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock:
            self._lock.release()

    def _run(self) -> None:
        while self._lock and not self._leading and not self._stopping.wait(TRY_EVERY):
            try:
                self._leading = self._lock.take()
            except OSError as error:
                _log.warning("cannot try to lead: %s", error.strerror)
        if self._leading:
            _log.info("leading: the exporter that led has ended")


def shared(directory: Path) -> Leadership:
    """Return this exporter's part among those that share `directory`. ConfigError where nothing can be locked."""
    lock = Lock(directory / FILE)
    try:
        leading = lock.take()
    except OSError as error:
        told = f"cannot lock --storage.path {directory} ({error.strerror})"
        raise ConfigError([f"{told}: --storage.share needs a file system that can"]) from error
    _log.info("leading: polls, and stores for others" if leading else "following: serves what another exporter stores")
    return Leadership(lock, leading=leading)


def claimed(directory: Path) -> Leadership:
    """Keep `directory` for this exporter alone. ConfigError when another uses it: both would ask the same vendors.

    Where nothing can be locked, that is only told: storage is a convenience.
    """
    lock = Lock(directory / FILE)
    try:
        free = lock.take()
    except OSError as error:
        _log.warning("cannot lock %s (%s): see to it that no other exporter uses it", directory, error.strerror)
        return Leadership()
    if not free:
        told = f"another exporter uses --storage.path {directory}"
        raise ConfigError([f"{told}: give each its own, or both --storage.share, so that one follows the other"])
    return Leadership(lock)
