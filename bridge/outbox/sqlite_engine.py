"""SQLite: which library, where its file may be, and the settings that make a commit durable."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from bridge.errors import Unavailable
from exporter.toolkit.config_types import ConfigError

try:
    from pysqlite3 import dbapi2 as found  # type: ignore[import-untyped]
except ImportError:
    import sqlite3 as found

sqlite3: Any = found
"""The library that we bring along, and the host's where there is no build of ours. That of many hosts may damage a
write-ahead log that is reset while another connection writes, so that there only a journal is sound: four flushes of
the disk for a commit instead of one."""
LONGEST_LOG = 32_000_000
"""Bytes; some eight times what it has when no reader is in its way."""
LARGEST_RESERVE = 64_000_000
"""Bytes of a disk, or a tenth of a small one, that webhooks do not fill: delivery must still note what was sent."""
_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs",
     "nfs4", "smb3", "smbfs", "vboxsf"}
)  # fmt: skip


class Files:
    """The database and its log, as they were opened. SQLite goes on writing to one that was deleted or replaced.

    And it makes a new one for whoever comes next, who would read from another file than we write to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = path.resolve()  # SQLite follows a link too
        self.log = file.with_name(f"{file.name}-wal")
        self._database: tuple[int, int] | None = None
        self._log: tuple[int, int] | None = None

    def check(self, *, writes: bool) -> None:
        """See that a database may be here, and that nobody else can read it. ConfigError, Unavailable."""
        folder, mounts = self.path.parent, ""
        if not folder.is_dir():
            raise ConfigError([f"database: {folder} is not a directory"])
        with suppress(OSError):
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        if (kind := filesystem(self.path.resolve(), mounts)) in _NETWORK:
            where = f"{self.path} is on a network file system ({kind})"
            raise ConfigError([f"database: {where}, where SQLite loses data"])
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise Unavailable("database: read-only")
        if writes:
            # SQLite gives its log the same permissions. What is wrong with the file it says more clearly.
            with suppress(OSError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                if self.path.stat().st_mode & 0o077:
                    self.path.chmod(0o600)

    def opened(self) -> None:
        """Note what is there, once the connection that writes is open: SQLite keeps the log for as long."""
        self._database = self._database or _identity(self.path)
        self._log = _identity(self.log)

    def there(self) -> bool:
        """Tell whether they are still what their paths name."""
        log = self._log is None or _identity(self.log) == self._log
        return log and (self._database is None or _identity(self.path) == self._database)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def filesystem(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds `path`, from the text of /proc/mounts; "" when unknown."""
    found, depth = "", -1
    for line in mounts.splitlines():
        _device, mount, kind, *_ = [*line.split(" "), "", "", ""]
        point = Path(mount.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind, len(point.parts)
    return found


def journal_mode(version: tuple[int, ...]) -> str:
    """Return WAL only where the library does not lose a WAL that is reset while another connection writes.

    Elsewhere a journal that stays: in DELETE mode a commit may be undone by a power cut, for the directory is not
    flushed, and every commit makes a new file.
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "PERSIST"


def engine(url: URL, files: Files, *, writes: bool, patience: float) -> Engine:
    """Return the way into a file: one connection that writes, or a few that read. ConfigError, Unavailable.

    `patience`: seconds to wait for another writer.
    """
    files.check(writes=writes)
    made = create_engine(
        url,
        module=sqlite3,
        hide_parameters=True,
        connect_args={"timeout": patience, "check_same_thread": False},
        pool_size=1 if writes else 4,
        max_overflow=0,
    )

    @event.listens_for(made, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        _set_pragmas(connection, writes=writes)
        if writes:
            connection.execute("PRAGMA user_version").fetchone()  # a log is there once something was read
            if not os.access(files.path, os.W_OK):  # SQLite would open it all the same, and never again otherwise
                raise sqlite3.OperationalError("attempt to write a readonly database")
            files.opened()

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        """Say it to the driver itself: through SQLAlchemy it takes longer than anything that follows."""
        driver: Any = connection.connection.dbapi_connection
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


class Log:
    """The write-ahead log. Readers that overlap never let a commit start it over: in a storm it grows by 10 MB/s."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bearable = LONGEST_LOG

    def grown(self) -> bool:
        """Tell whether it is time to empty it."""
        return self._size() > self._bearable

    def empty(self, driver: sqlite3.Connection, *, patience: float) -> None:
        """Bring it into the database, waiting up to `patience` seconds for readers while nothing is written.

        Where one stays it is time again when the log has doubled; SQLite cuts it by itself once the reader is gone.
        """
        (usual,) = driver.execute("PRAGMA busy_timeout").fetchone()
        driver.execute(f"PRAGMA busy_timeout={round(patience * 1000)}").close()
        try:
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            driver.execute(f"PRAGMA busy_timeout={usual}").close()
            self._bearable = max(LONGEST_LOG, 2 * self._size())

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0


def room(path: Path) -> int:
    """Return the bytes that are free for more, beyond those that are kept for what empties the queue."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize - min(LARGEST_RESERVE, disk.f_blocks * disk.f_frsize // 10)


def _set_pragmas(connection: sqlite3.Connection, *, writes: bool) -> None:
    """Make a commit wait for the disk, and see that SQLite agreed."""
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
