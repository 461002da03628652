"""`/control/...`: change the world, set faults, read what happened. README.md lists every call."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.sandbox.bigpanda import views
from tests.sandbox.bigpanda.state import AlreadyResolved
from tests.sandbox.exchange import Reply, Request, answer

if TYPE_CHECKING:
    from tests.sandbox.server import Sandbox


class Control:
    """POST calls a method with the body's members as arguments; GET reads."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox
        self.changes = {**_world_changes(sandbox), **_sandbox_changes(sandbox)}
        self.reads = _reads(sandbox)

    def answer(self, request: Request) -> Reply:
        """400 for what cannot be done, with the reason."""
        name = request.path.strip("/")
        if request.method == "GET" and name in self.reads:
            return self._read(self.reads[name], request)
        if request.method == "DELETE" and name == "faults":
            return answer(200, {"cleared": self._sandbox.faults.clear(request.query.get("vendor"))})
        if request.method == "POST" and name in self.changes:
            return self._change(self.changes[name], request)
        return answer(404, {"error": f"no such call: {request.method} /control/{name}"})

    def _read(self, read: Callable[[Mapping[str, str]], Any], request: Request) -> Reply:
        try:
            found = read(request.query)
        except ValueError as wrong:
            return answer(400, {"error": str(wrong)})
        return found if isinstance(found, Reply) else answer(200, found)

    def _change(self, change: Callable[..., Any], request: Request) -> Reply:
        try:
            arguments = request.json()
            inspect.signature(change).bind(**arguments)
            return answer(200, {"result": change(**arguments)})
        except (LookupError, TypeError, ValueError, AlreadyResolved) as wrong:
            return answer(400, {"error": f"{type(wrong).__name__}: {wrong}"})


def _world_changes(sandbox: "Sandbox") -> dict[str, Callable[..., Any]]:
    world = sandbox.world
    changes: dict[str, Callable[..., Any]] = {"populate": world.populate, "webhooks": world.send_webhooks}
    changes["webhooks/send"] = world.send_webhook
    for vendor, methods in (
        ("vigilmon", "add remove change pause resume down up escalate certificate_expires"),
        (
            "thousandeyes",
            (
                "add_test change_test remove_test add_rule trigger clear suppress send_test_webhook "
                "add_agent change_agent add_outage"
            ),
        ),
        ("packetvis", "notify withdraw"),
        ("bigpanda", "add_environment add_plan send_event resolve snooze unsnooze share comment change merge"),
    ):
        changes |= {f"{vendor}/{name}": getattr(getattr(world, vendor), name) for name in methods.split()}
    changes["bigpanda/webhook"] = world.bigpanda.outbound.configure
    return changes


def _sandbox_changes(sandbox: "Sandbox") -> dict[str, Callable[..., Any]]:
    def settings(**changes: Any) -> None:
        sandbox.settings.change(changes)

    def open_endpoint(
        kind: str = "good",
        days: float | None = None,
        chain_days: float | None = None,
        starttls: str | None = None,
    ) -> dict[str, Any]:
        return sandbox.certificates.open(kind, days, chain_days, starttls).described()

    return {
        "settings": settings,
        "faults": sandbox.faults.set,
        "faults/clear": sandbox.faults.clear,
        "reset": sandbox.reset,
        "requests/forget": sandbox.traffic.forget,
        "certificates/open": open_endpoint,
        "certificates/renew": sandbox.certificates.renew,
    }


def _reads(sandbox: "Sandbox") -> dict[str, Callable[[Mapping[str, str]], Any]]:
    return {
        "": lambda _: {"vendors": {vendor: sandbox.base_url(vendor) for vendor in sandbox.apis}},
        "requests": lambda _: sandbox.traffic.described(),
        "faults": lambda _: sandbox.faults.described(),
        "settings": lambda _: asdict(sandbox.settings),
        "deliveries": lambda _: sandbox.world.deliveries(),
        "certificates": lambda _: [endpoint.described() for endpoint in sandbox.certificates.endpoints],
        "certificates/root.pem": lambda _: Reply(
            200, sandbox.certificates.root_pem, {"Content-Type": "application/x-pem-file"}
        ),
        "vigilmon/monitors": lambda _: _records(sandbox.world.vigilmon.lock, sandbox.world.vigilmon.monitors.values()),
        "thousandeyes/alerts": lambda _: _records(
            sandbox.world.thousandeyes.lock, sandbox.world.thousandeyes.alerts.values()
        ),
        "packetvis/notifications": lambda _: _records(
            sandbox.world.packetvis.lock, sandbox.world.packetvis.notifications
        ),
        "bigpanda/events": lambda query: _events(sandbox, query),
        "bigpanda/alerts": lambda _: _records(
            sandbox.world.bigpanda.lock, sandbox.world.bigpanda.intake.alerts.values()
        ),
        "bigpanda/incidents": lambda _: _incidents(sandbox),
        "bigpanda/webhook": lambda _: sandbox.world.bigpanda.outbound.described(),
    }


def _records(lock: Any, records: Any) -> list[dict[str, Any]]:
    with lock:
        return [asdict(record) for record in records]


def _events(sandbox: "Sandbox", query: Mapping[str, str]) -> dict[str, Any]:
    """`?after=N` only those with a higher number, `?limit=N` so many of them."""
    after, limit = int(query.get("after", "0")), int(query.get("limit", "100000"))
    intake = sandbox.world.bigpanda.intake
    with intake.lock:
        shown = intake.events[after : after + limit]
        counts = {"total": len(intake.events), "duplicates": intake.duplicates, "requests": intake.requests}
    return {**counts, "events": [asdict(event) for event in shown]}


def _incidents(sandbox: "Sandbox") -> list[dict[str, Any]]:
    state = sandbox.world.bigpanda
    with state.lock:
        return [
            views.incident(incident, sandbox.clock(), [], expand=True) for incident in list(state.incidents.values())
        ]
