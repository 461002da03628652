"""`python -m tests.bench.soak --minutes N`: both programs under ten times their usual load, with faults.

Polls go to the sandbox's vendors and webhooks to the bridge; the vendors and BigPanda fail now and then. At the end it
says how memory, threads and descriptors went, and ends with 1 when one of them grew.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import requests

from tests.bench.machine import descriptors, resident, threads
from tests.bench.webhooks import TOKEN, webhook
from tests.system.running import Program
from tests.system.way import TOKEN as BEARER
from tests.system.way import UNLIMITED, Way

FAULTS = (
    {"kind": "status", "code": 503},
    {"kind": "status", "code": 429, "retry_after": 1},
    {"kind": "hang", "seconds": 15},
    {"kind": "reset"},
    {"kind": "lose_answer"},
    {"kind": "truncate"},
    {"kind": "garbage"},
)
VENDORS = ("vigilmon", "packetvis", "thousandeyes", "bigpanda")
SLOPE = 0.10
"""Share by which the last third's memory may exceed the second third's: noise of the allocator."""


class Soak:
    """Programs of one run, and what they used as it went."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.watched: tuple[Program, ...] = (way.exporter, way.bridge)
        self.seen: dict[str, list[tuple[float, int, int]]] = {program.name: [] for program in self.watched}
        self.sent = 0
        self.refused = 0
        self._ending = threading.Event()

    def run(self, minutes: float) -> None:
        """Send, disturb and look, until the time is over."""
        workers = [threading.Thread(target=self._send, args=(number,)) for number in range(2)]
        workers.append(threading.Thread(target=self._disturb))
        for worker in workers:
            worker.start()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            self._ending.wait(2)
            for program in self.watched:
                used = (resident(program.pid) / 1e6, threads(program.pid), descriptors(program.pid))
                self.seen[program.name].append(used)
        self._ending.set()
        for worker in workers:
            worker.join()

    def _send(self, number: int) -> None:
        """Webhooks as ten Alertmanagers send them: groups of some alerts, each repeated, then resolved."""
        session = requests.Session()
        url = f"{self._way.bridge.url}/webhooks/alertmanager/prod"
        headers = {"Authorization": f"Bearer {BEARER}", "Content-Type": "application/json"}
        turn = 0
        while not self._ending.wait(0.2):
            turn += 1
            body = webhook(5, number).replace(TOKEN, b"%08x" % (turn // 4 % 200))
            if turn % 4 == 3:
                ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()
                body = body.replace(b'"firing"', b'"resolved"').replace(b"0001-01-01T00:00:00Z", ended)
            with suppress(requests.RequestException):
                self.sent += 1
                self.refused += session.post(url, data=body, headers=headers, timeout=30).status_code != 200
            session.get(f"{self._way.exporter.url}/metrics", timeout=30)

    def _disturb(self) -> None:
        """Let a vendor fail for some seconds, change its data, and so on."""
        chance = random.Random(1)
        while not self._ending.wait(5):
            fault = {**chance.choice(FAULTS), "vendor": chance.choice(VENDORS), "duration": 3}
            with suppress(requests.RequestException):
                self._way.sandbox.post("/control/faults", fault)
                self._way.sandbox.post("/control/vigilmon/down", {"id": chance.randrange(1, 46)})
                self._way.sandbox.post("/control/vigilmon/up", {"id": chance.randrange(1, 46)})


def grown(seen: Sequence[tuple[float, int, int]]) -> list[str]:
    """Return what the last third has more of than the second: the first is for filling pools and caches."""
    third = len(seen) // 3
    before, after = seen[third : 2 * third], seen[2 * third :]
    found = []
    for place, (name, most) in enumerate((("memory", SLOPE), ("threads", 0.25), ("descriptors", 0.25))):
        was, now = (median(one[place] for one in part) for part in (before, after))
        if now > was * (1 + most) + 2:
            found.append(f"{name} grew from {was:g} to {now:g}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and print the result."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args(arguments).minutes
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        way = Way(Path(folder))
        way.configure()
        soak = Soak(way)
        try:
            for program in (way.sandbox, way.exporter, way.bridge):
                program.start()
                if program is way.sandbox:
                    way.change("settings", vigilmon=UNLIMITED, thousandeyes=UNLIMITED)
                    way.change("populate", monitors=45)
            soak.run(minutes)
        finally:
            way.stop()
    failed = False
    for name, seen in soak.seen.items():
        wrong = grown(seen)
        failed = failed or bool(wrong)
        usage = ", ".join(f"{one[0]:.0f} MB {one[1]} threads {one[2]} fds" for one in seen[:: max(1, len(seen) // 8)])
        print(f"{name}: {usage}: {'; '.join(wrong) or 'nothing grew'}")
    print(f"{soak.sent} webhooks, {soak.refused} of them not taken")
    return int(failed or soak.refused > 0)


if __name__ == "__main__":
    sys.exit(main())
