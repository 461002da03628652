"""The tables, one schema for SQLite and PostgreSQL, and the migrations."""

from collections.abc import Iterator
from itertools import chain

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    insert,
    inspect,
    literal_column,
    select,
    text,
    update,
)

from exporter.toolkit.config_types import ConfigError

metadata = MetaData()

_Id = BigInteger().with_variant(Integer, "sqlite")


def _texts(*names: str) -> Iterator[Column[str]]:
    """Yield non-null text columns."""
    return (Column(name, Text, nullable=False) for name in names)


versions = Table("schema_version", metadata, Column("version", Integer, nullable=False))

alert_states = Table(
    "keys",
    metadata,
    Column("key", Text, primary_key=True),
    *_texts("receiver", "source"),
    Column("status", Text, nullable=False, comment="as BigPanda shows it, or will; empty: nothing is known yet"),
    Column("content", Text, key="content_hash", nullable=False, comment="hash of what BigPanda shows, or will"),
    Column("timestamp", BigInteger, nullable=False, comment="of the newest event"),
    Column("seq", Integer, nullable=False, comment="of the newest event"),
    Column("told_at", Double, key="queued_at", nullable=False),
    Column("starts_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("at", Double),
    Column("doubtful", Boolean, key="possibly_stale", nullable=False, comment="fired before the last resolution"),
    Column("alert", Text, nullable=False, comment="the last alert, as JSON"),
    Column("updated_at", Double, nullable=False),
    Column("destination", Text, nullable=False, comment="where BigPanda took in that it is open; empty: not known"),
    Column("app_key", Text, nullable=False, comment="under which it took that in"),
)
opened = (alert_states.c.status != literal_column("'ok'")) & (alert_states.c.status != literal_column("''"))
"""Written exactly as in the partial index; a row with an empty status is only reserved."""
_not_ok = alert_states.c.status != literal_column("'ok'")
Index("keys_open", alert_states.c.source, alert_states.c.status, sqlite_where=_not_ok, postgresql_where=_not_ok)

members = Table(
    "members",
    metadata,
    Column("member", Text, primary_key=True, comment="own key of a firing alert"),
    Column("key", Text, nullable=False, comment="identity that it shares"),
    Column("status", Text, nullable=False),
    Column("alert", Text, nullable=False, comment="as JSON"),
)
Index("members_key", members.c.key)

events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("key", Text, nullable=False),
    Column("seq", Integer, nullable=False, comment="order within the key"),
    *_texts("receiver", "source", "app_key", "kind", "status"),
    Column("priority", Integer, nullable=False, comment="0 critical, 1 a resolution, 2 the rest"),
    Column("timestamp", BigInteger, nullable=False),
    Column("body", Text, nullable=False, comment="the JSON that is sent, never changed"),
    Column("content", Text, nullable=False),
    Column("replaces", Text, nullable=False, comment="the content that BigPanda shows without this event"),
    Column("alert", Text, nullable=False, comment="what it was made from, as JSON: it can be mapped again"),
    Column("state", Text, nullable=False, comment="waiting, sent, superseded, dead, discarded"),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("accepted_at", Double, nullable=False, comment="when its webhook came"),
    Column("queued_at", Double, nullable=False, comment="its place in the queue"),
    Column("not_before", Double, nullable=False),
    Column("closed_at", Double, comment="when it was sent, given up or replaced"),
    Column("lease_token", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
)
waiting = events.c.state == literal_column("'waiting'")
"""A literal, not a bound parameter: otherwise SQLite does not use the partial index."""
Index("events_queue", events.c.priority, events.c.queued_at, sqlite_where=waiting, postgresql_where=waiting)
Index("events_line", events.c.key, events.c.seq, unique=True, sqlite_where=waiting, postgresql_where=waiting)
dead = events.c.state == literal_column("'dead'")
Index("events_dead", events.c.id, sqlite_where=dead, postgresql_where=dead)
closed = events.c.closed_at.is_not(None)
Index("events_closed", events.c.closed_at, sqlite_where=closed, postgresql_where=closed)
Index("events_key", events.c.key, events.c.seq)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _Id, primary_key=True),
    *_texts("receiver", "source", "reason"),
    Column("size", Integer, nullable=False, comment="characters of the body"),
    Column("body", Text, nullable=False),
    Column("received_at", Double, nullable=False),
    sqlite_autoincrement=True,  # no id twice: a page that was loaded before would discard what nobody has seen
)

watchdog_heartbeats = Table(
    "watchdog_heartbeats",
    metadata,
    *_texts("receiver", "source"),
    Column("key", Text, nullable=False, comment="identity of the watchdog's alert, one for each label set"),
    Column("labels", Text, nullable=False, comment="as JSON"),
    Column("firing", Boolean, nullable=False),
    Column("heard_at", Double, nullable=False),
    PrimaryKeyConstraint("receiver", "source", "key"),
)

last_heard = Table(
    "last_heard",
    metadata,
    Column("key", Text, primary_key=True),
    Column("at", Double, nullable=False, comment="when its sender last repeated it; where resolve_after needs that"),
)

unconfirmed = Table(
    "unconfirmed",
    metadata,
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("looks", Integer, nullable=False, comment="in how many it was missed since it was sent"),
    Column("resends", Integer, nullable=False),
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Double, nullable=False, comment="until when what it is about was looked at"),
)

senders = Table(
    "senders",
    metadata,
    *_texts("receiver", "source"),
    Column("name", Text, nullable=False, comment="Alertmanager's own name of its receiver"),
    PrimaryKeyConstraint("receiver", "source", "name"),
)

destinations = Table(
    "destinations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("up", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("opened_at", Double, nullable=False, server_default="0"),
    Column("not_before", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("url", Text, nullable=False, server_default="", comment="empty: it is not known, or holds a secret"),
    Column("token_proof", Text, nullable=False, server_default="", comment="by which a token is known again"),
)

roles = Table(
    "roles",
    metadata,
    Column("role", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", Double, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    *_texts("source", "id", "status", "severity"),
    Column("active", Boolean, nullable=False),
    Column("environment", Text, nullable=False),
    Column("started_at", Double),
    Column("updated_at", Double, nullable=False, comment="by BigPanda's clock"),
    Column("ended_at", Double),
    Column("snoozed", Boolean, nullable=False),
    Column("snoozed_until", Double),
    Column("alerts", Text, key="keys", nullable=False, comment="keys of our alerts in it, as JSON"),
    *_texts("who", "link"),
    Column("by_hand", Text, key="closed_manually", nullable=False, comment="what still fired then, as JSON"),
    Column("closed_at", Double),
    Column("acknowledged_at", Double),
    Column("first_heard_at", Double, nullable=False),
    Column("heard_at", Double, nullable=False, comment="0: it was only reserved"),
    Column("seen", Text, nullable=False, comment="digests of what was heard of this updated_at, as JSON"),
    Column("details", Text, nullable=False, server_default="{}", comment="assignee, comments, tags and more, as JSON"),
    PrimaryKeyConstraint("source", "id"),
)

callbacks = Table(
    "callbacks",
    metadata,
    *_texts("source", "incident"),
    Column("state", Text, nullable=False, comment="waiting, done, dead"),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("closed_at", Double),
    PrimaryKeyConstraint("source", "incident"),
)

share_quotas = Table(
    "share_quotas",
    metadata,
    Column("source", Text, primary_key=True),
    Column("available", Double, nullable=False, comment="until BigPanda resets the count"),
)

identity = Table(
    "identity",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, comment="this database's own: sets our silences apart from another bridge's"),
)

_CONFIRMATIONS = (
    """CREATE TABLE watchdog_heartbeats (
        receiver TEXT NOT NULL, source TEXT NOT NULL, key TEXT NOT NULL, labels TEXT NOT NULL, firing BOOLEAN NOT NULL,
        heard_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (receiver, source, key))""",
    "CREATE TABLE last_heard (key TEXT NOT NULL PRIMARY KEY, at DOUBLE PRECISION NOT NULL)",
    "CREATE TABLE unconfirmed (event BIGINT NOT NULL PRIMARY KEY, looks INTEGER NOT NULL, resends INTEGER NOT NULL)",
    "CREATE TABLE watermarks (name TEXT NOT NULL PRIMARY KEY, at DOUBLE PRECISION NOT NULL)",
    "ALTER TABLE destinations ADD COLUMN opened_at DOUBLE PRECISION DEFAULT 0 NOT NULL",
    "DROP TABLE heartbeats",
)
_DESTINATIONS_AND_MEMBERS = (
    "ALTER TABLE keys ADD COLUMN destination TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE keys ADD COLUMN app_key TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE quarantine ADD COLUMN size INTEGER NOT NULL DEFAULT 0",
    "UPDATE quarantine SET size = length(body)",
    "ALTER TABLE incidents ADD COLUMN details TEXT NOT NULL DEFAULT '{}'",
    """CREATE TABLE members (
        member TEXT NOT NULL PRIMARY KEY, key TEXT NOT NULL, status TEXT NOT NULL, alert TEXT NOT NULL)""",
    "CREATE INDEX members_key ON members (key)",
    "CREATE TABLE share_quotas (source TEXT NOT NULL PRIMARY KEY, available DOUBLE PRECISION NOT NULL)",
)
_ADDRESSES = (
    "ALTER TABLE destinations ADD COLUMN url TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE destinations ADD COLUMN token_proof TEXT DEFAULT '' NOT NULL",
)
_OLDEST = 3  # of the first release
MIGRATIONS = (_CONFIRMATIONS, _DESTINATIONS_AND_MEMBERS, _ADDRESSES)
"""MIGRATIONS[n] takes a database from version _OLDEST + n to the next. Released migrations never change."""
VERSION = _OLDEST + len(MIGRATIONS)
_LOCK = 7_246_501_187
"""The advisory lock that keeps two replicas from migrating at once; any number."""


def migrate(connection: Connection) -> None:
    """Migrate the database to `VERSION`. Raises ConfigError if it is newer than this program, or too old."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if not inspect(connection).has_table(versions.name):
        metadata.create_all(connection)
        connection.execute(insert(versions).values(version=VERSION))
        return
    found = connection.execute(select(func.max(versions.c.version))).scalar() or 0
    if found > VERSION:
        raise ConfigError([f"database: its schema is version {found}, this program knows {VERSION}: use a newer one"])
    if found < _OLDEST:
        raise ConfigError([f"database: its schema is version {found}, from before the first release: name a new file"])
    for statement in chain(*MIGRATIONS[found - _OLDEST :]):
        connection.execute(text(statement))
    if found < VERSION:
        connection.execute(update(versions).values(version=VERSION))
