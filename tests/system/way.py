"""The whole path on loopback: the sandbox's vendors, both programs, a real Prometheus and a real Alertmanager."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.sandbox.settings import Settings
from tests.system import deployed
from tests.system.commands import alertmanagers, bridge, exporter, prometheus, sandbox, write
from tests.system.running import Program, free_port, is_free, until

CREDENTIALS = Settings()
TOKEN = "am-token-of-the-system-test"
APP_KEY = "vendorwatch"
QUICK = {"poll_interval": "1s"}
UNLIMITED = {"per_minute": 1_000_000}
SLOWER = ("bigpanda", "certificates")
"""BigPanda allows five requests a second; TLS probes do not count."""
ACCOUNTS = {"vigilmon": "prod", "packetvis": "noc", "thousandeyes": "corp", "bigpanda": "main", "certificates": "edge"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """The address of each program, chosen before any starts, because their configurations name one another."""

    sandbox: str
    exporter: str
    bridge: str
    prometheus: str
    alertmanager: str

    @classmethod
    def usual(cls) -> Self:
        """Return the ports one would guess, where nobody uses them."""
        return cls(*(f"127.0.0.1:{port if is_free(port) else free_port()}" for port in (9700, 9788, 9789, 9090, 9093)))

    @classmethod
    def free(cls) -> Self:
        """Return ports that nobody uses now."""
        return cls(*(f"127.0.0.1:{free_port()}" for _ in range(5)))


@dataclass
class Way:
    """All programs of one way, in the order in which they start. `with Way(folder) as way:` ends them in reverse.

    `targets` and `bridge_settings` are laid over the defaults of exporter.yml and bridge.yml; `wait` replaces the `for`
    of the rules (`deployed.prometheus`). Nothing is started before `start` or `with`.
    """

    folder: Path
    addresses: Addresses = field(default_factory=Addresses.free)
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bridge_settings: Mapping[str, Any] = field(default_factory=dict)
    receiver_settings: Mapping[str, Any] = field(default_factory=dict)
    endpoints: Sequence[str] = ()
    wait: str = "1s"
    group_interval: str = "2s"
    peers: int = 0
    """Alertmanagers beside the first one, in a cluster with it."""
    resend: str = "15s"
    """How often Prometheus resends firing alerts to Alertmanager."""

    def __post_init__(self) -> None:
        self.sandbox = sandbox(self.folder, self.addresses.sandbox)
        self.exporter = exporter(self.folder, self.addresses.exporter)
        self.bridge = bridge(self.folder, self.addresses.bridge)
        self.alertmanagers = alertmanagers(self.folder, self.addresses.alertmanager, self.peers)
        self.alertmanager = self.alertmanagers[0]
        self.prometheus = prometheus(self.folder, self.addresses.prometheus, resend=self.resend)

    @property
    def programs(self) -> tuple[Program, ...]:
        """In the order in which they start."""
        return (self.sandbox, self.exporter, self.bridge, *self.alertmanagers, self.prometheus)

    def configure(self) -> None:
        """Write every configuration file."""
        token = self.folder / "am.token"
        token.write_text(TOKEN)
        write(self.folder / "exporter.yml", {"targets": list(self._targets())})
        write(self.folder / "bridge.yml", self._bridge(token))
        bridge_url = f"http://{self.addresses.bridge}"
        deployed.alertmanager(self.folder, bridge_url, token, group_interval=self.group_interval)
        addresses = self.addresses
        listed = [each.url.removeprefix("http://") for each in self.alertmanagers]
        deployed.prometheus(self.folder, addresses.exporter, addresses.bridge, listed, wait=self.wait)

    def _targets(self) -> Iterator[dict[str, Any]]:
        base = f"http://{self.addresses.sandbox}"
        own: dict[str, dict[str, Any]] = {
            "vigilmon": {"base_url": f"{base}/vigilmon/api/v1", "token": CREDENTIALS.vigilmon.token},
            "packetvis": {"url": f"{base}{wizard_path()}"},
            "thousandeyes": {"base_url": f"{base}/thousandeyes/v7", "token": CREDENTIALS.thousandeyes.token},
            "bigpanda": {"base_url": f"{base}/bigpanda", "token": CREDENTIALS.bigpanda.user_key, "environments": "all"},
        }
        if self.endpoints:
            own["certificates"] = {"endpoints": list(self.endpoints)}
        for name, settings in own.items():
            quick = QUICK | ({} if name in SLOWER else {"requests_per_minute": 600})
            yield {"collector": name, "account": ACCOUNTS[name], **quick, **settings, **self.targets.get(name, {})}

    def _bridge(self, token: Path) -> dict[str, Any]:
        bigpanda = {
            "url": f"http://{self.addresses.sandbox}/bigpanda/data/v2/alerts",
            "app_key": APP_KEY,
            "token": CREDENTIALS.bigpanda.org_token,
        }
        receiver = {"receiver": "alertmanager", "source": "prod", "bearer_token_file": str(token)}
        return {
            "database": f"sqlite:///{self.folder / 'bridge.db'}",
            "bigpanda": bigpanda,
            "receivers": [{**receiver, **self.receiver_settings}],
            **self.bridge_settings,
        }

    def start(self) -> Self:
        """Configure, and start whatever does not run yet."""
        self.configure()
        try:
            for program in self.programs:
                self._start(program)
            until("Prometheus has found Alertmanager", self._found)
        except BaseException:
            self.stop()
            raise
        return self

    def _found(self) -> bool:
        """Return whether Prometheus knows where to send: an alert that fires before that waits for the resend delay."""
        found = self.prometheus.get("/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
        return len(found) == len(self.alertmanagers)

    def _start(self, program: Program) -> None:
        if program.running:
            return
        program.start()
        if program is self.sandbox:
            self.change("settings", vigilmon=UNLIMITED, thousandeyes=UNLIMITED)

    def start_sandbox(self) -> None:
        """Start the vendors alone, so that their world can be filled before anybody looks; their limits are lifted."""
        self._start(self.sandbox)

    def stop(self) -> None:
        """End every program, the last one first."""
        for program in reversed(self.programs):
            program.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def change(self, call: str, **arguments: Any) -> Any:
        """Change the world: `change("vigilmon/down", id=1)`. Return the call's result."""
        reply = self.sandbox.post(f"/control/{call}", arguments)
        reply.raise_for_status()
        return reply.json()["result"]

    def accepted(self, **wanted: str) -> list[dict[str, Any]]:
        """Return the events that BigPanda accepted from the bridge, in order, with these members."""
        events = self.sandbox.get("/control/bigpanda/events").json()["events"]
        alerts = [event["alert"] for event in events if event["app_key"] == APP_KEY]
        return [alert for alert in alerts if wanted.items() <= alert.items()]

    def duplicates(self) -> int:
        """Return how many events BigPanda dropped because it had them already."""
        return int(self.sandbox.get("/control/bigpanda/events").json()["duplicates"])

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return what Prometheus answers now: a list of `metric` and `value`."""
        reply = self.prometheus.get("/api/v1/query", query=expr)
        reply.raise_for_status()
        return list(reply.json()["data"]["result"])

    def notified(self, alertname: str) -> list[dict[str, Any]]:
        """Return the alerts of this name that Alertmanager knows."""
        reply = self.alertmanager.get("/api/v2/alerts", filter=f'alertname="{alertname}"')
        reply.raise_for_status()
        return list(reply.json())

    def counted(self, metric: str, **labels: str) -> float:
        """Return the sum of a counter of the bridge over all series with these labels."""
        page = requests.get(f"{self.bridge.url}/metrics", timeout=10).text
        found = 0.0
        for line in page.splitlines():
            name, _, rest = line.partition("{")
            if name == metric and all(f'{key}="{value}"' in rest for key, value in labels.items()):
                found += float(rest.rsplit(" ", 1)[1])
        return found


def wizard_path() -> str:
    """Return the path of the URL that PacketVis' wizard would print for the sandbox."""
    own = CREDENTIALS.packetvis
    return f"/packetvis/v1/notifications?key={own.key}&org={own.org}"
