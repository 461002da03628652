"""Alertmanagers, the bridge and BigPanda without Prometheus: the test pushes the alerts."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from tests.sandbox.server import Sandbox
from tests.system import commands
from tests.system.running import Program, free_port, until

RECEIVER = "big.panda"
"""A pattern for a quoted name in a webhook."""
HOUR = 3600.0
QUIET = 3.0
"""Seconds without another event that prove there is none: several intervals of everything."""


class Alerting:
    """`peers` Alertmanagers, one bridge and BigPanda; `begin` starts them.

    `route` is laid over the only route, `webhook` over the only webhook, `receiver` and `reconcile` over bridge.yml.
    """

    def __init__(
        self,
        folder: Path,
        start: Callable[[Program], Program],
        sandbox: Sandbox,
        *,
        peers: int = 1,
        **changes: Mapping[str, Any],
    ) -> None:
        self.folder, self.sandbox, self._start = folder, sandbox, start
        bridge = f"127.0.0.1:{free_port()}"
        self.config = _alertmanager_yml(f"http://{bridge}/webhooks/alertmanager/prod", changes)
        self.configure()
        gossip = [f"127.0.0.1:{free_port()}" for _ in range(peers)] if peers > 1 else [""]
        self.alertmanagers = [_alertmanager(folder, number, gossip) for number in range(len(gossip))]
        self.bridge = commands.bridge(folder, bridge)
        urls = [program.url for program in self.alertmanagers]
        asked = {"urls": urls, "interval": "500ms", "min_uptime": "0s", **changes.get("reconcile", {})}
        commands.write(folder / "bridge.yml", _bridge_yml(folder, sandbox, asked, changes.get("receiver", {})))

    def begin(self) -> "Alerting":
        """Start everything."""
        for program in (self.bridge, *self.alertmanagers):
            self._start(program)
        return self

    def configure(self, **route: Any) -> None:
        """Write alertmanager.yml, with changes of its route."""
        self.config["route"] |= route
        commands.write(self.folder / "alertmanager.yml", self.config)

    def reload(self) -> None:
        """Let every Alertmanager read its configuration again."""
        for program in self.alertmanagers:
            assert requests.post(f"{program.url}/-/reload", timeout=10).status_code == 200

    def push(self, *names: str, ends_in: float = HOUR, **labels: str) -> None:
        """Tell every Alertmanager that runs, as Prometheus does, that alerts fire; `ends_in` 0: that they ended."""
        now = time.time()
        alerts = [
            {
                "labels": {"alertname": name, "severity": "critical", "instance": f"{name}-1", **labels},
                "annotations": {"summary": f"{name} is down"},
                "startsAt": _moment(now - 60),
                "endsAt": _moment(now + ends_in),
            }
            for name in names
        ]
        for program in self.alertmanagers:
            if program.running:
                program.post("/api/v2/alerts", alerts).raise_for_status()

    def resolve(self, *names: str, **labels: str) -> None:
        """Tell that alerts have ended."""
        self.push(*names, ends_in=0, **labels)

    def silence(self, name: str) -> str:
        """Silence an alert by the first Alertmanager, now or once it fires; return the silence's id."""
        now = time.time()
        matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
        silence = {"matchers": [matcher], "createdBy": "test", "comment": "test"}
        times = {"startsAt": _moment(now), "endsAt": _moment(now + HOUR)}
        answer = self.alertmanagers[0].post("/api/v2/silences", silence | times)
        answer.raise_for_status()
        return str(answer.json()["silenceID"])

    def unsilence(self, silence: str) -> None:
        """End a silence."""
        url = f"{self.alertmanagers[0].url}/api/v2/silence/{silence}"
        requests.delete(url, timeout=10).raise_for_status()

    def suppressed(self, name: str) -> None:
        """Wait until every Alertmanager that runs shows an alert as suppressed."""
        for program in self.alertmanagers:
            if program.running:
                until(f"{name} is suppressed", lambda program=program: self.state(program, name) == "suppressed")

    def state(self, program: Program, name: str) -> str:
        """Return how an Alertmanager shows an alert, "" when it does not."""
        found = program.get("/api/v2/alerts", filter=f'alertname="{name}"').json()
        return str(found[0]["status"]["state"]) if found else ""

    def statuses_at_bigpanda(self, name: str) -> list[str]:
        """Return the statuses of an alert that BigPanda accepted, in order."""
        events = list(self.sandbox.world.bigpanda.intake.events)
        return [event.alert["status"] for event in events if event.alert["check"] == name]

    def arrives(self, **expected: list[str]) -> None:
        """Wait until BigPanda has accepted exactly these statuses of each alert."""
        for name, statuses in expected.items():
            until(
                f"{name}: {statuses}", lambda name=name, statuses=statuses: self.statuses_at_bigpanda(name) == statuses
            )

    def stays(self, **expected: list[str]) -> None:
        """See that for a while nothing more arrives, and nothing came twice."""
        time.sleep(QUIET)
        assert {name: self.statuses_at_bigpanda(name) for name in expected} == expected
        assert self.sandbox.world.bigpanda.intake.duplicates == 0

    def counted(self, metric: str, **labels: str) -> float:
        """Return a counter of the bridge, summed over all series with these labels."""
        found = 0.0
        for line in requests.get(f"{self.bridge.url}/metrics", timeout=10).text.splitlines():
            if line.startswith(f"vendorwatch_bridge_{metric}{{") and all(
                f'{key}="{value}"' in line for key, value in labels.items()
            ):
                found += float(line.rsplit(" ", 1)[1])
        return found

    def polled(self, times: int = 4) -> None:
        """Wait until all Alertmanagers have answered the reconciler this many more times."""
        metric = "reconcile_last_success_timestamp_seconds"
        for _ in range(times):
            last = self.counted(metric)
            until("the reconciler asks", lambda last=last: self.counted(metric) > last)


def _alertmanager_yml(url: str, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    quick = {"group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    inhibition = {"source_matchers": ['alertname="Cause"'], "target_matchers": ['alertname="Effect"']}
    return {
        "route": {"receiver": RECEIVER, **quick, **changes.get("route", {})},
        "receivers": [{"name": RECEIVER, "webhook_configs": [{"url": url, **changes.get("webhook", {})}]}],
        "inhibit_rules": [inhibition],
    }


def _bridge_yml(
    folder: Path, sandbox: Sandbox, reconcile: Mapping[str, Any], receiver: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "database": f"sqlite:///{folder / 'bridge.db'}",
        "bigpanda": {
            "url": f"{sandbox.url}/bigpanda/data/v2/alerts",
            "app_key": "vendorwatch",
            "token": sandbox.settings.bigpanda.org_token,
            "events_per_minute": 6000,
        },
        "receivers": [{"receiver": "alertmanager", "source": "prod", "reconcile": dict(reconcile), **receiver}],
    }


def _alertmanager(folder: Path, number: int, gossip: list[str]) -> Program:
    """Make one; in a cluster no peer waits for another, so that both deliver."""
    address, name = f"127.0.0.1:{free_port()}", f"alertmanager{number}"
    command = [
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / name}",
        f"--web.listen-address={address}",
        f"--cluster.listen-address={gossip[number]}",
        "--cluster.peer-timeout=1ms",
        "--cluster.pushpull-interval=1s",
        "--cluster.reconnect-interval=1s",
        *(f"--cluster.peer={peer}" for peer in gossip if peer and peer != gossip[number]),
    ]
    return Program(name, command, folder / f"{name}.log", f"http://{address}")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
