"""ThousandEyes' account groups, tests, rules and alerts as they are now, and what can happen to them."""

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.sandbox.thousandeyes import webhook

Announce = Callable[[Mapping[str, Any]], object]


@dataclass(slots=True)
class VendorTest:
    """A test; `results`: its agents' latest http-server round, `certificate_days` left (None: not https)."""

    id: str
    name: str
    type: str = "http-server"
    aid: str = "1234"
    interval: int = 300
    enabled: bool = True
    saved_event: bool = False
    target: str = "https://checkout.example.com"
    failing_agents: int = 0
    certificate_days: float | None = None
    loss: float = 0.0
    reachability: float = 99.8


@dataclass(slots=True)
class Agent:
    """An agent; `silent_for`: seconds since it was last seen, `problems`: local problems of a cloud agent."""

    id: str
    name: str
    aid: str = "1234"
    type: str = "enterprise"
    location: str = "Prague, Czech Republic"
    state: str = "online"
    utilization: int = 20
    silent_for: float = 30
    problems: int = 0
    errors: int = 0
    members: list[str] = field(default_factory=list)
    """Of an `enterprise-cluster` the state of each member; the cluster itself has none."""


@dataclass(slots=True)
class Rule:
    """An alert rule; `severity` is info, minor, major, critical or unknown."""

    id: str
    name: str
    alert_type: str = "http-server"
    severity: str = "major"
    expression: str = "((responseCode >= 500))"
    notify_on_clear: bool = True
    aid: str = "1234"


@dataclass(slots=True)
class Alert:
    """One occurrence; `cleared` None while active. Epoch seconds."""

    id: str
    rule: Rule
    test: VendorTest | None
    started: float
    aid: str = "1234"
    cleared: float | None = None
    alert_type: str = "http-server"
    severity: str = "major"
    violations: int = 2
    suppressed: bool = False
    version: int = 1
    agents: list[tuple[str, str]] = field(default_factory=lambda: [("3379", "Bucharest, Romania")])


class ThousandEyesState:
    """Thread-safe. Changes send classic webhooks. LookupError for an unknown alert, rule or test."""

    def __init__(self, clock: Callable[[], float], announce: Announce) -> None:
        self._clock, self._announce = clock, announce
        self.lock = threading.RLock()
        self.account_groups: dict[str, str] = {"1234": "NOC", "5678": "Branches"}
        self.tests: dict[str, VendorTest] = {}
        self.rules: dict[str, Rule] = {}
        self.alerts: dict[str, Alert] = {}
        self.agents: dict[str, Agent] = {}
        self.outages: list[dict[str, Any]] = []
        self.units_used, self.units_included = 61_000, 100_000

    def clear_all(self) -> None:
        """No agents, tests, rules, alerts or outages; the account groups stay."""
        with self.lock:
            self.agents.clear()
            self.outages.clear()
            self.tests.clear()
            self.rules.clear()
            self.alerts.clear()

    def add_test(self, name: str, **members: Any) -> str:
        """Add a test and get its id; members as in `VendorTest`."""
        with self.lock:
            number = members.pop("id", str(281474976710706 + len(self.tests)))
            self.tests[number] = VendorTest(number, name, **members)
            return str(number)

    def add_rule(self, name: str, **members: Any) -> str:
        """Add a rule and get its id; members as in `Rule`."""
        with self.lock:
            number = members.pop("id", str(127094 + len(self.rules)))
            self.rules[number] = Rule(number, name, **members)
            return str(number)

    def add_agent(self, name: str, **members: Any) -> str:
        """Add an agent and get its id; members as in `Agent`."""
        with self.lock:
            number = members.pop("id", str(62000 + len(self.agents)))
            self.agents[number] = Agent(number, name, **members)
            return str(number)

    def change_agent(self, id: str, **members: Any) -> None:  # noqa: A002  the vendor's name for it
        """Set members of an agent: take it offline, make it busy, give a cloud agent local problems."""
        with self.lock:
            for name, value in members.items():
                if name not in Agent.__slots__:
                    raise TypeError(f"an agent has no {name}")
                setattr(self.agents[id], name, value)

    def add_outage(self, type: str = "app", provider: str = "Example Cloud", age: float = 600) -> str:  # noqa: A002  the vendor's name for it
        """Begin an outage of the Internet that affects a test of ours (`age` seconds ago); its id."""
        with self.lock:
            number = f"outage-{len(self.outages)}"
            self.outages.append({"id": number, "type": type, "provider": provider, "started": self._clock() - age})
            return number

    def change_test(self, id: str, **members: Any) -> None:  # noqa: A002  the vendor's name for it
        """Set members of a test: rename it, let agents fail, bring its certificate near its end."""
        with self.lock:
            for name, value in members.items():
                if name not in VendorTest.__slots__:
                    raise TypeError(f"a test has no {name}")
                setattr(self.tests[id], name, value)

    def remove_test(self, id: str) -> None:  # noqa: A002  the vendor's name for it
        """Delete a test: its active alerts clear as disabled."""
        with self.lock:
            for alert in [a for a in self.alerts.values() if a.test and a.test.id == id and a.cleared is None]:
                self._clear(alert, active=2)
            del self.tests[id]

    def trigger(self, rule: str, test: str | None = None, age: float = 0, **members: Any) -> str:
        """Start an alert (`age` seconds ago); severity and type are the rule's unless given. Its id."""
        with self.lock:
            of_rule = self.rules[rule]
            of_test = self.tests[test] if test is not None else None
            defaults = {"severity": of_rule.severity, "alert_type": of_rule.alert_type, "aid": of_rule.aid}
            number = members.pop("id", str(uuid.uuid4()))
            alert = Alert(number, of_rule, of_test, self._clock() - age, **{**defaults, **members})
            self.alerts[number] = alert
            self._announce(webhook.notification(alert, active=1))
            return str(number)

    def clear(self, id: str, age: float = 0) -> None:  # noqa: A002  the vendor's name for it
        """End an alert (since `age` seconds); clearing twice is nothing."""
        with self.lock:
            alert = self.alerts[id]
            if alert.cleared is None:
                self._clear(alert, active=0, age=age)

    def suppress(self, id: str, suppressed: bool = True) -> None:  # noqa: A002, FBT001, FBT002  the vendor's names
        """Hide an alert, or show it again with its version one higher."""
        with self.lock:
            alert = self.alerts[id]
            alert.version += alert.suppressed and not suppressed
            alert.suppressed = suppressed

    def send_test_webhook(self) -> None:
        """Send what the "test" button sends."""
        self._announce(webhook.test_message(self._clock()))

    def _clear(self, alert: Alert, active: int, age: float = 0) -> None:
        alert.cleared, alert.violations = self._clock() - age, 0
        if alert.rule.notify_on_clear:
            self._announce(webhook.notification(alert, active=active))
