"""The raw limit: a loop that does nothing but write the rows of a webhook durably, into the bridge's own tables."""

import time
from pathlib import Path

import psycopg

from bridge.outbox import schema
from bridge.outbox.sqlite_engine import sqlite3
from tests.database import engine_of

_AT = 1_800_000_000.0
_TEXT = "x" * 200
_EVENT = {
    "receiver": "alertmanager", "source": "prod", "app_key": "app", "kind": "open", "status": "critical", "priority": 0,
    "timestamp": int(_AT), "body": _TEXT * 3, "content": "c" * 32, "replaces": "", "alert": _TEXT * 3,
    "state": "waiting", "reason": "", "attempts": 0, "accepted_at": _AT, "queued_at": _AT, "not_before": 0.0,
    "closed_at": None, "lease_token": "", "lease_until": 0.0, "seq": 1,
}  # fmt: skip
_KEY = {
    "receiver": "alertmanager", "source": "prod", "status": "critical", "content": "c" * 32, "timestamp": int(_AT),
    "seq": 1, "told_at": _AT, "starts_at": _AT, "ended_at": None, "at": None, "doubtful": False, "alert": _TEXT * 3,
    "updated_at": _AT, "destination": "bigpanda", "app_key": "app",
}  # fmt: skip


def sqlite_alerts(folder: Path, alerts: int, seconds: float, journal: str) -> float:
    """Return alerts per second: one transaction of so many alerts after the other, each on the disk before the next."""
    path = folder / f"raw-{journal}-{alerts}.db"
    engine = engine_of(f"sqlite:///{path}")
    with engine.begin() as connection:
        schema.migrate(connection)
    engine.dispose()
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute(f"PRAGMA journal_mode={journal}")
    raw.execute("PRAGMA synchronous=FULL")
    event, key = _statement("events", _EVENT, ":"), _statement("keys", _KEY, ":")

    def write(names: list[str]) -> None:
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(event, [_EVENT | {"key": name} for name in names])
        raw.executemany(key, [_KEY | {"key": name} for name in names])
        raw.execute("COMMIT")

    try:
        return _paced(write, alerts, seconds)
    finally:
        raw.close()


def postgresql_alerts(url: str, alerts: int, seconds: float) -> float:
    """Return the same of PostgreSQL, over one connection."""
    engine = engine_of(url)
    with engine.begin() as connection:
        schema.migrate(connection)
    engine.dispose()
    event, key = _statement("events", _EVENT, "%"), _statement("keys", _KEY, "%")
    with psycopg.connect(url) as raw:

        def write(names: list[str]) -> None:
            with raw.cursor() as cursor:
                cursor.executemany(event, [_EVENT | {"key": name} for name in names])
                cursor.executemany(key, [_KEY | {"key": name} for name in names])
            raw.commit()

        return _paced(write, alerts, seconds)


def _statement(table: str, row: dict[str, object], mark: str) -> str:
    names = [*row, "key"]
    marks = [f":{name}" if mark == ":" else f"%({name})s" for name in names]
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table} ({quoted}) VALUES ({', '.join(marks)})"  # noqa: S608  names of our own


def _paced(write, alerts: int, seconds: float) -> float:
    began, done = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < seconds:
        write([f"prod:{done + place:012x}" for place in range(alerts)])
        done += alerts
    return done / took
