"""`python -m tests.demo [--stay]`: an outage walks from the vendors' APIs to BigPanda, and back to health.

Ends with status 0 only if every event and its resolution arrived at the sandbox's BigPanda.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.demo.journey import Journey, Station, counter_of_queued, follow, last_status, outage, recovery
from tests.demo.screen import Screen, Style
from tests.demo.world import Trouble, fill, troubles
from tests.system.running import ROOT, NotInTime, Program, missing, until
from tests.system.way import ACCOUNTS, Addresses, Way

NEEDED = ("prometheus", "prometheus-alertmanager")
WATCHDOG = "prod:watchdog"
"""The identifier of the bridge's own alert in BigPanda."""
MAX_SILENCE = 8
"""Seconds; Alertmanager repeats the Watchdog every two to four, and at first Prometheus must find it."""


@dataclass(frozen=True, slots=True)
class Leg:
    """There or back: its heading, what happens at the vendors, and the stations after that."""

    title: str
    happen: Callable[[Trouble], object]
    describe: Callable[[Trouble], str]
    stations: Callable[[Way, Trouble, Callable[[], bool]], Journey]
    style: Style


OUTAGE = Leg("The outage", lambda trouble: trouble.breaks(), lambda _: "at the vendor", outage, "bad")
RECOVERY = Leg(
    "The recovery",
    lambda trouble: trouble.mends(),
    lambda trouble: "over at the vendor" + (", after somebody silenced the alert" if trouble.silenced else ""),
    recovery,
    "good",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0: everything arrived, 1: not, or Prometheus or Alertmanager are missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="keep all running until Ctrl-C")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="for configuration, data and logs; emptied first"
    )
    flags = parser.parse_args(arguments)
    absent = missing(*NEEDED)
    if absent:
        print(f"demo skipped: not installed and could not be: {', '.join(absent)}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = Screen()
    shutil.rmtree(flags.folder, ignore_errors=True)
    flags.folder.mkdir()
    pace = {"bigpanda": {"poll_interval": "5s", "requests_per_minute": 600}}
    way = Way(flags.folder, addresses=Addresses.usual(), wait="2s", resend="1s", targets=pace)
    reconcile = {"urls": [way.alertmanager.url], "interval": "4s", "min_uptime": "0s"}
    way.receiver_settings = {"reconcile": reconcile, "watchdog": {"max_silence": f"{MAX_SILENCE}s"}}
    try:
        return show(way, screen, stay=flags.stay)
    except KeyboardInterrupt:
        screen.say("\nstopped")
        return 130
    except (NotInTime, RuntimeError) as error:
        screen.say(f"\n{error}\nlogs: {flags.folder}", "bad")
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        way.stop()


def show(way: Way, screen: Screen, *, stay: bool) -> int:
    """Start everything, break it, mend it, and say how it went."""
    screen.say("vendorwatch: vendors → exporter → Prometheus → Alertmanager → bridge → BigPanda", "bold")
    screen.say(
        "Only the vendors are a sandbox; rules and routing are those of deploy/. To save time every `for` is 2 s,\n"
        "vendors are polled every second, and their limits are lifted."
    )
    wrong = start(way, screen)
    out = walk(way, screen, wrong, OUTAGE)
    back = walk(way, screen, wrong, RECOVERY)
    hang(way, screen)
    tell_times(screen, "Seconds from the vendor to each station", out)
    tell_times(screen, "Seconds back to health", back)
    status = tell_result(way, screen, wrong)
    tell_addresses(way, screen)
    if stay:
        wait_for_the_end(screen)
    return status


def wait_for_the_end(screen: Screen) -> None:
    """Keep all running until Ctrl-C or SIGTERM."""
    screen.say("\nAll of it keeps running; Ctrl-C ends it.", "bold")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def start(way: Way, screen: Screen) -> list[Trouble]:
    """Start every program, fill the world, and wait until Prometheus has seen it all."""
    screen.begin("Starting")
    way.start_sandbox()
    world = fill(way)
    root = way.folder / "root.pem"
    root.write_bytes(way.sandbox.get("/control/certificates/root.pem").content)
    way.endpoints = [world.endpoint["endpoint"]]
    way.targets = {**way.targets, "certificates": {"ca_file": str(root)}}
    way.configure()
    screen.step("sandbox", f"{len(world.monitors)} monitors, tests, routes, incidents, a certificate")
    with ThreadPoolExecutor() as pool:
        for program in pool.map(Program.start, way.programs[1:]):
            screen.step(program.name, program.url)
    way.start()
    until("every vendor is polled", lambda: len(way.query("vendorwatch_poll_success == 1")) == len(ACCOUNTS))
    until("every monitor is up", lambda: len(way.query("vigilmon_monitor_up == 1")) == len(world.monitors) - 1)
    until("the certificate is seen", lambda: way.query("tls_certificate_valid == 1"))
    screen.step("Prometheus", "has every vendor; all is well", "good")
    return troubles(way, world)


def walk(way: Way, screen: Screen, wrong: Sequence[Trouble], leg: Leg) -> list[Journey]:
    """Let all of it happen, and follow it to BigPanda."""
    queued = counter_of_queued(way)
    journeys = [leg.stations(way, trouble, queued) for trouble in wrong]
    screen.begin(leg.title)
    for trouble in wrong:
        leg.happen(trouble)
        screen.step(trouble.title, leg.describe(trouble))

    def passed(journey: Journey, station: Station) -> None:
        screen.step(journey.title, station.description, leg.style if station is journey.stations[-1] else "")

    follow(journeys, passed)
    return journeys


def hang(way: Way, screen: Screen) -> None:
    """Stop Alertmanager until the bridge misses the Watchdog and raises an alert in BigPanda; then continue it."""

    def accepted(status: str) -> bool:
        return [each["status"] for each in way.accepted(incident_identifier=WATCHDOG)][-1:] == [status]

    screen.begin("The way itself breaks")
    screen.step("Alertmanager", "hangs: no alert would get through, nor does the Watchdog, which fires always")
    way.alertmanager.send(signal.SIGSTOP)
    try:
        until("the bridge misses the Watchdog", lambda: accepted("critical"))
        screen.step("bridge", f"received no Watchdog for {MAX_SILENCE} s: BigPanda accepted: critical", "bad")
    finally:
        way.alertmanager.send(signal.SIGCONT)
    screen.step("Alertmanager", "goes on")
    until("the bridge receives the Watchdog", lambda: accepted("ok"))
    screen.step("bridge", "receives the Watchdog: BigPanda accepted: ok", "good")


def tell_times(screen: Screen, title: str, journeys: Sequence[Journey]) -> None:
    """Print the table of stations."""
    screen.begin(title)
    head = ["", *(station.short for station in journeys[0].stations)]
    screen.table(head, [[journey.title, *(f"{at:.1f}" for at in journey.passed)] for journey in journeys])


def tell_result(way: Way, screen: Screen, wrong: Sequence[Trouble]) -> int:
    """Say what BigPanda got, and return the status to end with."""
    screen.begin("What BigPanda got")
    rows, good = [], True
    for trouble in wrong:
        events = way.accepted(check=trouble.alertname, **trouble.alert_labels)
        statuses = [str(event["status"]) for event in events]
        good = good and statuses == ["critical", "ok"] and last_status(way, trouble) == "ok"
        rows.append([trouble.title, " → ".join(statuses), str(events[0]["incident_identifier"])])
    statuses = [str(event["status"]) for event in way.accepted(incident_identifier=WATCHDOG)]
    rows.append(["Watchdog silent", " → ".join(statuses), WATCHDOG])
    screen.table(["", "events", "incident_identifier"], rows)
    screen.say(
        "  one event for each change, every one resolved" if good else "  NOT what was expected",
        "good" if good else "bad",
    )
    return 0 if good else 1


def tell_addresses(way: Way, screen: Screen) -> None:
    """Say where to look."""
    screen.begin("To open while it runs (make demo STAY=1)")
    base = way.prometheus.url
    for name, url in (
        ("exporter", f"{way.exporter.url}/"),
        ("Prometheus's alerts", f"{base}/alerts"),
        ("Alertmanager", f"{way.alertmanager.url}/"),
        ("bridge", f"{way.bridge.url}/"),
        ("BigPanda's events", f"{way.sandbox.url}/control/bigpanda/events"),
        ("configuration, logs", str(way.folder)),
    ):
        screen.say(f"  {name:<22} {url}")


if __name__ == "__main__":
    sys.exit(main())
