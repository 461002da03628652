"""Statements of the hot path: as SQLAlchemy states them, but written out once and handed to the driver itself.

To state one takes SQLAlchemy longer than the database takes to run it, and it looks again at every row of many. They
run in SQLAlchemy's transaction; what they raise is the driver's.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, starmap
from operator import itemgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Dialect, Insert, Select, bindparam

TOGETHER = 50
"""Rows in one statement: at each statement the driver lets another thread have the interpreter, and waits for it."""
R = TypeVar("R")


class Rows:
    """An INSERT of whole rows: of the `columns` that it is given."""

    def __init__(self, statement: Insert, columns: Sequence[str], dialect: Dialect) -> None:
        one = statement.inline().compile(dialect=_positional(dialect), column_keys=list(columns))
        places = _places(one)
        many: list[dict[str, Any]] = [{name: bindparam(f"{name}_{row}") for name in places} for row in range(TOGETHER)]
        self._one = str(one)
        self._many = str(statement.inline().values(many).compile(dialect=_positional(dialect)))
        self._values = itemgetter(*places)

    def write(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows that have, at least, these columns."""
        cursor, values = _cursor(connection), list(map(self._values, rows))
        whole = len(values) - len(values) % TOGETHER
        for start in range(0, whole, TOGETHER):
            cursor.execute(self._many, tuple(chain.from_iterable(values[start : start + TOGETHER])))
        if whole < len(values):
            cursor.executemany(self._one, values[whole:])


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
