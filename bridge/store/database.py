"""The way into the database: engines, the settings that make a commit durable, and what its errors mean."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bridge.errors import ConfigError, Unavailable
from bridge.store import schema

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another writer."""
_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs",
     "nfs4", "smb3", "smbfs", "vboxsf"}
)  # fmt: skip
_SQLITE_WORDS = (
    ("locked", "busy"),
    ("busy", "busy"),
    ("readonly", "read-only"),
    ("full", "disk full"),
    ("unable to open", "cannot be opened"),
    ("no such table", "gone"),
    ("malformed", "damaged"),
    ("not a database", "damaged"),
)
_POSTGRESQL_WORDS = {"53100": "disk full", "55P03": "busy", "40P01": "busy", "57014": "busy", "25006": "read-only"}


class Database:
    """One database and its connections. SQLite has one writer at a time, who never starts as a reader."""

    def __init__(self, url: str) -> None:
        found = location(url)
        self.postgresql = found.get_backend_name() == "postgresql"
        self._writer = _postgresql(found) if self.postgresql else _sqlite(found, writes=True)
        self._reader = self._writer if self.postgresql else _sqlite(found, writes=False)
        self._turn = threading.Lock()
        self._upserts: dict[str, Any] = {}
        try:
            with self.write() as connection:
                schema.migrate(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give one transaction that is durable once this ends. Unavailable when that cannot be now."""
        with _meanings():
            if self.postgresql:
                with self._writer.begin() as connection:
                    yield connection
            else:
                with self._a_turn(), self._writer.begin() as connection:
                    yield connection

    @contextmanager
    def _a_turn(self) -> Iterator[None]:
        """Wait for our own writers no longer than for others': behind a locked database they would queue for ever."""
        if not self._turn.acquire(timeout=BUSY_TIMEOUT):
            raise Unavailable("database: busy")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give one consistent view."""
        with _meanings(), self._reader.begin() as connection:
            yield connection

    def clock(self, connection: Connection, now: float) -> float:
        """Return the time by which leases run: the database's own where several machines share it."""
        if not self.postgresql:
            return now
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def insert(self, table: Any) -> Any:
        """Return an INSERT that knows `on_conflict_do_update`."""
        return postgresql.insert(table) if self.postgresql else sqlite.insert(table)

    def upsert(self, table: Any, *index: str) -> Any:
        """Return an INSERT that replaces the row with the same `index`. Made once: that takes longer than to use it."""
        if table.name not in self._upserts:
            made = self.insert(table)
            replaced = {column.name: made.excluded[column.name] for column in table.c if column.name not in index}
            self._upserts[table.name] = made.on_conflict_do_update(index_elements=index, set_=replaced)
        return self._upserts[table.name]


def location(url: str) -> URL:
    """Return where the database is. ConfigError when this program cannot, or must not, use it."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(["database: not a URL: write it like sqlite:////var/lib/vendorwatch/bridge.db"]) from None
    if found.drivername in ("postgresql", "postgresql+psycopg"):
        return found.set(drivername="postgresql+psycopg")
    if found.drivername != "sqlite":
        raise ConfigError([f"database: {found.drivername} is not supported: use sqlite or postgresql"])
    if not found.database or found.database == ":memory:" or found.host:
        raise ConfigError(["database: name a file: sqlite:////var/lib/vendorwatch/bridge.db"])
    return found


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
    flushed, and every commit makes a file anew.
    """
    mended = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if mended else "PERSIST"


def _sqlite(url: URL, *, writes: bool) -> Engine:
    path = Path(url.database or "").absolute()
    if not path.parent.is_dir():
        raise ConfigError([f"database: {path.parent} is not a directory"])
    _refuse_network(path)
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        pool_size=1 if writes else 4,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        _set_pragmas(connection, writes=writes)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _refuse_network(path: Path) -> None:
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if (kind := filesystem(path.resolve(), mounts)) in _NETWORK:
        raise ConfigError([f"database: {path} is on a network file system ({kind}), where SQLite loses data"])


def _set_pragmas(connection: sqlite3.Connection, *, writes: bool) -> None:
    """Make a commit wait for the disk, and see that SQLite agreed."""
    if not writes:
        connection.execute("PRAGMA query_only=ON")
        return
    mode = journal_mode(sqlite3.sqlite_version_info)
    (found,) = connection.execute(f"PRAGMA journal_mode={mode}").fetchone()
    connection.execute("PRAGMA synchronous=FULL")
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    if (found.upper(), level) != (mode, 2):
        raise sqlite3.OperationalError(f"unable to open with journal_mode={mode}, synchronous=FULL")


def _postgresql(url: URL) -> Engine:
    settings = "-c synchronous_commit=on -c lock_timeout=5s -c statement_timeout=30s"
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_timeout=BUSY_TIMEOUT,
            isolation_level="READ COMMITTED",
            connect_args={"connect_timeout": 5, "options": settings, "tcp_user_timeout": 10_000},
        )
    except ImportError:
        raise ConfigError(["database: PostgreSQL needs the extra: pip install 'vendorwatch[postgresql]'"]) from None
    driver: Any = engine.dialect.dbapi
    try:
        driver.conninfo.make_conninfo(**url.query)
    except driver.Error as error:
        raise ConfigError([f"database: {str(error).splitlines()[0]}"]) from None
    return engine


@contextmanager
def _meanings() -> Iterator[None]:
    """Turn what the database says into `Unavailable`, but for what would be wrong again the next time."""
    try:
        yield
    except (IntegrityError, DataError, ProgrammingError):
        raise
    except (DatabaseError, InterfaceError) as error:
        raise Unavailable(f"database: {_word(error.orig)}") from error
    except PoolTimeoutError as error:
        raise Unavailable("database: busy") from error
    except sqlite3.Error as error:
        raise Unavailable(f"database: {_word(error)}") from error


def _word(error: BaseException | None) -> str:
    if isinstance(error, sqlite3.Error):
        return next((word for part, word in _SQLITE_WORDS if part in str(error)), "failed")
    return _POSTGRESQL_WORDS.get(getattr(error, "sqlstate", None) or "", "not reached")
