"""Statements of the hot path, written out once."""

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, select

from bridge.outbox.compiled import TOGETHER, Query, Rows
from tests.database import engine_of

TABLE = Table(
    "words", MetaData(), Column("id", Integer, primary_key=True), Column("word", Text), Column("size", Integer)
)


@pytest.fixture(name="connection")
def fixture_connection(database_url):
    """Give a transaction in a database that has the table, on SQLite and on PostgreSQL."""
    engine = engine_of(database_url)
    TABLE.metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_rows_are_written_by_the_names_of_their_columns(connection):
    """Whatever the order in a row, and whatever else it holds; the database gives what is left out."""
    rows = Rows(insert(TABLE), ["word", "size"], connection.dialect)
    rows.write(connection, [{"size": 2, "word": "up", "more": "?"}, {"word": "per%cent", "size": 8}])
    assert [tuple(row) for row in connection.execute(select(TABLE).order_by(TABLE.c.id))] == [
        (1, "up", 2),
        (2, "per%cent", 8),
    ]


@pytest.mark.parametrize("many", [TOGETHER - 1, TOGETHER, 2 * TOGETHER + 1])
def test_many_rows_arrive_in_their_order(connection, many):
    """However many go into one statement, and whatever is left over."""
    words = [f"word {number}" for number in range(many)]
    Rows(insert(TABLE), ["size", "word"], connection.dialect).write(
        connection, [{"word": word, "size": size} for size, word in enumerate(words)]
    )
    found = connection.execute(select(TABLE.c.word, TABLE.c.size).order_by(TABLE.c.id))
    assert [tuple(row) for row in found] == [(word, size) for size, word in enumerate(words)]


def test_a_query_takes_its_values_by_name_and_makes_the_rows_wanted(connection):
    """One value may stand in several places."""
    connection.execute(insert(TABLE), [{"word": "a", "size": 1}, {"word": "b", "size": 2}, {"word": "c", "size": 3}])
    size = bindparam("size", type_=Integer)
    wanted = select(TABLE.c.word).where((TABLE.c.size < size) | (TABLE.c.size > size)).order_by(TABLE.c.size)
    assert Query(wanted, str, connection.dialect).read(connection, size=2) == ["a", "c"]
