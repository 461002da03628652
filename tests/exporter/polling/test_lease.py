"""Who polls, and when, by the lease: with stand-ins for PostgreSQL and the clock, so that no server is needed."""

import threading
from types import SimpleNamespace

import psycopg
import pytest

from exporter.polling import leadership, postgresql
from exporter.polling.leadership import LEASE, LOOK_EVERY, PATIENCE, Leadership
from exporter.toolkit.config_types import ConfigError, Secret


class Server:
    """Has one lock, and counts the terms."""

    holder = None
    terms = 0


class Database:
    """One exporter's connection; `reply` is called for each statement and may hang or raise. `looked`: each check."""

    term = None
    closed = False

    def __init__(self, server):
        self.server, self.reply, self.looked = server, lambda: None, threading.Semaphore(0)

    def connect(self, _patience):
        self.looked.release()
        self.reply()
        return SimpleNamespace(execute=self.execute, close=self.release)

    def prepare(self, _connection):
        """Nothing is missing."""

    look = prepare

    def lead(self, _connection):
        self.looked.release()
        if self.server.holder not in {None, self}:
            return None
        self.server.holder = self
        self.server.terms += 1
        return self.server.terms

    def accepts(self, _connection):
        return self.term == self.server.terms

    def execute(self, _question):
        self.looked.release()
        self.reply()
        return self

    def fetchone(self):
        return self.server.holder is self

    def release(self):
        if self.server.holder is self:
            self.server.holder = None

    def close(self):
        """Close the other connection, which has no lock."""
        self.closed = True


class Exporter(Leadership):
    """Checks many times a second, and tells of each change."""

    def __init__(self, server):
        super().__init__(Secret("postgresql://h/d"), "1/1")
        self.database, self.changes = Database(server), []
        self.start(lambda: self.changes.append(self.leads()))

    def settle(self):
        """Wait until a check that began after now has ended."""
        while self.database.looked.acquire(blocking=False):
            pass
        for _ in range(4):
            assert self.database.looked.acquire(timeout=5)


@pytest.fixture
def clock(monkeypatch):
    """Give the time, to be changed, as `clock.now`."""
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(leadership, "time", SimpleNamespace(monotonic=lambda: found.now))
    monkeypatch.setattr(leadership, "LOOK_EVERY", 0.001)
    return found


@pytest.fixture
def exporter(clock):
    made = []

    def begin(server):
        made.append(Exporter(server))
        return made[-1]

    yield begin
    for each in made:
        each.database.reply = lambda: None
        each.stop()


def broken(*_statement, **_form):
    raise psycopg.OperationalError("timeout expired")


def test_first_exporter_leads_at_once_and_a_second_follows(exporter, caplog):
    """There is no earlier leader to wait for."""
    caplog.set_level("INFO")
    server = Server()
    first, second = exporter(server), exporter(server)
    second.settle()
    assert (first.role(), second.role(), first.changes, second.changes) == ("leading", "following", [], [])
    assert [record.message.partition(":")[0] for record in caplog.records] == ["leading", "following"]


def test_a_leader_that_hangs_has_stopped_before_the_next_one_begins(exporter, clock, caplog):
    """Its lease is seconds: for as long, and no longer, nobody polls."""
    caplog.set_level("INFO")
    server, goes_on = Server(), threading.Event()
    first = exporter(server)
    first.database.reply = goes_on.wait
    assert first.database.looked.acquire(timeout=5)
    server.holder = None
    second = exporter(server)
    assert (first.leads(), second.role()) == (True, "following")
    seen = []
    for _ in range(20):
        clock.now += 0.25
        second.settle()
        seen.append((first.leads(), second.leads()))
    goes_on.set()
    assert (True, True) not in seen
    assert seen[0] == (True, False)
    assert seen[-1] == (False, True)
    assert second.changes == [True]
    assert "taking over" in caplog.text
    first.settle()
    assert (first.leads(), second.leads()) == (False, True)


def test_a_leader_without_postgresql_stops_at_once_and_leads_again_later(exporter, clock, caplog):
    """Another exporter may reach it. It says so once, and does not lead at once: another may have led meanwhile."""
    server = Server()
    only = exporter(server)
    only.database.reply = broken
    only.settle()
    assert (only.role(), only.database.term, server.holder) == ("unavailable", None, None)
    assert only.changes == [False]
    assert [record.message for record in caplog.records] == [
        "PostgreSQL unavailable (timeout): serving the last known data, not polling"
    ]
    only.database.reply = lambda: None
    only.settle()
    assert only.role() == "following"
    clock.now += 5.0
    only.settle()
    assert (only.leads(), only.changes) == (True, [False, True])


def test_postgresql_that_hangs_is_logged_while_it_does(exporter, clock, caplog):
    """Once, when the lease ends; the check itself may not return for hours."""
    caplog.set_level("INFO")
    goes_on, only = threading.Event(), exporter(Server())
    only.database.reply = goes_on.wait
    assert only.database.looked.acquire(timeout=5)
    assert [only.leads() for clock.now in (1002.9, 1003.1, 1009.0)] == [True, False, False]
    assert [record.message for record in caplog.records][1:] == [
        "PostgreSQL unavailable (no answer): serving the last known data, not polling"
    ]
    goes_on.set()
    only.settle()
    assert only.leads()
    assert caplog.records[-1].message.startswith("leading")


def test_a_leader_that_stops_lets_another_lead(exporter, clock):
    """That one waits all the same: it cannot know that the leader has stopped."""
    server = Server()
    first, second = exporter(server), exporter(server)
    first.stop()
    second.settle()
    assert (first.role(), first.database.closed, second.role()) == ("unavailable", True, "following")
    clock.now += 5.0
    second.settle()
    assert second.leads()


def test_a_lock_that_is_gone_ends_the_lead(exporter, caplog):
    """A pooler gives each statement another session, and none keeps a lock."""
    server = Server()
    only = exporter(server)
    server.holder = object()
    only.settle()
    assert not only.leads()
    assert "the lock is gone: connect without a pooler" in caplog.text


def test_a_lock_is_confirmed_before_its_lease_ends():
    """Even by a slow reply: otherwise nobody would lead for a while."""
    assert LOOK_EVERY + PATIENCE <= LEASE == 3.0


def test_leader_that_is_gone_may_have_polled_until_its_lease_ended():
    """A second after its last write it may have lost PostgreSQL, and polled on: so much counts as sent."""
    assert postgresql.Database.loss_window == 4.0


def test_a_slow_reply_confirms_the_lock_as_of_its_question(exporter, clock):
    """When it arrives, the lock may be lost already."""
    only = exporter(Server())

    def late():
        clock.now += 4.0

    only.database.reply = late
    only.settle()
    assert not only.leads()


def replying(replies):
    """Return a connection that gives these values, one per statement, and notes what is executed."""
    left, connection = iter(replies), SimpleNamespace(closed=False, executed=[])
    reply = SimpleNamespace(fetchone=lambda: next(left))
    connection.execute = lambda statement, *_values, **_form: connection.executed.append(statement) or reply
    connection.close = lambda: setattr(connection, "closed", True)
    return connection


def test_a_term_begins_with_the_lock_and_not_without():
    """The session ends by itself if its program hangs, and so does the lock."""
    database = postgresql.Database(Secret("postgresql://h/d"), "1/1")
    held, free = replying([False]), replying([True, 7])
    assert (database.lead(held), database.lead(free)) == (None, 7)
    assert len(held.executed) == 1
    assert "idle_session_timeout" in free.executed[1]


def test_snapshot_is_written_only_in_the_own_term():
    """A former leader never overwrites the current one's data; its own write is no news."""
    database = postgresql.Database(Secret("postgresql://h/d"), "1/1")
    connection = replying([9, None])
    database.connect = lambda _patience: connection
    with pytest.raises(OSError, match="another exporter may lead"):
        database.write("x", [b"{}"])
    database.term = 7
    database.write("x", [b"{}"])
    assert database.stamp("x") == 9
    with pytest.raises(OSError, match="another exporter leads"):
        database.write("x", [b"{}"])
    database.look(replying([{"x": 10}]))
    assert (database.stamp("x"), database.stamp("y")) == (10, None)
    database.close()
    assert connection.closed


def test_connection_that_breaks_is_opened_again_once():
    """A write is lost if that one breaks too, and not taken for one that another exporter's term forbids."""
    database, opened = postgresql.Database(Secret("postgresql://h/d"), "1/1"), []
    database.connect = lambda patience: opened.append(patience) or SimpleNamespace(closed=True, execute=broken)
    for tries in (2, 4):
        with pytest.raises(OSError, match=r"PostgreSQL: timeout$"):
            database.read("x")
        assert opened == [10] * tries


def test_url_that_becomes_invalid_is_named(tmp_path):
    """Its file may be replaced while the exporter runs."""
    file = tmp_path / "url"
    file.write_text("postgresql://h/d")
    database = postgresql.Database(Secret(file=file), "1/1")
    file.write_text("mysql://s3cret@h/database")
    with pytest.raises(OSError, match="PostgreSQL: write it like postgresql://"):
        database.read("x")


def test_locks_are_the_same_in_every_version():
    """During an upgrade the old and the new program must not both lead."""
    assert [postgresql.key(name) for name in ("1/1", "3/3")] == [1401361576898133485, -5831572242531853556]


@pytest.mark.parametrize(
    "wrong",
    [
        "s3cret",
        "sqlite:///s3cret",
        "postgresql://v:s3cret%zz@h/d",
        "postgresql://v:s3@cret@h/d",
        "postgresql://v:s3/cret@h/d",
        "postgresql://h/d?s3cret=1",
        "host=h password=s3cret",
    ],
)
def test_invalid_url_is_an_error_that_does_not_repeat_it(wrong):
    """It shows the format instead."""
    with pytest.raises(ConfigError, match="write it like postgresql://") as raised:
        Leadership(Secret(wrong), "1/1")
    message = str(raised.value)
    assert "s3" not in message
    assert "cret" not in message.replace("secret", "")


def test_libpq_errors_are_replaced_with_our_own(caplog):
    """Their text may contain parts of a URL."""
    leadership = Leadership(Secret("postgresql://v:s3cret@127.0.0.1:1/s3cret"), "1/1")
    leadership.start(lambda: None)
    assert not leadership.leads()
    with pytest.raises(OSError, match=r"PostgreSQL: connection refused$"):
        leadership.database.read("x")
    leadership.stop()
    assert "PostgreSQL unavailable (connection refused)" in caplog.text
    assert "s3cret" not in caplog.text
