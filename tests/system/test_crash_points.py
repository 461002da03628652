"""SIGKILL at named points between a webhook and BigPanda: everything acknowledged arrives."""

import pytest

from tests.system.bridging import Load, Station, dead
from tests.system.crashing import POINTS
from tests.system.running import free_port

pytestmark = pytest.mark.system


def kill_at(station: Station, started, point: str) -> None:
    """Tell stories to a bridge that dies at a point, start another in its place, and see that all arrives."""
    address = f"127.0.0.1:{free_port()}"
    dying = started(station.dying(point, address))
    plain = station.bridge(address=address)
    with Load([dying.url], station.ledger, threads=3, alerts=4):
        dead(dying)
        started(plain)
    station.settle()
    station.fresh(plain.url)


@pytest.mark.parametrize("point", sorted(POINTS.keys() - {"pruning", "pruned"}))
def test_kill_at_each_step_loses_nothing(station, started, point):
    """Killed before or after each step: nothing acknowledged is lost, and the order holds."""
    station.configure()
    kill_at(station, started, point)


@pytest.mark.parametrize("point", ["pruning", "pruned"])
def test_kill_during_retention_deletes_only_history(station, started, point):
    """Killed with half of the history deleted."""
    station.configure(retention="1s")
    kill_at(station, started, point)


@pytest.mark.parametrize("point", ["after-commit", "sent"])
def test_lease_of_a_killed_bridge_ends_on_postgresql(station, started, postgresql_cluster, point):
    """Its events are sent again, with the same bytes."""
    station.database = postgresql_cluster.database()
    station.configure()
    kill_at(station, started, point)
