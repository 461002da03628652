"""A world of a few dozen monitors on a quiet day, and what goes wrong in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.system.way import Way

SITES = ("www", "shop", "checkout", "api", "login", "mail", "docs", "portal", "vpn", "dns")
REGIONS = ("eu", "us", "za", "ap")
DAYS = 90


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong: how, how it is seen on the exporter's page, and which alert it must become."""

    title: str
    breaks: Callable[[], object]
    mends: Callable[[], object]
    metric: str
    labels: Mapping[str, str]
    wrong: Callable[[float], bool]
    alertname: str
    alert_labels: Mapping[str, str]
    """Labels of the alert that tell it from others of its name; they are members of the event as well."""
    silenced: bool = False
    """Whether Alertmanager has it silenced as it ends, and so tells nobody that it does."""

    @property
    def selector(self) -> str:
        """The series in PromQL."""
        return f"{self.metric}{{{_matchers(self.labels)}}}"

    @property
    def alerts(self) -> str:
        """The alert in PromQL, without its state."""
        return f'ALERTS{{alertname="{self.alertname}",{_matchers(self.alert_labels)}}}'


def _matchers(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


@dataclass(frozen=True, slots=True)
class World:
    """The ids of objects in the sandbox that the demo needs later."""

    monitors: Mapping[str, int]
    rule: str
    test: str
    endpoint: Mapping[str, Any]


def fill(way: Way) -> World:
    """Put monitors, tests, old notifications and incidents into the sandbox; open a TLS endpoint; nothing is wrong."""
    way.change("settings", bigpanda={"resources_per_second": 0})
    endpoint = way.change("certificates/open", kind="good", days=DAYS)
    names = [f"{site}-{region}" for region in REGIONS for site in SITES]
    monitors = {name: way.change("vigilmon/add", name=name, url=f"http://{name}.example.com/") for name in names}
    way.change("vigilmon/pause", id=monitors["docs-ap"])
    rule = way.change("thousandeyes/add_rule", name="HTTP response code", severity="critical")
    tests = [way.change("thousandeyes/add_test", name=f"{site}-http") for site in SITES]
    way.change("packetvis/notify", type="newprefix", severity=1, summary="198.51.100.128/25 is new.", age=2 * 86400)
    way.change("bigpanda/add_environment", name="Network", id="network", tag="team", value="network")
    return World(monitors, rule, tests[2], endpoint)


def now_in(hours: float) -> datetime:
    """Return the time in so many hours."""
    return datetime.now(UTC) + timedelta(hours=hours)


def troubles(way: Way, world: World) -> list[Trouble]:
    """Return a monitor down, a hijack, a ThousandEyes alert and a certificate near its end."""
    return [_monitor(way, world), _hijack(way), _thousandeyes(way, world), _certificate(way, world)]


def _monitor(way: Way, world: World) -> Trouble:
    number = world.monitors["shop-eu"]
    return Trouble(
        title="shop-eu down",
        breaks=lambda: way.change("vigilmon/down", id=number, cause="HTTP 503 Service Unavailable"),
        mends=lambda: way.change("vigilmon/up", id=number),
        metric="vigilmon_monitor_up",
        labels={"monitor_id": str(number)},
        wrong=lambda value: value == 0,
        alertname="VigilmonMonitorDown",
        alert_labels={"monitor": "shop-eu"},
    )


def _hijack(way: Way) -> Trouble:
    listed: list[str] = []
    return Trouble(
        title="192.0.2.0/24 hijacked",
        breaks=lambda: listed.append(way.change("packetvis/notify", type="hijack", severity=4)),
        mends=lambda: way.change("packetvis/withdraw", id=listed.pop()),
        metric="packetvis_notifications",
        labels={"notification_type": "hijack", "severity": "critical"},
        wrong=lambda value: value > 0,
        alertname="PacketVisCriticalNotification",
        alert_labels={"notification_type": "hijack"},
    )


def _thousandeyes(way: Way, world: World) -> Trouble:
    active: list[str] = []

    def ends_silenced() -> None:
        matcher = {"name": "alertname", "value": "ThousandEyesAlerts", "isRegex": False}
        times = {name: f"{now_in(hours):%Y-%m-%dT%H:%M:%SZ}" for name, hours in (("startsAt", 0), ("endsAt", 1))}
        silence = {"matchers": [matcher], "createdBy": "demo", "comment": "somebody works on it", **times}
        way.alertmanager.post("/api/v2/silences", silence).raise_for_status()
        way.change("thousandeyes/clear", id=active.pop())

    return Trouble(
        title="ThousandEyes alert",
        breaks=lambda: active.append(way.change("thousandeyes/trigger", rule=world.rule, test=world.test)),
        mends=ends_silenced,
        metric="thousandeyes_active_alerts",
        labels={"alert_type": "http-server", "severity": "critical"},
        wrong=lambda value: value > 0,
        alertname="ThousandEyesAlerts",
        alert_labels={"alert_type": "http-server"},
        silenced=True,
    )


def _certificate(way: Way, world: World) -> Trouble:
    port = world.endpoint["port"]
    return Trouble(
        title="certificate: 2 days left",
        breaks=lambda: way.change("certificates/renew", port=port, days=2),
        mends=lambda: way.change("certificates/renew", port=port, days=DAYS),
        metric="tls_certificate_expiry_days",
        labels={"endpoint": world.endpoint["endpoint"]},
        wrong=lambda value: value < 3,
        alertname="CertificateExpiring",
        alert_labels={"host": world.endpoint["endpoint"]},
    )
