"""`alerts`: list, show, close and resend alerts that are open in BigPanda."""

import json
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

from bridge.commands import output
from bridge.config import load
from bridge.domain.alert_state import AlertState
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.event_log import EventLog
from bridge.outbox.ingest import Ingest
from bridge.outbox.pages import PageRequest
from bridge.outbox.status import OutboxStatus
from bridge.receivers.contract import receivers
from bridge.web import alert_actions
from bridge.web.formatting import cause, host, moment, outcome, queue_reason
from exporter.toolkit.text import span

_ALL = PageRequest(1_000_000)
_UNKNOWN = "kept: its receiver is no longer configured"


def show_list(arguments: Namespace) -> int:
    """List open alerts, the most urgent first."""
    now = time.time()
    with closing(Database(load(arguments.config_file).database.read())) as database:
        states = Alerts(database).page([], _ALL).rows
    if arguments.format == "json":
        output.as_json([_record(state) for state in states])
        return 0
    rows = [
        (
            state.status,
            state.alert.name,
            host(state.alert),
            span(now - state.starts_at),
            f"{state.alert.receiver}/{state.alert.source}",
            state.key,
        )
        for state in states
    ]
    output.table(("STATUS", "ALERT", "HOST", "AGE", "RECEIVER", "KEY"), rows, "no open alerts")
    return 0


def show(arguments: Namespace) -> int:
    """Show one alert, open or not, and its events, the newest first."""
    config, now = load(arguments.config_file), time.time()
    with closing(Database(config.database.read())) as database:
        state = Alerts(database).states([arguments.key]).get(arguments.key)
        events = EventLog(database).of_alert(arguments.key, now).rows
        circuit = OutboxStatus(database).circuit(config.destination)
    if state is None and not events:
        return output.missing("alert", [arguments.key], [])
    if arguments.format == "json":
        found = _record(state) if state else {"key": arguments.key}
        output.as_json(found | {"events": [asdict(event) for event in events]})
        return 0
    if state is not None:
        alert = state.alert
        output.facts(
            {
                "alert": alert.name,
                "host": host(alert),
                "key": state.key,
                "receiver": f"{alert.receiver}/{alert.source}",
                "status": state.status,
                "since": f"{moment(state.starts_at)} ({span(now - state.starts_at)})",
                **{f"label {name}": value for name, value in alert.labels.items()},
                **{f"annotation {name}": value for name, value in alert.annotations.items()},
                **alert.links,
            }
        )
    rows = []
    for event in events:
        queued = event.state == "waiting"
        words = f"queued: {queue_reason(event, circuit, now).why} {cause(event)}" if queued else outcome(event)
        rows.append((event.id, event.kind, event.status, span(now - event.accepted_at), event.attempts, words))
    output.table(("EVENT", "KIND", "STATUS", "AGE", "TRIED", "OUTCOME"), rows, "no events within the retention")
    return 0


def close(arguments: Namespace) -> int:
    """Resolve alerts in BigPanda, whatever their senders report."""
    unchanged = "unchanged: not open, or its sender reported something newer"
    words = {"closed": "closed", "unchanged": unchanged, "unknown": _UNKNOWN}
    return _act(arguments, alert_actions.close, words)


def resend(arguments: Namespace) -> int:
    """Send open alerts to BigPanda again, with a later time, which reopens alerts that were closed there."""
    words = {"resent": "resent", "unchanged": "unchanged: not open, or already queued", "unknown": _UNKNOWN}
    return _act(arguments, alert_actions.resend, words)


def _act(arguments: Namespace, act: Callable[..., dict[str, list[str]]], words: dict[str, str]) -> int:
    config, everything = load(arguments.config_file), getattr(arguments, "all", False)
    with closing(Database(config.database.read())) as database:
        alerts, ingest = Alerts(database), Ingest(database)
        states = alerts.page([], _ALL).rows if everything else list(alerts.states(arguments.keys).values())
        accept = lambda notification, now: ingest.accept([notification], now)[0]  # noqa: E731  one at a time
        done = act(states, receivers(config.receivers), accept, time.time())
    handled = output.results(done, words, arguments.format, "no open alerts" if everything else "")
    return max(output.missing("alert", arguments.keys, handled), 1 if done["unknown"] else 0)


def _record(state: AlertState) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(asdict(state), default=str))
    del found["pending"]  # known only to ingest
    return found | {"key": state.key, "name": state.alert.name, "host": host(state.alert)}
