"""`alerts`: list, show, close and resend alerts that are open in BigPanda."""

import time
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from bridge.commands import output
from bridge.config import Config
from bridge.domain.alert_state import AlertState
from bridge.outbox.outbox import Outbox
from bridge.outbox.repository import PageRequest
from bridge.web.formatting import cause, host, moment, outcome, queue_reason
from bridge.web.operations import Done, correct
from exporter.toolkit.text import span


def show_list(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """List open alerts, the most urgent first."""
    states, now = outbox.alerts.page([], PageRequest()).rows, time.time()
    rows = []
    for state in states:
        alert, age = state.alert, span(now - state.starts_at)
        rows.append((state.status, alert.name, host(alert), age, f"{alert.receiver}/{alert.source}", state.key))
    names = ("STATUS", "ALERT", "HOST", "AGE", "RECEIVER", "KEY")
    return output.listed(arguments, map(_record, states), names, rows, "no open alerts")


def show(arguments: Namespace, config: Config, outbox: Outbox) -> int:
    """Show one alert, open or not, and its events, the newest first."""
    now = time.time()
    state = outbox.alerts.states([arguments.key]).get(arguments.key)
    events = outbox.events.of_alert(arguments.key, now).rows
    if state is None and not events:
        return output.missing("alert", [arguments.key], [])
    if arguments.format == "json":
        found = _record(state) if state else {"key": arguments.key}
        output.as_json(found | {"events": [asdict(event) for event in events]})
        return 0
    if state is not None:
        output.facts(_described(state, now))
    circuit, rows = outbox.status.circuit(config.destination), []
    for event in events:
        (why, until), because = queue_reason(event, circuit, now), cause(event)
        again = f"; next try in {span(until - now)}" if until else ""
        queued = f"queued{because and f' because {because}'}: {why}{again}"
        words = queued if event.state == "waiting" else outcome(event)
        rows.append((event.id, event.kind, event.status, span(now - event.accepted_at), event.attempts, words))
    output.table(("EVENT", "KIND", "STATUS", "AGE", "TRIED", "OUTCOME"), rows, "no events within the retention")
    return 0


def act(done: Done, arguments: Namespace, config: Config, outbox: Outbox) -> int:
    """Close or resend alerts. Resending has a later time, which reopens alerts that were closed in BigPanda."""
    everything, alerts = getattr(arguments, "all", False), outbox.alerts
    states = alerts.page([], PageRequest()).rows if everything else alerts.states(arguments.keys).values()
    results = correct(outbox, done, states, config.by_source, time.time())
    return output.results(arguments, "alert", arguments.keys, results, "no open alerts" if everything else "")


def _described(state: AlertState, now: float) -> dict[str, object]:
    alert = state.alert
    return {
        "alert": alert.name,
        "host": host(alert),
        "key": state.key,
        "receiver": f"{alert.receiver}/{alert.source}",
        "status": state.status,
        "since": f"{moment(state.since)} ({span(now - state.since)})",
        **{f"label {name}": value for name, value in alert.labels.items()},
        **{f"annotation {name}": value for name, value in alert.annotations.items()},
        **alert.links,
    }


def _record(state: AlertState) -> dict[str, Any]:
    found = asdict(state)
    del found["pending"]  # known only to ingest
    return found | {"key": state.key, "name": state.alert.name, "host": host(state.alert)}
