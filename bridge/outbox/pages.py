"""Pages of rows for the operator's page, all of whose queries are bounded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func

T = TypeVar("T")

SHOWN: Final = 20_000
"""Most characters of a body on a page."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The rows requested: `limit` of them, after `offset` others."""

    limit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and their total number; a lower bound if counting would cost too much.

    `partial`: the search ended before it had covered everything.
    """

    rows: Sequence[T]
    total: int
    partial: bool = False


def columns(table: Table, members: type[Any], *, cut: bool = False) -> list[ColumnElement[Any]]:
    """Return the columns of a table that are members of a dataclass; `cut`: with only as much of `body` as is shown."""
    found: list[ColumnElement[Any]] = [table.c[member.name] for member in fields(members) if member.name in table.c]
    return [func.substr(one, 1, SHOWN).label("body") if cut and one.key == "body" else one for one in found]


def page_of(connection: Connection, query: Select[Any], request: PageRequest, made: Callable[[Row[Any]], T]) -> Page[T]:
    """Return the requested rows of a query, each `made` into a value, and the number of all its rows."""
    counted = query.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)
    rows = connection.execute(query.limit(request.limit).offset(request.offset))
    return Page([made(row) for row in rows], connection.execute(counted).scalar_one())
