"""Storms: what is urgent first, all of it at the allowed pace and no faster; and one bad alert spoils nothing."""

import threading
import time
from statistics import median

import pytest

from tests.system.bridging import ODD, RECEIVER, SOURCE, Sender, alert, dead_letters, post, together, tool, webhook
from tests.system.oracle import Ledger
from tests.system.running import until

pytestmark = [pytest.mark.system, pytest.mark.slow]

PER_MINUTE = 6000
ALERTS, IN_ONE, CRITICAL = 3000, 100, 30
BURST = PER_MINUTE / 60 / 4


def storm() -> list[list[dict]]:
    """Return 30 webhooks of 100 alerts, the last of each of them critical."""
    return [
        [alert(f"s{number}-{n}", "critical" if n == IN_ONE - 1 else "warning") for n in range(IN_ONE)]
        for number in range(ALERTS // IN_ONE)
    ]


def flap(sender: Sender, over: threading.Event) -> None:
    """Let one critical alert come and go as fast as it can be told, a few times."""
    for _ in range(10):
        for status in ("critical", "ok"):
            sender.tell("flapping", status)
    over.set()


def test_three_thousand_alerts(station, started):
    """3,000 alerts at once, 30 of them critical, one more that flaps: urgent first, at the pace, in order, complete."""
    station.configure({"events_per_minute": PER_MINUTE, "timeout": "10s"})
    bridge = started(station.bridge())
    senders = [Sender([bridge.url], station.ledger) for _ in range(6)]
    webhooks, over = storm(), threading.Event()
    flapping = threading.Thread(target=flap, args=(Sender([bridge.url], station.ledger), over))
    flapping.start()
    begun = time.time()
    together(
        [lambda n=n, one=one: [one.tell_all(alerts) for alerts in webhooks[n::6]] for n, one in enumerate(senders)]
    )
    answered = time.time()
    flapping.join()
    station.settle()

    taken = station.sandbox.world.bigpanda.intake.events
    storming = [event for event in taken if event.alert["instance"] != "flapping"]
    critical = [event for event in storming if event.alert["status"] == "critical"]
    first, last = storming[0].received_at, storming[-1].received_at
    print(f"criticals {critical[-1].received_at - answered:.2f} s after the last answer, all in {last - first:.2f} s")
    assert len(storming) == ALERTS
    assert len(critical) == CRITICAL
    assert critical[-1].received_at - answered < 10, "criticals wait for nothing but the webhooks that bring them"
    behind = [event for event in storming if event.received_at > critical[-1].received_at]
    assert len(behind) > ALERTS / 2, "and the rest lets them pass"
    # What a busy machine holds up arrives together, later than it was sent and never earlier: so at any moment at most
    # as much has arrived as could be sent since the first webhook. A request that waits holds up those behind it.
    ahead = [number - BURST - (event.received_at - begun) * PER_MINUTE / 60 for number, event in enumerate(taken, 1)]
    assert max(ahead) <= 0, "faster than the pace"
    assert last - first <= 2 * ALERTS / PER_MINUTE * 60
    assert station.sandbox.world.bigpanda.intake.duplicates == 0
    station.fresh(bridge.url)


def test_one_of_eighty_is_refused(station, started, picky):
    """79 arrive, one is a dead letter with BigPanda's words; once the mapping is mended it is mapped anew and sent."""
    station.configure(receivers=[ODD])
    bridge = started(station.bridge())
    alerts = [alert(f"e{number}", "odd" if number == 42 else "critical") for number in range(80)]
    Sender([bridge.url], Ledger()).tell_all(alerts)
    for one in alerts:
        if one["fingerprint"] != "e42":
            station.ledger.note(f"{SOURCE}:{one['fingerprint']}", "critical")
    station.settle()
    (reason,) = until("it is set aside", lambda: list(dead_letters(station).values()), pause=1)
    assert "'status' unknown is not for us" in reason
    assert "vendorwatch_bridge_dead_letters 1.0" in bridge.get("/metrics").text

    station.configure(receivers=[RECEIVER])
    tool(station, "dead-letters", "requeue", "--all")
    station.ledger.note(f"{SOURCE}:e42", "warning")
    station.settle()
    assert dead_letters(station) == {}


def ask(url: str, names: list[str], status: str, ledger: Ledger) -> list[float]:
    """Tell some states, one webhook each; return the seconds that the answers took."""
    seconds = []
    for name in names:
        answer = post(url, webhook([alert(name, status)]))
        assert answer.status == 200
        ledger.note(f"{SOURCE}:{name}", status)
        seconds.append(answer.seconds)
    return seconds


def test_bigpanda_hangs(station, started):
    """While BigPanda hangs, webhooks are answered as fast as before; afterwards all arrives, in order."""
    station.configure({"timeout": "3s"})
    bridge = started(station.bridge())
    names = [f"h{number}" for number in range(40)]
    before = ask(bridge.url, names, "warning", station.ledger)
    station.settle()

    station.sandbox.faults.set("bigpanda", "hang")
    end, during = time.monotonic() + 8, []
    for status in ("critical", "ok", "critical", "ok"):
        during += ask(bridge.url, names, status, station.ledger)
    while time.monotonic() < end:
        during += ask(bridge.url, ["late"], "critical", station.ledger)
        time.sleep(0.1)
    assert median(during) < 5 * median(before) + 0.05
    assert max(during) < 3, "no webhook waited for a request to end"
    assert [event["status"] for event in station.events] == ["warning"] * len(names)

    station.sandbox.faults.clear("bigpanda")
    station.settle()
    station.fresh(bridge.url)
