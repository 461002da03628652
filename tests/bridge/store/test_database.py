"""The way into the database: where it may be, what makes it durable, what its errors mean."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from bridge.errors import ConfigError, Unavailable
from bridge.store.database import Database, location
from bridge.store.schema import VERSION, touch
from bridge.store.sqlite_engine import filesystem, journal_mode, sqlite3

MOUNTS = """\
/dev/vda / ext4 rw 0 0
proc /proc proc rw 0 0
server:/export /srv/share nfs4 rw 0 0
//nas/x /srv/my\\040files cifs rw 0 0
tmpfs /srv/share/tmp tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/bridge.db", "ext4"),
        ("/srv/share/bridge.db", "nfs4"),
        ("/srv/shared/bridge.db", "ext4"),
        ("/srv/my files/bridge.db", "cifs"),
        ("/srv/share/tmp/bridge.db", "tmpfs"),
    ],
)
def test_the_deepest_mount_tells_the_file_system(path, kind):
    """Names that only begin alike are other places."""
    assert filesystem(Path(path), MOUNTS) == kind


def test_an_unknown_place_has_no_file_system():
    """Then nothing is refused."""
    assert filesystem(Path("/x"), "") == ""


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "PERSIST"),
        ((3, 44, 5), "PERSIST"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "PERSIST"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 2), "PERSIST"),
        ((3, 51, 3), "WAL"),
        ((3, 60, 0), "WAL"),
    ],
)
def test_a_write_ahead_log_only_where_it_is_sound(version, mode):
    """Older libraries may damage it when it is reset."""
    assert journal_mode(version) == mode


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "database: not a URL: write it like sqlite:////var/lib/vendorwatch/bridge.db"),
        ("mysql://u:geheim@h/d", "database: mysql is not supported: use sqlite or postgresql"),
        ("sqlite://", "database: name a file: sqlite:////var/lib/vendorwatch/bridge.db"),
        ("sqlite:///:memory:", "database: name a file: sqlite:////var/lib/vendorwatch/bridge.db"),
    ],
)
def test_a_place_that_cannot_be_used_is_told(url, problem):
    """In one line, without its password."""
    with pytest.raises(ConfigError) as raised:
        location(url)
    assert raised.value.problems == (problem,)


def test_an_option_that_postgresql_does_not_know_is_told():
    """In one line, before any connection, without the password."""
    with pytest.raises(ConfigError) as raised:
        Database("postgresql://bridge:geheim@127.0.0.1:1/bridge?foo=bar")
    assert raised.value.problems == ('database: invalid connection option "foo"',)


def test_a_port_that_is_none_is_told_without_what_stands_there():
    """What follows an unescaped sign in a password is read as a port: it is not repeated."""
    with pytest.raises(ConfigError) as caught:
        location("postgresql://bridge:pass@word:secret/bridge")
    assert caught.value.problems == ("database: not a URL: write it like sqlite:////var/lib/vendorwatch/bridge.db",)


def test_postgresql_is_reached_by_psycopg():
    """Whichever way the operator writes it."""
    assert location("postgresql://h/d").drivername == location("postgresql+psycopg://h/d").drivername


def test_a_folder_that_is_not_there_is_told(tmp_path):
    """SQLite would only say that it cannot open the file."""
    with pytest.raises(ConfigError, match="is not a directory"):
        Database(f"sqlite:///{tmp_path}/nowhere/bridge.db")


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    """SQLite's locks do not hold there."""
    monkeypatch.setattr("bridge.store.sqlite_engine.filesystem", lambda *_: "nfs4")
    with pytest.raises(ConfigError, match=r"is on a network file system \(nfs4\), where SQLite loses data"):
        Database(f"sqlite:///{tmp_path}/bridge.db")


def test_what_is_no_database_is_damaged(tmp_path):
    """Told as unavailable: the file may be put back."""
    (tmp_path / "bridge.db").write_text("not a database, but long enough to be read as one" * 30)
    with pytest.raises(Unavailable, match=r"^database: damaged$"):
        Database(f"sqlite:///{tmp_path}/bridge.db")


def test_every_commit_waits_for_the_disk(database_url):
    """synchronous=FULL, and PostgreSQL's synchronous_commit=on."""
    database = Database(database_url)
    with database.write() as connection:
        if database.postgresql:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        else:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    database.close()


def write_twice(database):
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO roles VALUES ('r', 'o', 1.0)")
        connection.exec_driver_sql("INSERT INTO roles VALUES ('r', 'o', 1.0)")


def test_a_failed_transaction_leaves_nothing(database_url):
    """All or nothing, whatever broke it."""
    database = Database(database_url)
    with pytest.raises(IntegrityError):
        write_twice(database)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM roles").scalar() == 0
    database.close()


def test_a_full_disk_is_unavailable_until_there_is_room(tmp_path):
    """Nothing half-written, no crash, and as before once there is room."""
    database = Database(f"sqlite:///{tmp_path}/bridge.db")
    with database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    fill = "INSERT INTO roles VALUES (?, ?, 1.0)"
    with pytest.raises(Unavailable, match=r"^database: disk full$"), database.write() as connection:
        connection.exec_driver_sql(fill, ("r", "x" * 100_000))
    with database.write() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1000}")
        connection.exec_driver_sql(fill, ("r", "x" * 100_000))
    database.close()


def test_a_read_only_database_is_unavailable(tmp_path, monkeypatch):
    """Told as what it is."""
    database = Database(f"sqlite:///{tmp_path}/bridge.db")
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(Unavailable, match=r"^database: read-only$"), database.write() as connection:
        touch(connection)
    database.close()


def test_the_file_is_a_plain_sqlite_database(tmp_path):
    """An operator can read it with the tools there are; no lock is left behind, and of a journal only the empty one."""
    Database(f"sqlite:///{tmp_path}/bridge.db").close()
    assert {file.name for file in tmp_path.iterdir()} <= {"bridge.db", "bridge.db-journal"}
    connection = sqlite3.connect(tmp_path / "bridge.db")
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(VERSION,)]
    connection.close()


@pytest.mark.system
def test_a_postgresql_that_goes_away_is_unavailable_and_comes_back(postgresql_url):
    """A restart of the server costs one 503, not the bridge."""
    database = Database(postgresql_url)
    with pytest.raises(Unavailable, match=r"^database: not reached$"), database.write() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    with database.write() as connection:
        touch(connection)
    database.close()


@pytest.mark.system
def test_a_postgresql_that_is_not_there_is_unavailable():
    """At the start as later."""
    with pytest.raises(Unavailable, match=r"^database: not reached$"):
        Database("postgresql://nobody@127.0.0.1:1/nothing")


def test_nobody_waits_for_ever_behind_a_writer_who_waits(tmp_path, monkeypatch):
    """While one transaction takes long, the next is refused in time instead of queueing without a bound."""
    monkeypatch.setattr("bridge.store.database.BUSY_TIMEOUT", 0.05)
    database = Database(f"sqlite:///{tmp_path}/bridge.db")
    with ThreadPoolExecutor(4) as threads, database.write():
        waiting = [threads.submit(_write, database) for _ in range(4)]
        assert {str(one.exception()) for one in waiting} == {"database: busy"}
    _write(database)
    database.close()


def _write(database):
    with database.write() as connection:
        touch(connection)


def test_a_file_that_was_replaced_is_not_written_on(tmp_path):
    """SQLite would write on to a file that no path leads to: what was answered 200 would be lost with the process."""
    first, other = tmp_path / "bridge.db", tmp_path / "other.db"
    database = Database(f"sqlite:///{first}")
    Database(f"sqlite:///{other}").close()
    other.replace(first)
    with pytest.raises(Unavailable, match=r"^database: gone$"), database.write():
        pytest.fail("it was written")
    database.close()


@pytest.fixture(name="wal")
def fixture_wal(tmp_path):
    """Give a database with a write-ahead log, and the log's path."""
    database = Database(f"sqlite:///{tmp_path}/bridge.db")
    log = tmp_path / "bridge.db-wal"
    if not log.exists():
        pytest.skip("this SQLite keeps a journal")
    yield database, log
    database.close()


def test_a_log_that_was_removed_is_not_written_on(wal):
    """What was answered 200 would be lost with the process; what was committed before is kept when it ends."""
    database, log = wal
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO roles VALUES ('r', 'o', 1.0)")
    log.unlink()
    with pytest.raises(Unavailable, match=r"^database: gone$"), database.write():
        pytest.fail("it was written")
    database.close()
    again = Database(f"sqlite:///{log.with_name('bridge.db')}")
    with again.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM roles").scalar() == 1
    again.close()


def test_the_log_of_a_new_file_is_watched_too(wal):
    """Before anything but the schema was written."""
    database, log = wal
    log.rename(log.with_name("moved"))
    with pytest.raises(Unavailable, match=r"^database: gone$"), database.write():
        pytest.fail("it was written")


def test_a_log_that_readers_let_grow_is_emptied(wal, monkeypatch):
    """A reader always holds a part of it while it grows; once that one is done, not a page more is needed."""
    monkeypatch.setattr("bridge.store.sqlite_engine.LONGEST_LOG", 100_000)
    database, log = wal
    for _ in range(2):
        with database.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM roles").scalar()
            with database.write() as other:
                other.exec_driver_sql("INSERT INTO roles VALUES (hex(randomblob(8)), hex(randomblob(100000)), 1.0)")
    assert log.stat().st_size > 100_000
    database.shorten_log()
    assert log.stat().st_size == 0
    with database.write() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM roles").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000


def test_a_reader_that_stays_is_not_waited_for_long(wal, monkeypatch):
    """The log stays as it is, and webhooks go on."""
    monkeypatch.setattr("bridge.store.sqlite_engine.LONGEST_LOG", 0)
    monkeypatch.setattr("bridge.store.database._FOR_READERS", 0.01)
    database, log = wal
    with database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM roles").scalar()
        _write(database)
        database.shorten_log()
        _write(database)
        assert log.stat().st_size > 0
