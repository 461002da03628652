"""Bridges in front of the sandbox's BigPanda, and senders that repeat a webhook until they get a 200."""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import requests
import yaml

from tests.sandbox.server import Sandbox
from tests.sandbox.settings import Settings
from tests.system.oracle import Ledger
from tests.system.running import PATIENCE, Program, free_port, launch, python, until

SOURCE = "prod"
TOKEN = "am-token-of-the-bridge-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WEBHOOK = f"/webhooks/alertmanager/{SOURCE}"
RECEIVER = {"receiver": "alertmanager", "source": SOURCE, "bearer_token": TOKEN, "update_interval": "0s"}
ODD = RECEIVER | {"statuses": {"odd": "unknown"}}
"""With the fixture `picky` BigPanda rejects events with the severity `odd`."""
STORIES = (("critical", "ok"), ("warning", "critical", "ok", "critical"), ("critical", "ok", "warning", "ok"))
"""Sequences of statuses. Events of an alert are at least a second apart, so they are short."""


class Station:
    """One BigPanda, one bridge.yml, any number of bridges. `database`: a URL; a file of SQLite without one."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        self.sandbox = Sandbox()
        self.database = database or f"sqlite:///{folder / 'bridge.db'}"
        self.ledger = Ledger()
        self.config: dict[str, Any] = {}

    @property
    def config_file(self) -> Path:
        """The path of bridge.yml."""
        return self.folder / "bridge.yml"

    def configure(self, bigpanda: Mapping[str, Any] | None = None, **changes: Any) -> None:
        """Write bridge.yml: quick timeouts, a pace that nobody feels, one Alertmanager; with these changes."""
        self.config = {
            "database": self.database,
            "bigpanda": {
                "url": f"{self.sandbox.url}/bigpanda/data/v2/alerts",
                "app_key": "app",
                "token": Settings().bigpanda.org_token,
                "events_per_minute": 60_000,
                "timeout": "1s",
                **(bigpanda or {}),
            },
            "receivers": [RECEIVER],
            **changes,
        }
        self.config_file.write_text(yaml.safe_dump(self.config))

    def bridge(self, name: str = "bridge", command: Sequence[str] = (), address: str = "") -> Program:
        """Make a bridge; `command` runs it instead of `python -m bridge`. It is not started."""
        listen = address or f"127.0.0.1:{free_port()}"
        flags = (f"--config.file={self.config_file}", f"--web.listen-address={listen}")
        run = [*command, *flags] if command else python("bridge", *flags)
        return Program(name, run, self.folder / f"{name}.log", f"http://{listen}")

    def dying(self, point: str, address: str) -> Program:
        """Make a bridge that is killed at a point of `tests.system.crashing`."""
        return self.bridge(f"dying at {point}", python("tests.system.crashing", point), address)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that BigPanda accepted, in order of arrival."""
        intake = self.sandbox.world.bigpanda.intake
        with intake.lock:
            return [event.alert for event in intake.events]

    def settle(self, patience: float = PATIENCE * 2) -> None:
        """Wait until BigPanda has what the ledger demands, and nothing else."""
        problems: list[str] = ["nothing was asked yet"]
        events: list[dict[str, Any]] = []
        end = time.monotonic() + patience
        while problems and time.monotonic() < end:
            time.sleep(0.1 + len(events) / 5000)  # so that a storm is not held up by being watched
            events = self.events
            problems = self.ledger.problems(events)
        assert not problems, "\n".join(problems[:20])

    def fresh(self, *urls: str) -> None:
        """See that a new alert still passes, and ends."""
        sender = Sender(urls, self.ledger)
        name = f"fresh{time.monotonic_ns()}"
        sender.send(name, "critical")
        sender.send(name, "ok")
        self.settle()


def alert(name: str, status: str, **labels: str) -> dict[str, Any]:
    """Return an alert as Alertmanager writes it; `ok` is resolved, everything else its severity."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    known = {"alertname": "Down", "instance": name, "severity": "critical" if status == "ok" else status}
    return {
        "status": "resolved" if status == "ok" else "firing",
        "labels": {**known, **labels},
        "annotations": {"summary": f"{name} is down"},
        "startsAt": now,
        "endsAt": now if status == "ok" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph",
        "fingerprint": name,
    }


def webhook(alerts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return Alertmanager's webhook with these alerts."""
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "status": "firing",
        "receiver": "bigpanda",
        "externalURL": "http://alertmanager.example.com",
        "truncatedAlerts": 0,
        "alerts": list(alerts),
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a webhook; status 0: none."""

    status: int
    seconds: float


class Sender:
    """An Alertmanager: sends to all of `urls` at once, and repeats until each answers 200. For one thread."""

    def __init__(self, urls: Sequence[str], ledger: Ledger, patience: float = PATIENCE * 2) -> None:
        self._urls, self._ledger, self._patience = urls, ledger, patience
        self.answers: list[Answer] = []

    def send(self, name: str, status: str) -> None:
        """Tell one state of an alert, and note it once everyone has answered 200."""
        self.tell_all([alert(name, status)])

    def tell_all(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Tell several alerts in one webhook."""
        body = webhook(alerts)
        together([lambda url=url: self._repeat(url, body) for url in self._urls])
        for one in alerts:
            status = "ok" if one["status"] == "resolved" else one["labels"]["severity"]
            self._ledger.note(f"{SOURCE}:{one['fingerprint']}", status)

    def _repeat(self, url: str, body: Mapping[str, Any]) -> None:
        end = time.monotonic() + self._patience
        while (answer := post(url, body)).status != 200:
            self.answers.append(answer)
            assert answer.status in (0, 503), f"answered {answer.status}"
            assert time.monotonic() < end, "a webhook was not accepted in time"
            time.sleep(0.1)
        self.answers.append(answer)


def post(url: str, body: Mapping[str, Any]) -> Answer:
    """Send a webhook once. No answer is an answer too."""
    began = time.monotonic()
    try:
        status = requests.post(url + WEBHOOK, json=body, headers=BEARER, timeout=30).status_code
    except requests.RequestException:
        status = 0
    return Answer(status, time.monotonic() - began)


def together(calls: Sequence[Callable[[], object]]) -> None:
    """Call all at the same time; the first failure is raised."""
    if len(calls) == 1:
        calls[0]()
        return
    with ThreadPoolExecutor(len(calls)) as threads:
        for done in [threads.submit(call) for call in calls]:
            done.result()


class Load:
    """Senders in threads of their own, each with some alerts: `with Load(…):` waits until they have sent everything.

    `pause`: the most seconds between two webhooks of a sender.
    """

    def __init__(  # noqa: PLR0913  how much of what
        self,
        urls: Sequence[str],
        ledger: Ledger,
        *,
        threads: int = 4,
        alerts: int = 5,
        seed: int = 1,
        pause: float = 0.0,
    ) -> None:
        self.senders = [Sender(urls, ledger) for _ in range(threads)]
        self._alerts, self._seed, self._pause = alerts, seed, pause
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    def _run(self, number: int) -> None:
        chance = random.Random(self._seed * 100 + number)
        stories = {f"a{self._seed}-{number}-{n}": list(chance.choice(STORIES)) for n in range(self._alerts)}
        try:
            while stories:
                name = chance.choice(sorted(stories))
                self.senders[number].send(name, stories[name].pop(0))
                time.sleep(chance.uniform(0, self._pause))
                if not stories[name]:
                    del stories[name]
        except BaseException as error:  # noqa: BLE001  raised where the load is waited for
            self._failures.append(error)

    @property
    def going(self) -> bool:
        """Whether there are webhooks left to send."""
        return any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for thread in self._threads:
            thread.join()
        if error is None and self._failures:
            raise self._failures[0]


def dead(program: Program) -> None:
    """Wait until a program has ended by itself, and let its process go."""
    until(f"{program.name} has died", lambda: not program.running)
    program.kill()


def tool(station: Station, *arguments: str, status: int = 0) -> str:
    """Run one of the bridge's sub-commands and return its output; see that it ends with this status."""
    command = python("bridge", *arguments, f"--config.file={station.config_file}")
    log = station.folder / "command.log"
    log.unlink(missing_ok=True)
    process = launch(command, log, {})
    try:
        ended = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        raise
    output = log.read_text()
    assert ended == status, output
    return output


def dead_letters(station: Station) -> dict[str, str]:
    """Return the reason of each dead letter, by its key."""
    return {one["key"]: one["reason"] for one in json.loads(tool(station, "dead-letters", "list", "--format=json"))}
