"""The base of the repositories: rows, pages of rows and changes, each in a transaction of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Executable, Select, Table, func

from bridge.outbox.database import Database

T = TypeVar("T")

SHOWN: Final = 20_000
"""Most characters of a body on a page."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The rows requested: `limit` of them, by default all, after `offset` others."""

    limit: int = 1_000_000
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and their total number; a lower bound if counting would cost too much.

    `partial`: the search ended before it had covered everything.
    """

    rows: Sequence[T]
    total: int
    partial: bool = False


class Repository:
    """Reads and writes one database. Methods raise Unavailable if it cannot be used now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        """Return all rows of a query."""
        with self._database.read() as connection:
            return connection.execute(query).all()

    def _all(self, query: Select[Any], made: Callable[..., T]) -> list[T]:
        """Return what is `made` of the columns of each row of a query."""
        return [made(**row._asdict()) for row in self._rows(query)]

    def _page(self, query: Select[Any], request: PageRequest, made: Callable[..., T]) -> Page[T]:
        """Return the same of the requested rows only, and the number of all rows."""
        counted = query.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(request.limit).offset(request.offset))
            return Page([made(**row._asdict()) for row in rows], connection.execute(counted).scalar_one())

    def _change(self, statement: Executable, rows: Sequence[Mapping[str, object]] | None = None) -> int:
        """Execute one statement, once for each of `rows` if given; return the number of rows changed."""
        with self._database.write() as connection:
            return connection.execute(statement, rows).rowcount


def columns(table: Table, members: type[Any], *, cut: bool = False) -> list[ColumnElement[Any]]:
    """Return the columns of a table that are members of a dataclass; `cut`: with only as much of `body` as is shown."""
    found = {member.name: table.c[member.name] for member in fields(members) if member.name in table.c}
    return [
        (func.substr(column, 1, SHOWN) if cut and name == "body" else column).label(name)
        for name, column in found.items()
    ]
