"""SQLite: the library, the location of its file, and the settings that make a commit durable."""

import os
from contextlib import closing, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from bridge.errors import Unavailable
from exporter.toolkit.config_types import ConfigError

try:
    from pysqlite3 import dbapi2 as found  # type: ignore[import-untyped]
except ImportError:
    import sqlite3 as found

sqlite3: Any = found
"""The bundled library, or the host's if there is no build for the platform. Many hosts' versions may corrupt a
write-ahead log that is reset while another connection writes, so only a rollback journal is safe there: four disk
flushes per commit instead of one."""
LONGEST_LOG = 32_000_000
"""Bytes; some eight times its size without readers in the way."""
_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs",
     "nfs4", "smb3", "smbfs", "vboxsf"}
)  # fmt: skip


class Files:
    """The database file and its write-ahead log. SQLite goes on writing to a file that was deleted or replaced.

    A later connection would create a new file, and read from another one than we write to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = path.resolve()  # SQLite follows a link too
        self.log = file.with_name(f"{file.name}-wal")
        self._opened: list[tuple[int, int] | None] = [None, None]
        self._bearable = LONGEST_LOG

    def check(self) -> None:
        """Check the location, and that nobody else can read the file. Raises ConfigError, Unavailable."""
        folder, mounts = self.path.parent, ""
        try:
            if not folder.is_dir():
                raise ConfigError([f"database: {folder} is not a directory"])
        except PermissionError as error:  # of a folder above it
            raise Unavailable(f"database: cannot open {self.path}: {error.strerror}") from None
        with suppress(OSError):
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        if (kind := filesystem(self.path.resolve(), mounts)) in _NETWORK:
            where = f"{self.path} is on a network file system ({kind})"
            raise ConfigError([f"database: {where}, where SQLite loses data"])
        if os.path.ismount(self.path.resolve()):  # pathlib's knows only folders before Python 3.12
            own = f"{self.path} is a mount of its own: mount its folder"
            raise ConfigError([f"database: {own}, or the log beside it is lost with the container"])
        # SQLite gives its log the same permissions. Its own errors name neither the file nor the reason.
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise Unavailable(f"database: cannot open {self.path}: {error.strerror}") from None
        with suppress(OSError):
            mode = self.path.stat().st_mode
            if not S_ISREG(mode):  # such as /dev/null, which others need
                raise ConfigError([f"database: {self.path} is not a regular file"])
            if mode & 0o077:
                self.path.chmod(0o600)

    def opened(self) -> None:
        """Record the files once the writing connection is open: SQLite keeps the log that long."""
        self._opened = [self._opened[0] or _identity(self.path), _identity(self.log)]

    def there(self) -> bool:
        """Return whether their paths still lead to the same files."""
        return self._opened == [_identity(self.path), _identity(self.log)]

    def checkpoint(self, patience: float) -> None:
        """Empty the log if it has grown, waiting up to `patience` seconds for readers while nothing is written.

        Overlapping readers keep it from being reset: in a storm it grows by 10 MB/s. If a reader stays, try again when
        the log has doubled; SQLite truncates it by itself once the reader is gone.
        """
        with suppress(OSError, sqlite3.Error):
            if (size := self.log.stat().st_size) > self._bearable:
                self._bearable = 2 * size
                opened = sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=patience)
                with closing(opened) as connection:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._bearable = max(LONGEST_LOG, 2 * self.log.stat().st_size)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def filesystem(path: Path, mounts: str) -> str:
    """Return the type of the file system of `path`, from the text of /proc/mounts; "" if unknown."""
    found, depth = "", -1
    for line in mounts.splitlines():
        _device, mount, kind, *_ = [*line.split(" "), "", "", ""]
        point = Path(mount.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind, len(point.parts)
    return found


def journal_mode(version: tuple[int, ...]) -> str:
    """Return WAL only if the library does not corrupt a WAL that is reset while another connection writes.

    Otherwise return PERSIST: in DELETE mode a power cut may undo a commit, because the directory is not flushed, and
    every commit creates a new file.
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "PERSIST"


def engine(url: URL, files: Files, *, writes: bool, patience: float) -> Engine:
    """Return an engine for a file: one writing connection, or a few reading ones.

    `patience`: seconds to wait for another writer, or for one of these connections.
    """
    made = create_engine(
        url,
        module=sqlite3,
        hide_parameters=True,
        connect_args={"timeout": patience, "check_same_thread": False},
        pool_size=1 if writes else 4,
        max_overflow=0,
        pool_timeout=patience,
    )

    @event.listens_for(made, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        """Make commits wait for the disk, and check that SQLite applied the settings."""
        connection.isolation_level = None
        if not writes:
            connection.execute("PRAGMA query_only=ON")
            return
        mode = journal_mode(sqlite3.sqlite_version_info)
        (found,) = connection.execute(f"PRAGMA journal_mode={mode}").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={LONGEST_LOG}").fetchone()
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        if (found.upper(), level) != (mode, 2):
            raise sqlite3.OperationalError(f"unable to open with journal_mode={mode}, synchronous=FULL")
        connection.execute("PRAGMA user_version").fetchone()  # the log exists once something was read
        if not os.access(files.path, os.W_OK):  # SQLite would open it read-only, and stay so
            raise sqlite3.OperationalError("attempt to write a readonly database")
        files.opened()

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        """Execute BEGIN on the driver itself: through SQLAlchemy it takes longer than anything that follows."""
        driver: Any = connection.connection.dbapi_connection
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made
