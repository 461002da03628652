"""Statements of the hot path: as SQLAlchemy states them, but written out once and handed to the driver itself.

To state one takes SQLAlchemy longer than the database takes to run it, and it looks again at every row of many. They
run in SQLAlchemy's transaction; what they raise is the driver's.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import starmap
from operator import itemgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Dialect, Insert, Select

R = TypeVar("R")


class Rows:
    """An INSERT of whole rows: of the `columns` that it is given."""

    def __init__(self, statement: Insert, columns: Sequence[str], dialect: Dialect) -> None:
        compiled = statement.inline().compile(dialect=_positional(dialect), column_keys=list(columns))
        self._sql = str(compiled)
        self._values = itemgetter(*_places(compiled))

    def write(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows that have, at least, these columns."""
        _cursor(connection).executemany(self._sql, list(map(self._values, rows)))


class Command:
    """A statement with bound values."""

    def __init__(self, statement: Insert | Select[Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=_positional(dialect))
        self._sql = str(compiled)
        self._places = _places(compiled)
        self._constants = compiled.params

    def run(self, connection: Connection, **values: Any) -> Any:
        """Run it with `values`, by the names of the bound ones; return the driver's cursor."""
        bound = {**self._constants, **values}
        cursor = _cursor(connection)
        cursor.execute(self._sql, [bound[name] for name in self._places])
        return cursor


class Query(Command, Generic[R]):
    """A SELECT, each row of which is made one of ours by `row`, column by column."""

    def __init__(self, statement: Select[Any], row: Callable[..., R], dialect: Dialect) -> None:
        super().__init__(statement, dialect)
        self._row = row

    def read(self, connection: Connection, **values: Any) -> list[R]:
        """Return the rows that it finds."""
        return list(starmap(self._row, self.run(connection, **values).fetchall()))


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.dbapi_connection
    return driver.cursor()


def _positional(dialect: Dialect) -> Dialect:
    kind: Any = type(dialect)
    positional: Dialect = kind(paramstyle="qmark" if dialect.paramstyle == "qmark" else "format")
    return positional


def _places(compiled: Any) -> list[str]:
    return list(compiled.positiontup)
