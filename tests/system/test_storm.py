"""Alert storms: critical first, at the allowed rate and no faster; one bad alert does not affect the others."""

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
    """Fire and resolve one critical alert a few times, as fast as the bridge accepts it."""
    for _ in range(10):
        for status in ("critical", "ok"):
            sender.send("flapping", status)
    over.set()


def test_storm_is_delivered_in_order_critical_first(station, started):
    """3,000 alerts at once, 30 of them critical, and one that flaps: all arrive, within the rate limit."""
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


def test_one_rejected_alert_of_eighty_becomes_a_dead_letter(station, started, picky):
    """79 arrive; once the mapping is fixed, the dead letter is mapped again and sent."""
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


def test_webhooks_are_fast_while_bigpanda_hangs(station, started):
    """Afterwards all events arrive, in order."""
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
