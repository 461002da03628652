"""Snapshots in PostgreSQL, written only by the leader."""

import threading
import zlib
from collections.abc import Hashable, Iterable, Sequence
from hashlib import sha256
from typing import Any, Final, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import scalar_row

from exporter.toolkit.config_types import ConfigError, Secret
from exporter.toolkit.postgresql_errors import reason

EVERY: Final = 1.0
"""Seconds between two writes of one snapshot, and so the delay of a follower."""
LEASE: Final = 3.0
"""Seconds for which a confirmed lock counts as held."""
PATIENCE: Final = 10
"""Timeout in seconds for reading or writing one snapshot."""
_SESSION: Final = (
    # A leader whose machine is gone must not hold the lock for hours.
    "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 -c tcp_user_timeout=5000 "
    # A crash loses the last second's commits, which `loss_window` allows for.
    "-c synchronous_commit=off -c idle_in_transaction_session_timeout=10s"
)
_RELEASE: Final = "SELECT set_config(name, '10s', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
"""Ends the session, and so the lock, of a leader that hangs and no longer confirms it; PostgreSQL 13 cannot do that."""
_CLIENT: Final = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    "target_session_attrs": "read-write",  # a standby grants locks too, but only to itself
    "application_name": "vendorwatch-exporter",
}
_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS vendorwatch_exporter_terms (shard text PRIMARY KEY, term bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS vendorwatch_exporter_snapshots (
        shard text, name text, version bigint NOT NULL, document bytea NOT NULL, PRIMARY KEY (shard, name)
    );
    ALTER TABLE vendorwatch_exporter_snapshots ALTER document SET STORAGE EXTERNAL
"""
AWAY: Final = frozenset({"timeout", "connection refused", "name not found", "starting up", "not reached"})
"""Reasons that alternate while a database is unavailable."""


class Database:
    """The snapshots of one shard. Reads and writes are safe from any thread; `look` and the lock are `Leadership`'s."""

    every = EVERY
    loss_window = EVERY + LEASE

    def __init__(self, url: Secret, shard: str) -> None:
        """Check `url` without connecting. Raises ConfigError if it is not a PostgreSQL URL."""
        self._url = url
        self._shard = shard
        self._turn = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._versions: dict[str, int] = {}
        self.term: int | None = None
        """The term in which this exporter leads."""
        try:
            parameters(url)
        except ValueError as error:
            raise ConfigError([f"cannot use --storage.url: {error}"]) from None

    def connect(self, patience: int) -> psycopg.Connection[Any]:
        """Open a connection with a statement timeout of `patience` seconds; all our statements return one value."""
        found = parameters(self._url)
        given = found.pop("options", "")
        options = f"{_SESSION} -c statement_timeout={patience}s -c lock_timeout={patience}s {given}"
        return psycopg.connect(**{**_CLIENT, **found, "options": options}, autocommit=True, row_factory=scalar_row)

    def close(self) -> None:
        """Close the connection for reads and writes."""
        # A write that hangs must not delay the end of the program.
        if self._turn.acquire(timeout=1.0):
            if self._connection:
                self._connection.close()
            self._turn.release()

    def prepare(self, connection: psycopg.Connection[Any]) -> None:
        """Create the tables if they are missing. A user without that permission can use existing ones."""
        there = "SELECT to_regclass('vendorwatch_exporter_snapshots') IS NOT NULL"
        if not connection.execute(there).fetchone():
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [key("tables")])
                connection.execute(_TABLES)

    def lead(self, connection: psycopg.Connection[Any]) -> int | None:
        """Try to take the lock and begin a new term; return None while another exporter has it.

        Writes of earlier terms are rejected from then on.
        """
        if not connection.execute("SELECT pg_try_advisory_lock(%s)", [key(self._shard)]).fetchone():
            return None
        connection.execute(_RELEASE)
        begin = """INSERT INTO vendorwatch_exporter_terms AS known VALUES (%s, 1)
                   ON CONFLICT (shard) DO UPDATE SET term = known.term + 1 RETURNING term"""
        return connection.execute(begin, [self._shard]).fetchone()

    def accepts(self, connection: psycopg.Connection[Any]) -> bool:
        """Return whether this exporter's term is still the current one, so that its writes are accepted."""
        current = "SELECT EXISTS (SELECT FROM vendorwatch_exporter_terms WHERE shard = %s AND term = %s)"
        return bool(connection.execute(current, [self._shard, self.term]).fetchone())

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Read the versions of the stored snapshots."""
        listed = "SELECT json_object_agg(name, version) FROM vendorwatch_exporter_snapshots WHERE shard = %s"
        self._versions = connection.execute(listed, [self._shard]).fetchone() or {}

    def stamp(self, name: str) -> Hashable:
        """Return the version of `name`, as of the last look."""
        return self._versions.get(name)

    def read(self, name: str) -> bytes | None:
        """Return the content of `name`."""
        find = "SELECT document FROM vendorwatch_exporter_snapshots WHERE shard = %s AND name = %s"
        found = self._execute(find, [self._shard, name])
        try:
            return None if found is None else zlib.decompress(found)
        except zlib.error as error:
            raise ValueError("not in our compressed format") from error

    def write(self, name: str, content: Iterable[bytes]) -> None:
        """Replace `name`. Raises OSError if this exporter's term is over or the database is unusable."""
        if self.term is None:
            raise OSError(0, "another exporter may lead")
        packer = zlib.compressobj(1)
        packed = b"".join([*map(packer.compress, content), packer.flush()])
        replace = """INSERT INTO vendorwatch_exporter_snapshots (shard, name, version, document)
                     SELECT shard, %s, txid_current(), %b FROM vendorwatch_exporter_terms
                     WHERE shard = %s AND term = %s FOR SHARE
                     ON CONFLICT (shard, name) DO UPDATE SET version = excluded.version, document = excluded.document
                     RETURNING version"""
        written = self._execute(replace, [name, packed, self._shard, self.term])
        if written is None:
            raise OSError(0, "another exporter leads")
        self._versions = {**self._versions, name: written}

    def _execute(self, statement: LiteralString, values: Sequence[object]) -> Any:
        """Return the only value, None if there is no row. Raises OSError with our reason.

        Retries once if the connection broke since its last use.
        """
        with self._turn:
            for is_last in (False, True):
                try:
                    if self._connection is None or self._connection.closed:
                        self._connection = self.connect(PATIENCE)
                    return self._connection.execute(statement, values, binary=True).fetchone()
                except (psycopg.Error, ValueError) as error:  # ValueError: the file of the URL holds none now
                    if is_last or self._connection is None or not self._connection.closed:
                        raise OSError(0, f"PostgreSQL: {word(error)}") from error
        return None


def parameters(url: Secret) -> dict[str, Any]:
    """Parse a URL with libpq. Raises ValueError, quoting none of it, if it is not a PostgreSQL URL."""
    text = url.read()
    form = "write it like postgresql://user:password@host:5432/database, with special characters of a password escaped"
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(form)
    try:
        found = conninfo_to_dict(text)
    except psycopg.Error:
        raise ValueError(form) from None
    if "@" in str(found.get("host", "")) or "@" in str(found.get("dbname", "")):
        raise ValueError(form)  # an unescaped @ or / in the password shifted the rest
    return found


def key(name: str) -> int:
    """Return the key of the advisory lock of this name: 64 bits, signed."""
    return int.from_bytes(sha256(f"vendorwatch-exporter {name}".encode()).digest()[:8], signed=True)


def word(error: Exception) -> str:
    """Return the reason of an error, in words that reveal nothing of the URL."""
    if not isinstance(error, psycopg.Error):
        return error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
    return reason(error)
