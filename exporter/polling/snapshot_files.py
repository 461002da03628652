"""Snapshots in a directory: one file per target, replaced atomically so that a crash leaves it intact."""

import fcntl
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from exporter.toolkit.config_types import ConfigError, Stamp, stamp

EVERY: Final = 10.0
"""Seconds between two writes of a snapshot, and so the data that a kill may lose."""
LOCK: Final = "leader.lock"
"""The lock file of a directory in use. The kernel releases the lock however the process ends."""

_log = logging.getLogger(__name__)


class Directory:
    """The files of one exporter's targets."""

    loss_window = EVERY

    def __init__(self, path: Path, every: float = EVERY) -> None:
        """Use the directory `path`, creating it if missing. Raises ConfigError if that fails."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError([f"cannot use --storage.path {path}: {error.strerror}"]) from error
        self.every = every
        self._path = path
        self._lock: int | None = None

    def claim(self) -> None:
        """Lock the directory for this process. Raises ConfigError if another has it: both would poll the same vendors.

        If locking is unsupported, that is only logged: storage is a convenience.
        """
        try:
            self._lock = os.open(self._path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = f"another exporter uses --storage.path {self._path}"
            raise ConfigError([f"{problem}: give each its own; two that share their data need --storage.url"]) from None
        except OSError as error:
            _log.warning("Cannot lock %s (%s): make sure that no other exporter uses it", self._path, error.strerror)

    def stamp(self, name: str) -> Stamp | None:
        """Return a value that changes whenever `name` is written; None if it does not exist."""
        return stamp(self._file(name))

    def read(self, name: str) -> bytes | None:
        """Return the content of `name`, None if it does not exist. Raises OSError if it cannot be read."""
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: Iterable[bytes]) -> None:
        """Replace `name`. Raises OSError if that fails, leaving the old one in place."""
        path = self._file(name)
        written = path.with_name(f".{path.name}.new")  # one name, so that killed writes do not fill the disk
        try:
            written.touch(0o600)
            with written.open("wb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._path / f"{name}.json"
