"""An older database becomes the newest."""

from sqlalchemy import inspect, text

from bridge.outbox.schema import VERSION
from tests.database import engine_of
from tests.store import Store


def shape(connection):
    """Return the tables with their columns, and their indexes. SQLite has two words for the same number."""
    seen = inspect(connection)
    return {
        table: (
            {(one["name"], str(one["type"]).replace("REAL", "DOUBLE"), one["nullable"]) for one in columns},
            {index["name"] for index in seen.get_indexes(table)},
        )
        for (_, table), columns in seen.get_multi_columns().items()
    }


def test_the_first_database_becomes_the_newest(database_url, outbox):
    """What the steps make of it is what a new one is made as."""
    engine = engine_of(database_url)
    with engine.begin() as connection:
        new = shape(connection)
        for statement in (
            "DROP TABLE incidents",
            "DROP TABLE callbacks",
            "DROP TABLE identity",
            "DROP INDEX events_key",
            "DROP TABLE watchdog_heartbeats",
            "DROP TABLE last_heard",
            "DROP TABLE unconfirmed",
            "DROP TABLE watermarks",
            "ALTER TABLE destinations DROP COLUMN opened_at",
            "CREATE TABLE heartbeats (source TEXT)",
            "UPDATE schema_version SET version = 1",
        ):
            connection.execute(text(statement))
    outbox.close()
    Store(database_url).close()
    with engine.connect() as connection:
        assert shape(connection) == new
        assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [VERSION]
    engine.dispose()
