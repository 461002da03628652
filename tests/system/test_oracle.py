"""Every acknowledged state arrives through all faults; and the oracle that checks this finds failures."""

import random
import signal
import time

import pytest

from tests.system.bridging import ODD, RECEIVER, Load, Sender, Station, alert, dead_letters, tool
from tests.system.oracle import Ledger
from tests.system.running import until

pytestmark = [pytest.mark.system, pytest.mark.slow]

FAULTS = [
    {"kind": "hang", "seconds": 2.5},
    {"kind": "hang", "duration": 1.5},
    {"kind": "status", "code": 503, "count": 2},
    {"kind": "status", "code": 500, "count": 2},
    {"kind": "status", "code": 429, "retry_after": 1, "count": 2},
    {"kind": "reset", "count": 2},
    {"kind": "lose_answer", "count": 3},
    {"kind": "truncate", "count": 1},
    {"kind": "slow", "seconds": 0.5, "count": 2},
]


def events(*states):
    return [{"incident_identifier": name, "status": status, "timestamp": time} for name, status, time in states]


@pytest.mark.parametrize(
    ("arrived", "problem"),
    [
        ([("a", "warning", 1), ("a", "critical", 2), ("a", "ok", 3), ("b", "critical", 1)], ""),
        ([("a", "critical", 2), ("b", "critical", 1), ("a", "ok", 3)], ""),
        ([("a", "critical", 2), ("b", "critical", 1)], "a: sent warning critical ok, arrived critical"),
        ([("a", "ok", 3), ("b", "critical", 1)], "a: sent warning critical ok, arrived ok"),
        (
            [("a", "ok", 2), ("a", "critical", 3), ("b", "critical", 1)],
            "a: sent warning critical ok, arrived ok critical",
        ),
        ([("a", "critical", 2), ("a", "ok", 2), ("b", "critical", 1)], "a: its times do not grow: [2, 2]"),
        ([("a", "warning", 2), ("a", "ok", 3), ("b", "warning", 1)], "b: ends as warning, not as critical"),
        ([("a", "warning", 2), ("a", "ok", 3)], "b: sent critical, arrived nothing"),
        (
            [("a", "warning", 2), ("a", "ok", 3), ("b", "critical", 1), ("c", "ok", 1)],
            "c: arrived, but was never sent",
        ),
        (
            [("a", "warning", 1), ("a", "ok", 2), ("a", "warning", 3), ("a", "ok", 4), ("b", "critical", 1)],
            "a: sent warning critical ok, arrived warning ok warning ok",
        ),
    ],
)  # fmt: skip
def test_oracle_finds_violations(arrived, problem):
    """It reports lost, overtaken, invented, outdated and wrong states, and accepts correct ones."""
    ledger = Ledger()
    for name, status in [("a", "warning"), ("a", "critical"), ("a", "ok"), ("b", "critical")]:
        ledger.note(name, status)
    assert ledger.problems(events(*arrived)) == ([problem] if problem else [])


def disturb(station: Station, bridge, load: Load, chance: random.Random) -> None:
    """Inject a fault every moment during the load, and sometimes a SIGKILL."""
    turns = 0
    while load.going or turns < 6:
        station.sandbox.faults.set("bigpanda", **chance.choice(FAULTS))
        time.sleep(chance.uniform(0.1, 0.9))
        if turns % 3 == 2:
            bridge.send(signal.SIGKILL)
            bridge.kill()
            time.sleep(chance.uniform(0, 0.3))
            bridge.start()
        station.sandbox.faults.clear("bigpanda")
        turns += 1


@pytest.mark.parametrize("seed", [1, 2])
def test_every_acknowledged_state_arrives(station, started, picky, seed):
    """BigPanda hangs, rejects, resets, loses responses and rejects one alert; the bridge is killed again and again."""
    station.configure(receivers=[ODD])
    bridge = started(station.bridge())
    Sender([bridge.url], Ledger()).tell_all([alert("strange", "odd")])
    with Load([bridge.url], station.ledger, threads=4, alerts=6, seed=seed, pause=0.3) as load:
        disturb(station, bridge, load, random.Random(seed))
    station.settle()
    station.fresh(bridge.url)

    ((key, reason),) = until("it is set aside", lambda: dead_letters(station).items(), pause=1)
    assert (key, "'status' unknown is not for us" in reason) == ("prod:strange", True)
    station.configure(receivers=[RECEIVER])
    tool(station, "dead-letters", "requeue", "--all")
    station.ledger.note("prod:strange", "warning")
    station.settle()
    assert dead_letters(station) == {}
