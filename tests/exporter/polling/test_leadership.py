"""Snapshots in a real PostgreSQL, and who leads of those that share it."""

import threading
import time
from dataclasses import replace

import psycopg
import pytest

from exporter.collectors.vigilmon.collector import Collector
from exporter.polling.leadership import Leadership
from exporter.polling.postgresql import key
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshots import Snapshot
from exporter.polling.target_state import Target
from exporter.toolkit.config_types import Secret
from tests.bench.account import knowledge, settings
from tests.postgresql import Cluster, needed
from tests.waiting import eventually

pytestmark = pytest.mark.system
NOW = 1002.0
SETTINGS = settings(rate=55)
TARGET = Target(knowledge=knowledge(2, 1000.0), budget=Budget.start(55, 1000.0).spend(1001.0), success=True)


@pytest.fixture
def url(postgresql_cluster):
    found = postgresql_cluster.database()
    yield found
    postgresql_cluster.drop(found)


@pytest.fixture
def member():
    """Give one exporter's part, ended with the test: `member(url)`."""
    made = []

    def begin(url, shard="1/1", on_change=lambda: None):
        made.append(Leadership(Secret(url), shard))
        made[-1].start(on_change)
        return made[-1]

    yield begin
    for each in made:
        each.stop()


class Watch:
    """Looks at both all the time: never may two lead."""

    def __init__(self, *members):
        self.both = False
        self._members = members
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._ended.wait(0.001):
            self.both = self.both or all(each.leads() for each in self._members)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        assert not self.both


def snapshot(database, chosen=SETTINGS):
    return Snapshot(database, chosen, Collector(chosen))


def hold_up(url, shard="1/1"):
    """End the session that holds the lock, and nothing else."""
    number = key(shard) % 2**64
    end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(end, [number >> 32, number & 0xFFFFFFFF])


def test_second_exporter_leads_after_the_first_stops(url, member):
    """Changes are logged; another shard has its own leader."""
    woken = []
    first = member(url)
    second = member(url, on_change=lambda: woken.append(second.leads()))
    assert (first.leads(), second.leads(), member(url, "1/2").leads()) == (True, False, True)
    with Watch(first, second):
        first.stop()
        eventually(lambda: woken == [True])
    assert second.leads()


def test_lost_session_ends_the_lead_and_only_one_leads_after(url, member, caplog):
    """A new leader waits until the lease of the old one has run out."""
    caplog.set_level("INFO")
    first, second = member(url), member(url)
    with Watch(first, second):
        hold_up(url)
        eventually(lambda: not first.leads())
        eventually(lambda: first.leads() or second.leads())
    assert sum("PostgreSQL unavailable" in record.message for record in caplog.records) == 1


def test_without_postgresql_nobody_leads(member, caplog):
    """One line each, though they retry every second; one leads when it is back."""
    needed()
    with Cluster() as own:
        first, second = member(own.url), member(own.url)
        with Watch(first, second):
            own.stop()
            eventually(lambda: first.role() == second.role() == "unavailable")
            third = member(own.url)
            eventually(lambda: len(caplog.records) == 3)
            time.sleep(2.5)
            assert not any(each.leads() for each in (first, second, third))
            own.start()
            eventually(lambda: first.leads() or second.leads() or third.leads())
        eventually(lambda: "unavailable" not in {each.role() for each in (first, second, third)})
        assert [first.leads(), second.leads(), third.leads()].count(True) == 1
        assert all("PostgreSQL unavailable" in record.message for record in caplog.records)
        assert len(caplog.records) == 3
        for each in (first, second, third):
            each.stop()


def test_follower_reads_only_its_targets_snapshots(url, member):
    """Each one once; snapshots of another place or shard, or broken ones, are not used."""
    leader, follower = member(url), member(url)
    kept, read = snapshot(leader.database), snapshot(follower.database)
    assert read.news(NOW) is None
    for success in (True, False):
        target = replace(TARGET, success=success)
        kept.write(target, NOW)
        found = eventually(lambda: read.news(NOW))
        assert (found.knowledge, found.budget, found.success) == (target.knowledge, target.budget, success)
    elsewhere = settings(rate=55, url="http://v/2")
    assert snapshot(member(url).database).news(NOW) is not None
    assert snapshot(member(url).database, elsewhere).news(NOW) is None
    assert snapshot(member(url, "1/2").database).news(NOW) is None
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE vendorwatch_exporter_snapshots SET document = 'x'")
    assert snapshot(member(url).database).news(NOW) is None


def test_former_leader_overwrites_nothing(url, member, caplog):
    """Even if its connection for snapshots is still open and it has not noticed."""
    first, second = member(url), member(url)
    database = first.database
    term, kept = database.term, snapshot(database)
    kept.write(TARGET, NOW)
    first.stop()
    eventually(second.leads)
    database.term = term
    kept.write(replace(TARGET, success=False), NOW)
    assert "cannot be written (another exporter leads)" in caplog.text
    assert snapshot(second.database).news(NOW).success is True
    database.close()


@pytest.mark.parametrize(
    "loss", ["DELETE FROM vendorwatch_exporter_terms", "UPDATE vendorwatch_exporter_terms SET term = 0"]
)
def test_leader_whose_term_is_lost_begins_another(url, member, loss):
    """As after a restore of the tables: its writes were rejected for good, and the follower's data aged."""
    leader = member(url)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE vendorwatch_exporter_terms SET term = 7")
    eventually(lambda: leader.leads() and leader.database.term == 8)
    with psycopg.connect(url) as connection:
        connection.execute(loss)
    eventually(lambda: leader.database.term == 1)
    eventually(leader.leads)
    snapshot(leader.database).write(TARGET, NOW)
    assert eventually(lambda: snapshot(member(url).database).news(NOW)).knowledge == TARGET.knowledge


def test_a_broken_connection_loses_no_snapshot(url, member, postgresql_cluster, caplog):
    """Readers and writers reconnect."""
    leader = member(url)
    kept = snapshot(leader.database)
    kept.write(TARGET, NOW)
    postgresql_cluster.hang_up(url.rpartition("/")[2])
    assert snapshot(leader.database).news(NOW).knowledge == TARGET.knowledge
    eventually(leader.leads)
    postgresql_cluster.hang_up(url.rpartition("/")[2])
    eventually(leader.leads)
    kept.write(replace(TARGET, success=False), NOW)
    assert snapshot(leader.database).news(NOW).success is False
    assert "Snapshot" not in caplog.text


def test_snapshot_of_100_000_series_keeps_the_lead(url, member):
    """No thread blocks for long."""
    leader, follower = member(url), member(url)
    large = knowledge(7700, 1000.0)
    snapshot(leader.database).write(replace(TARGET, knowledge=large), NOW)
    read = snapshot(follower.database)
    assert eventually(lambda: read.news(NOW)).knowledge == large
    assert (leader.database.term, follower.leads()) == (1, False)


def test_user_without_create_rights_uses_existing_tables(url, member, postgresql_cluster, caplog):
    """The error names a missing table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
    plain = url.replace("vendorwatch@", "reader@")
    leader = member(plain)
    assert not leader.leads()
    assert "PostgreSQL unavailable (permission denied)" in caplog.text
    owner = Leadership(Secret(url), "1/1")
    owner.start(lambda: None)
    owner.stop()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO reader")
    eventually(leader.leads)
    leader.stop()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY reader")
        connection.execute("DROP ROLE reader")
