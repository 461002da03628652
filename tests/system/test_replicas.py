"""Several bridges on one PostgreSQL, killed at random: nothing lost, overtaken or duplicated."""

import random
import signal
import time
from functools import partial

import pytest

from tests.system.bridging import Load, Sender, alert, together
from tests.system.running import free_port, until

pytestmark = pytest.mark.system


@pytest.fixture
def replicas(station, started, postgresql_cluster):
    """Start so many bridges on one empty database."""
    station.database = postgresql_cluster.database()

    def start(number: int, **bigpanda):
        station.configure(bigpanda)
        made = [station.bridge(f"bridge{n}", address=f"127.0.0.1:{free_port()}") for n in range(1, number + 1)]
        together([lambda one=one: started(one) for one in made])
        return made

    return start


def answers(load: Load) -> set[int]:
    return {answer.status for sender in load.senders for answer in sender.answers}


@pytest.mark.parametrize("number", [2, 3])
def test_replicas_survive_random_kills(station, replicas, number):
    """All get every webhook at the same time; one after the other is killed and restarted, with its leases."""
    bridges = replicas(number)
    chance = random.Random(number)
    with Load([one.url for one in bridges], station.ledger, threads=4, alerts=5, seed=number, pause=0.4) as load:
        for _ in range(4):
            time.sleep(chance.uniform(0.2, 0.8))
            victim = chance.choice(bridges)
            victim.kill()
            time.sleep(chance.uniform(0, 0.5))
            victim.start()
    station.settle()
    assert answers(load) <= {0, 200, 503}
    station.fresh(bridges[0].url)


def test_webhooks_to_three_replicas_become_one_event_per_change(station, replicas):
    """Three bridges get the same webhooks at once, and none answers 503."""
    bridges = replicas(3)
    with Load([one.url for one in bridges], station.ledger, threads=6, alerts=5) as load:
        pass
    station.settle()
    assert answers(load) == {200}
    intake = station.sandbox.world.bigpanda.intake
    assert intake.duplicates == 0
    assert not any("Traceback" in one.log.read_text() for one in bridges)


def test_concurrent_webhooks_do_not_deadlock(station, replicas):
    """Webhooks with the same alerts in opposite orders, at all replicas at once: all are answered 200."""
    bridges = replicas(2)
    names = [f"x{number}" for number in range(60)]
    senders = [Sender([one.url], station.ledger) for one in bridges for _ in range(3)]
    for status in ("warning", "critical", "warning"):
        alerts = [alert(name, status) for name in names]
        orders = [alerts, alerts[::-1]] * len(bridges) * 2
        together([partial(one.tell_all, order) for one, order in zip(senders, orders, strict=False)])
    Sender([bridges[0].url], station.ledger).tell_all([alert(name, "ok") for name in names])
    assert {answer.status for one in senders for answer in one.answers} == {200}
    station.settle()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_another_replica_takes_over_after_the_lease(station, started, replicas, number):
    """A bridge is killed or frozen during a request: another one delivers its events once the lease ends.

    The frozen one wakes up later, finds that its lease counts no more, and spoils nothing.
    """
    (first,) = replicas(1)
    second = station.bridge("other")
    station.sandbox.faults.set("bigpanda", "hang", seconds=4)
    Sender([first.url], station.ledger).send("taken", "critical")
    until("a request is under way", lambda: station.sandbox.traffic.described().get("bigpanda", {}).get("open_now"))
    first.send(number)
    started(second)
    station.sandbox.faults.clear("bigpanda")
    Sender([second.url], station.ledger).send("taken", "ok")
    station.settle()
    if number is signal.SIGSTOP:
        first.send(signal.SIGCONT)
        station.fresh(first.url)
        station.fresh(second.url)
