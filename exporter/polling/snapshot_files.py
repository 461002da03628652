"""Snapshots kept in a directory: one file per target, replaced in one step so that it is whole after a crash."""

import contextlib
import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from exporter.toolkit.config_types import ConfigError

EVERY: Final = 10.0
"""Seconds between two writes of what is known: what a kill may lose."""
UNTOLD: Final = 2.0
"""Seconds; at least so long a time may have gone by untold when an exporter is killed."""
LEFT: Final = 60.0
"""Seconds since a file on its way was written to, after which nobody writes it any more."""
LOCK: Final = "leader.lock"
"""The file whose lock says that a directory is in use. The kernel frees it when the process ends, however it does."""

Stamp = tuple[int, int, int]
"""What is another for each file that was written: when, which, how large."""
_log = logging.getLogger(__name__)


class Directory:
    """The files of one exporter's targets."""

    untold = UNTOLD

    def __init__(self, path: Path, every: float = EVERY) -> None:
        """Use the directory `path`, which is created when missing. OSError when that cannot be."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.every = every
        self._path = path
        self._lock: int | None = None

    def claim(self) -> None:
        """Keep the directory for this process. ConfigError when another has it: both would ask the same vendors.

        Where nothing can be locked, that is only told: storage is a convenience.
        """
        try:
            self._lock = os.open(self._path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            told = f"another exporter uses --storage.path {self._path}"
            raise ConfigError(
                [f"{told}: give each its own; two that share what they know need --storage.url"]
            ) from None
        except OSError as error:
            _log.warning("cannot lock %s (%s): see to it that no other exporter uses it", self._path, error.strerror)

    def close(self) -> None:
        """Let another process have the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def stamp(self, name: str) -> Stamp | None:
        """Return what changes whenever `name` is written; None when it is not there."""
        try:
            found = self._file(name).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def read(self, name: str) -> bytes | None:
        """Return what was written as `name`, None when nothing was. OSError when it cannot be read."""
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: Iterable[bytes]) -> None:
        """Replace `name`. OSError when that cannot be done: then the old one is there."""
        path = self._file(name)
        # What writes of this file left that were killed: one after the other would fill the disk.
        for left in path.parent.glob(f".{path.name}.*"):
            with contextlib.suppress(OSError):
                if abs(time.time() - left.stat().st_mtime) > LEFT:
                    left.unlink()
        descriptor, written = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            Path(written).replace(path)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise

    def _file(self, name: str) -> Path:
        return self._path / f"{name}.json"
