"""The disk is full, the database locked, read-only, gone or not usable: 503 until it is back, and nothing is lost."""

import contextlib
import subprocess
import sys
from collections.abc import Collection
from itertools import count
from pathlib import Path

import pytest
import requests

from bridge.outbox.sqlite_engine import sqlite3
from tests.system.bridging import Load, Sender, Station, alert, post, tool, webhook
from tests.system.private import alone, fill, filler, inside, needs_mounts, small_disk
from tests.system.running import PATIENCE, ROOT, Program, python, until

pytestmark = pytest.mark.system

IMPATIENT = """
import sys
from bridge import __main__
from bridge.outbox import database
database.BUSY_TIMEOUT = 0.5
sys.exit(__main__.main())
"""


def refused(station: Station, bridge: Program, ready: Collection[int]) -> None:
    """See that webhooks are answered 503 and nothing else, and that the rest of the program stands."""
    names = (f"bulky{number}" for number in count())

    def status() -> int:
        found = alert(next(names), "critical", **{f"label{n}": "x" * 1000 for n in range(50)})
        answer = post(bridge.url, webhook([found]))
        if answer.status == 200:
            station.ledger.note(f"prod:{found['fingerprint']}", "critical")
        return answer.status

    until("a webhook is refused", lambda: status() == 503)
    assert {status() for _ in range(3)} == {503}
    assert see(bridge, "/-/healthy") == 200
    assert see(bridge, "/-/ready") in ready
    assert see(bridge, "/metrics") == 200


def see(bridge: Program, path: str) -> int:
    return requests.get(bridge.url + path, timeout=PATIENCE).status_code


def suffer(station: Station, bridge: Program, begin, end, ready: Collection[int] = (503,)) -> None:
    """Tell stories while a fault begins and ends; the process stays the same, and all arrives."""
    Sender([bridge.url], station.ledger).send("early", "critical")
    pid = bridge.pid
    with Load([bridge.url], station.ledger, threads=3, alerts=3, pause=0.2):
        begin()
        try:
            refused(station, bridge, ready)
        finally:
            end()
    Sender([bridge.url], station.ledger).send("early", "ok")
    station.settle()
    assert (bridge.pid, bridge.running) == (pid, True)
    assert "Traceback" not in bridge.log.read_text()
    assert bridge.get("/-/ready").status_code == 200
    station.fresh(bridge.url)


@pytest.fixture
def disk(request, station, started, tmp_path):
    """Start a bridge whose database is on a small disk of its own, of `param` megabytes; give both."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = small_disk(folder, getattr(request, "param", 2))
    station.database = f"sqlite:///{folder}/bridge.db"
    station.configure()
    bridge = started(station.bridge(command=command))
    return bridge, inside(bridge, folder)


def whole(database: Path, copy: Path) -> bool:
    """Tell whether a copy, taken while nothing is written, holds together."""
    copy.write_bytes(database.read_bytes())
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_full_disk_answers_503(station, disk):
    """Webhooks are answered 503 until there is space; existing pages can be written, the database stays intact."""
    bridge, folder = disk
    suffer(station, bridge, lambda: fill(folder), lambda: filler(folder).unlink(), ready=(200, 503))
    until("the database is whole", lambda: whole(folder / "bridge.db", station.folder / "copy.db"))


@pytest.mark.parametrize("disk", [30], indirect=True)
def test_nearly_full_disk_still_delivers(station, disk):
    """The reserve is for delivery: webhooks are rejected, while queued events are sent and recorded once."""
    bridge, folder = disk
    station.sandbox.faults.set("bigpanda", "status", path="/data")
    Sender([bridge.url], station.ledger).tell_all([alert(f"a{number}", "critical") for number in range(100)])
    fill(folder, leaving=2_900_000)
    assert post(bridge.url, webhook([alert("late", "critical")])).status == 503
    station.sandbox.faults.clear()
    station.settle()
    sent = 'vendorwatch_bridge_outbox_events{state="waiting"} 0.0'
    until("all of it is noted", lambda: sent in bridge.get("/metrics").text)
    assert station.sandbox.world.bigpanda.intake.duplicates == 0
    assert post(bridge.url, webhook([alert("late", "critical")])).status == 503
    filler(folder).unlink()
    station.fresh(bridge.url)


def test_locked_database_answers_503(station, started, tmp_path):
    """Another process, such as a backup, holds the lock: 503 after a wait, then the bridge continues."""
    station.configure()
    bridge = started(station.bridge(command=[sys.executable, "-c", IMPATIENT]))
    with contextlib.closing(sqlite3.connect(tmp_path / "bridge.db", timeout=30, isolation_level=None)) as other:
        suffer(station, bridge, lambda: other.execute("BEGIN EXCLUSIVE"), lambda: other.execute("ROLLBACK"))


@pytest.mark.parametrize("name", ["bridge.db", "bridge.db-wal"])
def test_moved_database_file_answers_503(station, started, tmp_path, name):
    """The bridge writes nothing to it, because that would be lost with the process."""
    station.configure()
    bridge = started(station.bridge())
    file, away = tmp_path / name, tmp_path / "away"
    if not file.exists():
        pytest.skip("this SQLite keeps a journal")
    suffer(station, bridge, lambda: file.rename(away), lambda: away.rename(file))
    assert "database: gone" in bridge.log.read_text()


def test_postgresql_restart_answers_503_meanwhile(station, started, postgresql_cluster):
    """The server is killed and started again; the connections recover."""
    station.database = postgresql_cluster.database()
    station.configure()
    bridge = started(station.bridge())
    suffer(station, bridge, postgresql_cluster.stop, postgresql_cluster.start)


def test_read_only_postgresql_answers_503(station, started, postgresql_cluster):
    """The server is a standby, or set to read-only, until it is writable again."""
    station.database = postgresql_cluster.database()
    name = station.database.rpartition("/")[2]

    def change(value):
        postgresql_cluster.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
        postgresql_cluster.hang_up(name)

    station.configure()
    bridge = started(station.bridge())
    suffer(station, bridge, lambda: change("on"), lambda: change("off"))


def refuses_to_start(station: Station, command: list[str]) -> str:
    """See that a bridge ends with status 1 before it listens; return its one line."""
    flags = (f"--config.file={station.config_file}", "--web.listen-address=127.0.0.1:0")
    done = subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_bridge_does_not_start_with_a_newer_schema(station, tmp_path):
    """It does not change a database that a newer version migrated."""
    station.configure()
    tool(station, "dead-letters", "list")
    with contextlib.closing(sqlite3.connect(tmp_path / "bridge.db")) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
        connection.commit()
    line = refuses_to_start(station, python("bridge"))
    assert "database: its schema is version 99, this program knows" in line


def test_bridge_does_not_start_on_a_network_file_system(station, tmp_path):
    """SQLite loses data where locks are not reliable."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/export {tmp_path} nfs4 rw 0 0\n")
    prepare = 'mount --bind "$0" /proc/$$/mounts'
    needs_mounts(mounts, prepare)
    station.configure()
    line = refuses_to_start(station, alone(prepare, mounts, *python("bridge")))
    assert line.endswith(f"database: {tmp_path}/bridge.db is on a network file system (nfs4), where SQLite loses data")


def test_read_only_file_system_is_one_line_at_start(station, tmp_path):
    """The bridge reports a database that it cannot write in one line."""
    folder = tmp_path / "disk"
    folder.mkdir()
    station.database = f"sqlite:///{folder}/bridge.db"
    station.configure()
    tool(station, "dead-letters", "list")
    prepare = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    needs_mounts(folder, prepare)
    assert f"database: cannot open {folder}/bridge.db: Read-only file system" in refuses_to_start(
        station, alone(prepare, folder, *python("bridge"))
    )
