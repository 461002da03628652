"""An older database becomes the newest."""

import pytest
from sqlalchemy import inspect, text

from bridge.outbox.rows import alert_json, alert_of
from bridge.outbox.schema import VERSION
from exporter.toolkit.config_types import ConfigError
from tests.bridge.alerts import alert_at
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


def test_migrations_lead_to_the_current_schema(database_url, outbox):
    """The migrated schema equals a new one, and the data is kept."""
    outbox.set_aside("vigilmon", "s", "odd", "body", 1.0)
    engine = engine_of(database_url)
    with engine.begin() as connection:
        new = shape(connection)
        for statement in (
            "DROP TABLE members",
            "DROP TABLE share_quotas",
            "ALTER TABLE incidents DROP COLUMN details",
            "ALTER TABLE keys DROP COLUMN destination",
            "ALTER TABLE keys DROP COLUMN app_key",
            "ALTER TABLE quarantine DROP COLUMN size",
            "DROP TABLE watchdog_heartbeats",
            "DROP TABLE last_heard",
            "DROP TABLE unconfirmed",
            "DROP TABLE watermarks",
            "ALTER TABLE destinations DROP COLUMN opened_at",
            "ALTER TABLE destinations DROP COLUMN url",
            "ALTER TABLE destinations DROP COLUMN token_proof",
            "CREATE TABLE heartbeats (source TEXT)",
            "UPDATE schema_version SET version = 3",
        ):
            connection.execute(text(statement))
    outbox.close()
    again = Store(database_url)
    assert [one.body for one in again.quarantine.oldest()] == ["body"]
    again.close()
    with engine.connect() as connection:
        assert shape(connection) == new
        assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [VERSION]
        assert connection.execute(text("SELECT size FROM quarantine")).scalars().all() == [4]
    engine.dispose()


def test_alert_of_an_earlier_version_is_read():
    """It has a member that repeated whether the sender's time is known."""
    alert = alert_at(1.0, at=1.0)
    assert alert_of(alert_json(alert).replace("{", '{"ordered":true,', 1)) == alert


@pytest.mark.parametrize(("version", "words"), [(2, "from before the first release"), (VERSION + 1, "use a newer one")])
def test_unreleased_schema_is_an_error(database_url, outbox, version, words):
    """One line says what to do, and nothing is changed."""
    outbox.close()
    engine = engine_of(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = :version"), {"version": version})
    with pytest.raises(ConfigError, match=words):
        Store(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [version]
    engine.dispose()
