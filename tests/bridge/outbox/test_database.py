"""The way into the database: where it may be, what makes it durable, what its errors mean."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import IntegrityError

from bridge.domain.alert import Alert
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification
from bridge.errors import Unavailable
from bridge.outbox.database import Database, location
from bridge.outbox.schema import VERSION
from bridge.outbox.sqlite_engine import filesystem, journal_mode, sqlite3
from exporter.toolkit.config_types import ConfigError
from tests.postgresql import Cluster
from tests.store import Store, touch

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
def test_file_system_is_that_of_the_deepest_mount(path, kind):
    """Names with a common prefix are other places."""
    assert filesystem(Path(path), MOUNTS) == kind


def test_an_unknown_place_has_no_file_system():
    """Then the database is accepted."""
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
def test_write_ahead_log_only_with_a_fixed_sqlite(version, mode):
    """Older versions may damage it on a reset."""
    assert journal_mode(version) == mode


def test_unknown_postgresql_option_is_one_line():
    """Before any connection, without the password."""
    with pytest.raises(ConfigError) as raised:
        Database("postgresql://bridge:geheim@127.0.0.1:1/bridge?foo=bar")
    assert raised.value.problems == ('database: invalid connection option "foo"',)


@pytest.mark.parametrize("url", ["nonsense", "postgresql://bridge:pass@word:secret/bridge"])
def test_what_is_no_url_is_not_repeated(url):
    """The text after an unescaped sign in a password is parsed as a port."""
    with pytest.raises(ConfigError) as caught:
        location(url)
    assert caught.value.problems == ("database: not a URL: write it like sqlite:////var/lib/vendorwatch/bridge.db",)


def test_postgresql_urls_use_psycopg():
    """Whichever way the operator writes them."""
    assert len({location(f"{form}://h/d") for form in ("postgres", "postgresql", "postgresql+psycopg")}) == 1


def test_missing_folder_is_named(tmp_path):
    """SQLite would only report that it cannot open the file."""
    with pytest.raises(ConfigError, match="is not a directory"):
        Database(f"sqlite:///{tmp_path}/nowhere/bridge.db")


def test_file_that_cannot_be_opened_is_named(tmp_path):
    """With the reason, which SQLite would not say."""
    with pytest.raises(Unavailable, match=f"^database: cannot open {tmp_path}: Is a directory$"):
        Database(f"sqlite:///{tmp_path}")


def test_what_is_not_a_file_is_named_and_keeps_its_permissions(tmp_path):
    """As /dev/null, which nobody but root could open afterwards."""
    os.mkfifo(tmp_path / "pipe", 0o644)
    with pytest.raises(ConfigError, match=r"pipe is not a regular file$"):
        Database(f"sqlite:///{tmp_path}/pipe")
    assert (tmp_path / "pipe").stat().st_mode & 0o777 == 0o644


def test_network_file_system_is_an_error(tmp_path, monkeypatch):
    """SQLite's locks are not reliable there."""
    monkeypatch.setattr("bridge.outbox.sqlite_engine.filesystem", lambda *_: "nfs4")
    with pytest.raises(ConfigError, match=r"is on a network file system \(nfs4\), where SQLite loses data"):
        Database(f"sqlite:///{tmp_path}/bridge.db")


def test_file_that_is_a_mount_of_its_own_is_an_error(tmp_path, monkeypatch):
    """As with `docker run -v bridge.db:/…/bridge.db`: the write-ahead log would be in the container's own layer."""
    (tmp_path / "link.db").symlink_to(tmp_path / "bridge.db")
    monkeypatch.setattr("os.path.ismount", (tmp_path / "bridge.db").samefile)
    (tmp_path / "bridge.db").touch()
    for name in ("bridge.db", "link.db"):
        with pytest.raises(ConfigError, match=rf"{name} is a mount of its own: mount its folder"):
            Database(f"sqlite:///{tmp_path}/{name}")


def test_damaged_file_is_unavailable(tmp_path):
    """The file may be put back."""
    (tmp_path / "bridge.db").write_text("not a database, but long enough to be read as one" * 30)
    with pytest.raises(Unavailable, match=r"^database: damaged$"):
        Database(f"sqlite:///{tmp_path}/bridge.db")


def test_every_commit_waits_for_the_disk(database_url):
    """synchronous=FULL, and PostgreSQL's synchronous_commit=on; a replica that hangs holds no lock for long."""
    database = Database(database_url)
    with database.write() as connection:
        if database.postgresql:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "30s"
        else:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    database.close()


def write_twice(database):
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO roles VALUES ('r', 'o', 1.0)")
        connection.exec_driver_sql("INSERT INTO roles VALUES ('r', 'o', 1.0)")


def test_a_failed_transaction_leaves_nothing(database_url):
    """All or nothing, whatever the error."""
    database = Database(database_url)
    with pytest.raises(IntegrityError):
        write_twice(database)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM roles").scalar() == 0
    database.close()


def put(database, value, *, plain):
    statement = "INSERT INTO roles VALUES ('r', ?, 1.0)".replace("?", "%s" if database.postgresql else "?")
    with database.write() as connection:
        if plain:
            connection.connection.dbapi_connection.execute(statement, (value,))
        else:
            connection.exec_driver_sql(statement, (value,))


@pytest.mark.parametrize("plain", [True, False], ids=["driver", "sqlalchemy"])
def test_unwritable_value_is_an_error_of_its_own(database_url, plain):
    """A retry is useless: this way the one bad webhook of a group is found."""
    database = Database(database_url)
    with pytest.raises(Exception, match=r"adapt|binding") as caught:
        put(database, object(), plain=plain)
    assert not isinstance(caught.value, Unavailable)
    put(database, "o", plain=plain)
    database.close()


def test_full_disk_is_unavailable_until_there_is_space(tmp_path):
    """Nothing is half written, nothing crashes, and the bridge continues once there is space."""
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
    """With that reason."""
    database = Database(f"sqlite:///{tmp_path}/bridge.db")
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(Unavailable, match=r"^database: read-only$"), database.write() as connection:
        touch(connection)
    database.close()


def test_the_file_is_a_plain_sqlite_database(tmp_path):
    """An operator can read it with other tools; no lock is left, and no journal but an empty one."""
    Database(f"sqlite:///{tmp_path}/bridge.db").close()
    assert {file.name for file in tmp_path.iterdir()} <= {"bridge.db", "bridge.db-journal"}
    connection = sqlite3.connect(tmp_path / "bridge.db")
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(VERSION,)]
    connection.close()


@pytest.mark.system
def test_postgresql_restart_is_unavailable_once(postgresql_url):
    """A restart of the server costs one 503."""
    database = Database(postgresql_url)
    with pytest.raises(Unavailable, match=r"^database: not reached$"), database.write() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    with database.write() as connection:
        touch(connection)
    database.close()


@pytest.mark.system
def test_connections_to_a_demoted_postgresql_are_replaced(postgresql_url):
    """After a failover an address may lead to the former primary for a moment, which answers reads for ever."""
    with closing(Database(postgresql_url)) as database:
        with database.write() as connection:
            connection.exec_driver_sql("SET default_transaction_read_only = on")
        with pytest.raises(Unavailable, match=r"^database: read-only$"):
            _write(database)
        _write(database)


@pytest.mark.system
@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("40P01", "busy"),
        ("40001", "busy"),
        ("55P03", "busy"),
        ("57014", "busy"),
        ("25006", "read-only"),
        ("53100", "disk full"),
        ("42501", "permission denied"),
        ("42P01", "gone"),
        ("42703", "of another version, which a restart migrates"),
        ("53300", "no free connection"),
        ("57P01", "not reached"),
        ("XX001", "failed"),
    ],
)
def test_postgresql_errors_have_a_reason(postgresql_url, state, word):
    """From the driver as from SQLAlchemy; the next transaction is not affected."""
    database = Database(postgresql_url)
    failing = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE='{state}'; END $$"
    with pytest.raises(Unavailable, match=rf"^database: {word}$"), database.write() as connection:
        connection.connection.dbapi_connection.execute(failing)
    with pytest.raises(Unavailable, match=rf"^database: {word}$"), database.write() as connection:
        connection.exec_driver_sql(failing)
    _write(database)
    database.close()


@pytest.mark.system
def test_vanished_postgresql_is_noticed_while_it_owes_an_answer(postgresql_url):
    """By default a kernel begins to ask after two hours, and no webhook is answered for as long."""
    with closing(Database(postgresql_url)) as database, database.read() as connection:
        found = socket.socket(fileno=os.dup(connection.connection.dbapi_connection.fileno()))
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 10
        found.close()


@pytest.mark.system
def test_options_of_a_postgresql_url_are_added_to_ours(postgresql_url):
    """A search path in the URL decides where the tables are; what keeps a commit durable stays."""
    url = f"{postgresql_url}?options=-csearch_path%3Dpublic%20-csynchronous_commit%3Doff"
    with closing(Database(url)) as database, database.read() as connection:
        assert connection.exec_driver_sql("SHOW search_path").scalar() == "public"
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


@pytest.mark.system
def test_new_connections_use_the_current_user(postgresql_cluster, postgresql_url):
    """User and password are changed while the bridge runs; a URL that leads to another database is not followed."""
    urls = [postgresql_cluster.schema().replace("/postgres", f"/{postgresql_url.rpartition('/')[2]}") for _ in range(2)]
    current = [urls[0]]
    with closing(Database(urls[0], lambda: current[0])) as database:
        for current[0], expected in ((urls[1], urls[1]), (postgresql_cluster.url, urls[0]), ("", urls[0])):
            with pytest.raises(Unavailable), database.write() as connection:
                connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
            with database.write() as connection:
                user = connection.exec_driver_sql("SELECT current_user").scalar()
            assert f"//{user}@" in expected


@pytest.mark.system
def test_user_in_the_query_of_a_postgresql_url_is_kept(postgresql_cluster):
    """As libpq allows, for instance for a Unix socket: postgresql:///database?host=/run/postgresql&user=vendorwatch."""
    url = postgresql_cluster.schema()
    credentials, _, rest = url.removeprefix("postgresql://").partition("@")
    user, _, password = credentials.partition(":")
    with closing(Database(f"postgresql://{rest}?user={user}&password={password}")) as database, database.read() as one:
        assert one.exec_driver_sql("SELECT current_user").scalar() == user


@pytest.mark.system
def test_a_refused_connection_has_a_reason(postgresql_cluster):
    """Not "not reached": the network is not to blame."""
    with pytest.raises(Unavailable, match=r"^database: no such database or user$"):
        Database(postgresql_cluster.url.replace("vendorwatch@", "stranger@"))


@pytest.mark.system
def test_of_several_postgresql_servers_the_writable_one_is_used(postgresql_cluster, postgresql_url):
    """After a failover the first of the URL is the standby; if none is writable, that is the reason."""
    name = postgresql_url.rpartition("/")[2]
    with Cluster() as standby:
        standby.execute(f"CREATE DATABASE {name}")
        standby.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        standby.execute("SELECT pg_reload_conf()")
        hosts = [f"host={one.url.rpartition('@')[2].partition('/')[0]}" for one in (standby, postgresql_cluster)]
        with closing(Database(f"postgresql://vendorwatch@/{name}?{'&'.join(hosts)}")) as database:
            _write(database)
        with pytest.raises(Unavailable, match=r"^database: read-only$"):
            Database(f"postgresql://vendorwatch@/{name}?{'&'.join(hosts[:1] * 2)}")


@pytest.mark.system
def test_unreachable_postgresql_is_unavailable():
    """At the start as later."""
    with pytest.raises(Unavailable, match=r"^database: connection refused$"):
        Database("postgresql://nobody@127.0.0.1:1/nothing")


def test_waiting_for_a_writer_is_bounded(tmp_path, monkeypatch):
    """While one transaction takes long, the next one fails in time."""
    monkeypatch.setattr("bridge.outbox.database.BUSY_TIMEOUT", 0.05)
    database = Database(f"sqlite:///{tmp_path}/bridge.db")
    with ThreadPoolExecutor(4) as threads, database.write():
        waiting = [threads.submit(_write, database) for _ in range(4)]
        assert {str(one.exception()) for one in waiting} == {"database: busy"}
    _write(database)
    database.close()


def _write(database):
    with database.write() as connection:
        touch(connection)


def test_replaced_file_is_not_written(tmp_path):
    """SQLite would write to a file without a path, and acknowledged webhooks would be lost with the process."""
    first, other = tmp_path / "bridge.db", tmp_path / "other.db"
    database = Database(f"sqlite:///{first}")
    Database(f"sqlite:///{other}").close()
    other.replace(first)
    with pytest.raises(Unavailable, match=r"^database: gone$"), database.write():
        pytest.fail("it was written")
    database.close()


def test_database_file_is_private(tmp_path):
    """Only the bridge's user may read it; a file with wider permissions is restricted."""
    file = tmp_path / "bridge.db"
    Database(f"sqlite:///{file}").close()
    assert file.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604):
        file.chmod(mode)
        Database(f"sqlite:///{file}").close()
        assert file.stat().st_mode & 0o777 == 0o600


def test_missing_folder_makes_the_database_unavailable(tmp_path):
    """As when a volume is unmounted: nothing fails unexpectedly, and it goes on once the folder is back."""
    folder = tmp_path / "folder"
    folder.mkdir()
    store = Store(f"sqlite:///{folder}/bridge.db")
    folder.rename(tmp_path / "away")
    assert store.status.unwritable() == "database: its folder: No such file or directory"
    with pytest.raises(Unavailable, match="its folder"):
        store.set_aside("alertmanager", "prod", "odd", "{", 3.0)
    (tmp_path / "away").rename(folder)
    assert store.status.unwritable() == ""
    store.close()


def test_reserve_of_a_full_disk_is_for_delivery(tmp_path, monkeypatch):
    """Webhooks are rejected, and deliveries are still recorded."""
    store = Store(f"sqlite:///{tmp_path}/bridge.db")
    alert = Alert(receiver="alertmanager", source="prod", key="prod:a", name="Down", firing=True, starts_at=1.0)
    mapping = EventMapping(app_key="app", statuses={}, primary_property=())
    notification = Notification(receiver="alertmanager", source="prod", alerts=(alert,), mapping=mapping)
    store.ingest.accept([notification], 2.0)
    full = SimpleNamespace(f_bavail=99, f_blocks=1000, f_frsize=1)
    monkeypatch.setattr("bridge.outbox.database.os.statvfs", lambda _folder: full)
    with pytest.raises(Unavailable, match="disk full"):
        store.ingest.accept([notification], 3.0)
    with pytest.raises(Unavailable, match="disk full"):
        store.set_aside("alertmanager", "prod", "odd", "{", 3.0)
    assert store.status.unwritable() == "database: disk full"
    large = SimpleNamespace(f_bavail=64_000_001, f_blocks=10**12, f_frsize=1)
    monkeypatch.setattr("bridge.outbox.database.os.statvfs", lambda _folder: large)
    assert store.status.unwritable() == ""
    monkeypatch.setattr("bridge.outbox.database.os.statvfs", lambda _folder: full)
    assert store.queue.record(store.queue.claim(1, 4.0, 60.0), "accepted", now=5.0) == 1
    store.close()


def occupy(database, readers):
    for _ in range(100):
        readers.enter_context(database.read())


def test_slow_readers_do_not_delay_delivery(database_url):
    """Pages may use every other connection."""
    database = Database(database_url)
    reserved = database.reserved()
    with ExitStack() as readers:
        with pytest.raises(Unavailable, match="busy"):
            occupy(database, readers)
        with reserved.write() as connection:
            connection.exec_driver_sql("INSERT INTO roles VALUES ('r', 'o', 1.0)")
        with reserved.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM roles").scalar() == 1
    database.close()
