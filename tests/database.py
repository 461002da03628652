"""A look at the bridge's database beside it. Two SQLite libraries in one process would break each other's locks."""

from sqlalchemy import Engine, create_engine

from bridge.outbox.sqlite_engine import sqlite3


def engine_of(url: str) -> Engine:
    """Return an engine of SQLAlchemy's own for a URL of bridge.yml, with the library that the bridge uses."""
    if url.startswith("sqlite:"):
        return create_engine(url, module=sqlite3)
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
