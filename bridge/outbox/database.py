"""Database access: engines, the settings that make a commit durable, and the mapping of errors."""

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Engine,
    ExceptionContext,
    any_,
    bindparam,
    cast,
    create_engine,
    event,
    extract,
    func,
    literal,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bridge.errors import Unavailable
from bridge.outbox import schema, sqlite_engine
from exporter.toolkit import postgresql_errors
from exporter.toolkit.config_types import ConfigError

LARGEST_RESERVE = 64_000_000
"""Bytes of disk, or a tenth of a small one, that webhooks leave free, so that delivery can still record results."""
BUSY_TIMEOUT = 5.0
"""Seconds to wait for another writer."""
_FOR_READERS = 1.0
"""Seconds that webhooks may wait for a checkpoint of the log."""
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
_SESSION = (
    "-c synchronous_commit=on -c lock_timeout=5s -c statement_timeout=30s "
    # A replica that freezes, or whose machine is gone, must not lock its alerts for hours.
    "-c idle_in_transaction_session_timeout=30s"
)
_CLIENT = {
    "connect_timeout": 5,
    # A server that vanishes with a statement under way would be waited for for two hours.
    "tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
}  # fmt: skip


T = TypeVar("T")


class Database:
    """One database and its connections. SQLite has one writer at a time, which never starts as a reader."""

    def __init__(self, url: str, current: Callable[[], str] | None = None) -> None:
        """Open it. `current`: returns the URL as it is now; new connections use its user and password."""
        self._url = found = location(url)
        self._current = current or (lambda: url)
        self.postgresql = found.get_backend_name() == "postgresql"
        self._files = sqlite_engine.Files(Path(found.database or "").absolute())
        self._engines: list[Engine] = []
        self._turn = threading.Lock()
        if not self.postgresql:
            self._files.check()
        self._writer = self._open(writes=True)
        self._reader = self._writer if self.postgresql else self._open(writes=False)
        try:
            with self.write() as connection:
                schema.migrate(connection)
        except BaseException:
            self.close()
            raise

    def _open(self, *, writes: bool) -> Engine:
        if self.postgresql:
            made = _postgresql(self._url)
            event.listen(made, "do_connect", self._renew)
        else:
            made = sqlite_engine.engine(self._url, self._files, writes=writes, patience=BUSY_TIMEOUT)
        self._engines.append(made)
        return made

    def leads_to(self, url: str) -> bool:
        """Return whether this is the database of `url`, whatever the user."""
        with suppress(ConfigError):
            place = attrgetter("drivername", "host", "port", "database", "query")
            return bool(place(location(url)) == place(self._url))
        return False

    def _renew(self, _dialect: Dialect, _record: object, _arguments: object, given: dict[str, Any]) -> None:
        if self.leads_to(current := self._current()):  # otherwise two databases would be mixed
            url = location(current)
            now = {"user": url.username, "password": url.password}
            given.update({name: value for name, value in now.items() if value is not None})  # its query may have them

    def close(self) -> None:
        """Close every connection."""
        for engine in self._engines:
            engine.dispose()

    def reserved(self) -> Self:
        """Return the same database with connections of its own, which no page takes. It is closed with this one."""
        made = copy(self)
        made._reader = self._open(writes=False)  # noqa: SLF001  one of us
        if self.postgresql:
            made._writer = made._reader  # noqa: SLF001  one of us
        return made

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a transaction that is durable once this ends. Raises Unavailable if that is impossible now."""
        with self._meanings():
            if self.postgresql:
                with self._writer.begin() as connection:
                    yield connection
                return
            # No longer than for other writers: behind a locked database ours would queue for ever.
            if not self._turn.acquire(timeout=BUSY_TIMEOUT):
                raise Unavailable("database: busy")
            try:
                with self._writer.begin() as connection:
                    if not self._files.there():
                        raise Unavailable("database: gone")
                    yield connection
                self._files.checkpoint(_FOR_READERS)  # the commit stands, whatever the result of this
            finally:
                self._turn.release()

    def refuse_when_full(self) -> None:
        """Raise Unavailable if only the space reserved for delivery is left: a full queue must still drain."""
        if self.postgresql:
            return
        try:
            disk = os.statvfs(self._files.path.parent)
        except OSError as error:
            raise Unavailable(f"database: its folder: {error.strerror}") from error
        if disk.f_bavail * disk.f_frsize <= min(LARGEST_RESERVE, disk.f_blocks * disk.f_frsize // 10):
            raise Unavailable("database: disk full")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a consistent view."""
        if not (self.postgresql or self._files.there()):
            raise Unavailable("database: gone")
        with self._meanings(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def _meanings(self) -> Iterator[None]:
        """Turn errors, the driver's own or SQLAlchemy's, into `Unavailable`, except those that a retry cannot fix."""
        driver: Any = self._writer.dialect.dbapi
        wrong_again = [driver.IntegrityError, driver.DataError, driver.ProgrammingError]
        if not self.postgresql:
            wrong_again.append(driver.InterfaceError)  # about a value, never about the connection
        try:
            yield
        except PoolTimeoutError as error:
            raise Unavailable("database: busy") from error
        except (DBAPIError, driver.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if isinstance(cause, tuple(wrong_again)) and not postgresql_errors.known(cause):
                raise
            ours = (word for part, word in _SQLITE_WORDS if part in str(cause))
            word = postgresql_errors.reason(cause) if self.postgresql else next(ours, "failed")
            raise Unavailable(f"database: {word}") from error

    def clock(self, now: float) -> ColumnElement[float]:
        """Return the time for leases: the database's own if several machines share it."""
        return cast(extract("epoch", func.statement_timestamp()), Double) if self.postgresql else literal(now)

    def insert(self, table: Any) -> Any:
        """Return an INSERT that supports `on_conflict_do_update`."""
        return postgresql.insert(table) if self.postgresql else sqlite.insert(table)

    def upsert(self, table: Any, *index: str) -> Any:
        """Return an INSERT that replaces the row with the same `index`."""
        made = self.insert(table)
        replaced = {column.key: made.excluded[column.key] for column in table.c if column.key not in index}
        return made.on_conflict_do_update(index_elements=index, set_=replaced)

    def among(self, column: ColumnElement[T], values: Collection[T] | None = None) -> ColumnElement[bool]:
        """Return the condition that a column has one of these values, or of the bound `names`: always one parameter."""
        given = {} if values is None else {"value": self.names(values)["names"], "unique": True}
        if self.postgresql:
            return column == any_(bindparam("names", type_=ARRAY(column.type), **given))
        return column.in_(select(func.json_each(bindparam("names", **given)).table_valued("value").c.value))

    def names(self, names: Collection[object]) -> dict[str, Any]:
        """Return the parameters of a statement with `among` that was built without values."""
        return {"names": list(names) if self.postgresql else msgspec.json.encode(list(names)).decode()}


def location(url: str) -> URL:
    """Return the location of a database that bridge.yml may name. Raises ConfigError if it is not a URL."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(["database: not a URL: write it like sqlite:////var/lib/vendorwatch/bridge.db"]) from None
    return found.set(drivername="postgresql+psycopg") if found.drivername.startswith("postgres") else found


def check(url: str) -> None:
    """Check that a database is supported, without connecting. Raises ConfigError if not."""
    found = location(url)
    if found.get_backend_name() == "postgresql":
        _postgresql(found).dispose()


def _postgresql(url: URL) -> Engine:
    _, given = url.get_dialect()().create_connect_args(url)
    if "," in str(given.get("host")):  # of several servers use the one that accepts writes
        given = {"target_session_attrs": "read-write", **given}
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_timeout=BUSY_TIMEOUT,
            isolation_level="READ COMMITTED",
            connect_args={**_CLIENT, **given, "options": f"{given.get('options', '')} {_SESSION}"},
        )
    except ImportError:
        raise ConfigError(["database: PostgreSQL needs the extra: pip install 'vendorwatch[postgresql]'"]) from None
    driver: Any = engine.dialect.dbapi
    try:
        driver.conninfo.make_conninfo(**url.query)
    except driver.Error as error:
        raise ConfigError([f"database: {str(error).splitlines()[0]}"]) from None

    @event.listens_for(engine, "handle_error")
    def _leave_standby(context: ExceptionContext) -> None:
        """Replace all connections if one is read-only: it may lead to the former primary, which answers for ever."""
        if getattr(context.original_exception, "sqlstate", None) == "25006":
            context.is_disconnect = True

    return engine
