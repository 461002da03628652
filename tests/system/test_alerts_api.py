"""BigPanda's own clients with a bridge that is killed: their events arrive once, in order, and every alert is resolved.

bigpanda-python-module runs as it was released. Kapacitor's body and curl's are as its source and BigPanda's documents
write them. bigpanda-ansible is not here: each of its modules acts on an incident, or on an alert by BigPanda's own id,
at BigPanda's own address; none of them sends an alert.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from tests.system.bridging import dead, together
from tests.system.oracle import episodes
from tests.system.running import PATIENCE, free_port, missing, until

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(missing("curl")), reason="not installed: curl")]

TOKEN = "token-of-the-scripts"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
RECEIVER = {"receiver": "alerts_api", "source": "scripts", "bearer_token": TOKEN}
SENDERS = ("module", "kapacitor", "curl")
HOSTS = 6
SCRIPT = """
import sys, time, requests
folder, base, token, began, hosts = sys.argv[1:]
sys.path.insert(0, folder)  # it imports its modules as Python 2 did
from client import Client
panda = Client(api_token=token, app_key="theirs", base_url=base, timeout=30)
def send(what):
    end = time.monotonic() + 120
    while True:
        try:
            return panda.send(what)
        except requests.RequestException:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
for step, status in enumerate(["warn", "crit", "ok"]):
    alerts = [
        panda.alert(status, f"module-{n}", "load", "too high", timestamp=int(began) + step, team="db")
        for n in range(int(hosts))
    ]
    for what in (alerts[0], alerts, alerts):
        send(what)
"""


def module(base: str, began: int) -> None:
    """Run bigpanda-python-module: single alerts, batches, and each batch a second time."""
    folder = Path(find_spec("bigpanda").origin or "").parent
    command = [sys.executable, "-c", SCRIPT, str(folder), base, TOKEN, str(began), str(HOSTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=4 * PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")


def keep_saying(send: Callable[[str], int], body: Mapping[str, object]) -> None:
    """Say it until it is kept: 201, or 204 where it was kept before and the answer was lost."""
    until(f"{body} is kept", lambda: send(json.dumps(body)) in (201, 204), patience=2 * PATIENCE)


def kapacitor(api: str, began: int) -> None:
    """Say what the handler makes of an alert: its message as `check`, tags as members, a time in words. Twice."""

    def send(body: str) -> int:
        return requests.post(api, data=body, headers=HEADERS, timeout=30).status_code

    for number in range(HOSTS):
        for step, status in enumerate(("warning", "critical", "ok")):
            moment = datetime.fromtimestamp(began + step, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
            said = {"app_key": "theirs", "check": "cpu is too busy", "timestamp": moment, "status": status}
            for _ in range(2):
                keep_saying(send, said | {"host": f"kapacitor-{number}", "cpu": "cpu-total"})


def curl(api: str, began: int) -> None:
    """Say what the Alerts API's documents show, tags of one's own and an array among it, as a script would."""
    headers = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]

    def send(body: str) -> int:
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *headers, api, "-d", body]
        return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout)

    for number in range(HOSTS):
        for step, status in enumerate(("critical", "ok")):
            said = {"app_key": "theirs", "status": status, "host": f"curl-{number}", "check": "CPU overloaded"}
            said |= {"description": "CPU is above upper limit (70%)", "my_unique_attribute": "my_unique_value"}
            keep_saying(send, said | {"timestamp": began + step, "my_array": ["one", "two"]})


@pytest.mark.parametrize("point", ["before-commit", "sent"])
def test_events_of_bigpandas_clients_survive_kills(station, started, point):
    """Nothing acknowledged is lost or duplicated, and every alert is resolved.

    Killed before the client is answered, and after: test_crash_points has every step.
    """
    station.configure(receivers=[RECEIVER])
    address = f"127.0.0.1:{free_port()}"
    base, began = f"http://{address}/webhooks/alerts_api/scripts", int(time.time()) - 600
    api = f"{base}/data/v2/alerts"
    dying, plain = started(station.dying(point, address)), station.bridge(address=address)

    def die() -> None:
        dead(dying)
        started(plain)

    together([die, lambda: module(base, began), lambda: kapacitor(api, began), lambda: curl(api, began)])

    def arrived() -> dict[str, list[tuple[str, int]]]:
        found: dict[str, list[tuple[str, int]]] = {
            f"{name}-{number}": [] for name in SENDERS for number in range(HOSTS)
        }
        for event in station.events:
            found[event["host"]].append((event["status"], event["timestamp"]))
        return found

    until("every alert has ended", lambda: all(events[-1:] and events[-1][0] == "ok" for events in arrived().values()))
    for host, events in arrived().items():
        # A warning that was still queued when it became critical has given way to it.
        assert episodes(status for status, _ in events) == ["open", "ok"], host
        assert all(one[0] != other[0] and one[1] < other[1] for one, other in pairwise(events)), (host, events)
