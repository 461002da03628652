"""The bundled or the host's SQLite, and its write-ahead log while it is in use."""

import errno
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from bridge.errors import Unavailable
from bridge.outbox.database import Database
from bridge.outbox.sqlite_engine import journal_mode, sqlite3
from tests.store import touch

ROOT = Path(__file__).parents[3]
WITHOUT_OURS = """
import sys
sys.modules["pysqlite3"] = None
from bridge.domain.alert import Alert
from bridge.errors import Unavailable
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification
from tests.store import Store
from bridge.outbox.database import Database
from bridge.outbox.sqlite_engine import sqlite3

url, key = sys.argv[1:]
alert = Alert(receiver="alertmanager", source="prod", key=key, name="Down", firing=True, starts_at=1.0)
mapping = EventMapping(app_key="app", statuses={}, primary_property=())
outbox = Store(url)
notification = Notification(receiver="alertmanager", source="prod", alerts=(alert,), mapping=mapping)
outcomes = [outbox.ingest.accept([notification], now)[0] for now in (2.0, 3.0)]
outbox.retention.prune(0.0, 10)
database = Database(url)
with database.write() as connection:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    events = connection.exec_driver_sql("SELECT count(*) FROM events").scalar()
database.close()
outbox.close()
print(sqlite3.__name__, sqlite3.sqlite_version, mode.upper(), [one.queued for one in outcomes], events)
"""


def run_without_ours(folder, key):
    """Run a process that has no library but the host's; return its words."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT_OURS, f"sqlite:///{folder}/bridge.db", key]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(maxsplit=3)


def test_host_library_is_a_fallback(tmp_path):
    """Without the bundled build the host's is used, in a safe journal mode."""
    for number, key in enumerate(("prod:a", "prod:b"), start=1):
        module, version, mode, rest = run_without_ours(tmp_path, key)
        assert module == "sqlite3"
        assert mode == journal_mode(tuple(map(int, version.split("."))))
        assert rest.strip() == f"[1, 0] {number}"


@pytest.fixture(name="wal")
def fixture_wal(tmp_path):
    """Give a database with a write-ahead log, and the log's path."""
    database = Database(f"sqlite:///{tmp_path}/bridge.db")
    log = tmp_path / "bridge.db-wal"
    if not log.exists():
        pytest.skip("this SQLite keeps a journal")
    yield database, log
    database.close()


def write(database):
    with database.write() as connection:
        touch(connection)


def test_removed_wal_is_not_written(wal):
    """Acknowledged webhooks would be lost with the process; committed ones are saved when it ends."""
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


def test_wal_of_a_new_file_is_checked(wal):
    """Before anything but the schema was written."""
    database, log = wal
    log.rename(log.with_name("moved"))
    with pytest.raises(Unavailable, match=r"^database: gone$"), database.write():
        pytest.fail("it was written")


def test_moved_file_is_not_recreated(wal):
    """SQLite would create one, and keep reading it once the old one is back."""
    database, log = wal
    for file in (log, log.with_name("bridge.db")):
        away = file.rename(file.with_name("moved"))
        with pytest.raises(Unavailable, match=r"^database: gone$"), database.read():
            pytest.fail("it was read")
        assert not file.exists()
        away.rename(file)
        write(database)
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA quick_check").scalar() == "ok"


def test_folder_that_may_not_be_entered_is_an_error_at_start(tmp_path, monkeypatch):
    """With the path and the reason: `check` goes on with everything else."""
    monkeypatch.setattr(Path, "is_dir", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(Unavailable, match=rf"^database: cannot open {tmp_path}/bridge\.db: Permission denied$"):
        Database(f"sqlite:///{tmp_path}/bridge.db")


def test_unwritable_file_is_an_error_at_start(tmp_path, monkeypatch):
    """No connection is kept open; it works once its mode is fixed."""
    url = f"sqlite:///{tmp_path}/bridge.db"
    Database(url).close()
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda path, mode: Path(path).name != "bridge.db")  # root may write whatever it is
        with pytest.raises(Unavailable, match=r"^database: read-only$"):
            Database(url)
    Database(url).close()


def test_symlink_is_followed(tmp_path):
    """The WAL is beside the file, not beside the link."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "bridge.db"
    link.symlink_to(tmp_path / "disk" / "real.db")
    database = Database(f"sqlite:///{link}")
    write(database)
    log = tmp_path / "disk" / "real.db-wal"
    if log.exists():
        log.rename(tmp_path / "moved")
        with pytest.raises(Unavailable, match=r"^database: gone$"):
            write(database)
    database.close()


def grow(database):
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO roles VALUES (hex(randomblob(8)), hex(randomblob(50000)), 1.0)")


def test_long_wal_is_truncated(wal, monkeypatch):
    """By the first commit without a reader in its way; every commit is kept.

    A reader that stays is not waited for at each commit.
    """
    monkeypatch.setattr("bridge.outbox.database._FOR_READERS", 0.01)
    database, log = wal
    database._files._bearable = 250_000
    monkeypatch.setattr("bridge.outbox.sqlite_engine.LONGEST_LOG", 250_000)
    tries = []
    connect = sqlite3.connect

    def watched(*given, **named):
        tries.append("mode=rw" in given[0])
        return connect(*given, **named)

    monkeypatch.setattr(sqlite3, "connect", watched)
    with database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM roles").scalar()
        for _ in range(20):
            grow(database)
        assert log.stat().st_size > 2_000_000
        assert 1 <= sum(tries) <= 4
    database._files._bearable = 250_000
    write(database)
    assert log.stat().st_size == 0
    with database.write() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM roles").scalar() == 20
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000


@pytest.mark.slow
def test_overlapping_readers_do_not_grow_the_wal_without_a_bound(wal, monkeypatch):
    """SQLite's own checkpoints never complete then."""
    database, log = wal
    database._files._bearable = 250_000
    monkeypatch.setattr("bridge.outbox.sqlite_engine.LONGEST_LOG", 250_000)
    over = threading.Event()

    def look():
        while not over.is_set():
            with database.read() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM roles").scalar()
                over.wait(0.01)

    with ThreadPoolExecutor(3) as readers:
        looking = [readers.submit(look) for _ in range(3)]
        try:
            sizes = [(grow(database), log.stat().st_size)[1] for _ in range(60)]
        finally:
            over.set()
        assert [one.result(30) for one in looking] == [None] * 3
    assert max(sizes) < 3_000_000


def test_failed_truncation_of_the_wal_does_not_fail_the_commit(wal, monkeypatch):
    """On a full disk, for example."""

    def fail(*_given, **_named):
        raise sqlite3.OperationalError("database or disk is full")

    database, _ = wal
    database._files._bearable = 0
    monkeypatch.setattr(sqlite3, "connect", fail)
    write(database)
