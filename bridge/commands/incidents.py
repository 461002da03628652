"""`incidents`: list, resolve and comment on BigPanda's incidents."""

import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict

from bridge.commands import output
from bridge.config import Config
from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError
from bridge.incidents.incidents_client import IncidentsClient
from bridge.outbox.outbox import Outbox
from bridge.outbox.repository import PageRequest
from bridge.web.formatting import host
from exporter.toolkit.text import span

Change = Callable[[IncidentsClient, IncidentRecord, str], None]


def show_list(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """List incidents as BigPanda last reported them, the most urgent first."""
    records, now = outbox.incidents.page(PageRequest()).rows, time.time()
    states = outbox.alerts.states(sorted({key for one in records for key in one.keys}))
    rows = []
    for one in records:
        alerts = [states[key].alert for key in one.keys if key in states]
        names = ", ".join(sorted({alert.name for alert in alerts}))
        hosts = ", ".join(sorted({host(alert) for alert in alerts}))
        began = one.first_heard_at if one.started_at is None else one.started_at
        status = one.status if one.active else "ok"
        rows.append((status, one.id, names, hosts, span(now - began), one.details.assignee, one.source))
    found = (asdict(one) | {"updated": one.heard_at} for one in records)
    public = ({name: one[name] for name in one if name not in {"seen", "heard_at"}} for one in found)
    columns = ("STATUS", "ID", "ALERTS", "HOSTS", "AGE", "ASSIGNED", "SOURCE")
    nothing = "no incidents received yet: point a BigPanda Notifications Webhook at this bridge"
    return output.listed(arguments, public, columns, rows, nothing)


def act(done: str, change: Change, arguments: Namespace, config: Config, outbox: Outbox) -> int:
    """Resolve an incident in BigPanda, or comment on it."""
    if config.incidents is None:
        output.problem("incidents: not configured: bridge.yml needs incidents: {api_key_file: …}")
        return 1
    found = next((one for one in outbox.incidents.records() if one.id == arguments.id), None)
    # An incident that was never shared with us can be acted on too: BigPanda knows it.
    incident = found or IncidentRecord(source="", id=arguments.id, first_heard_at=0.0, heard_at=0.0)
    with closing(IncidentsClient(config.incidents)) as client:
        try:
            change(client, incident, arguments.text)
        except DeliveryError as error:
            output.problem(f"{arguments.id}: not {done}: {error}")
            return 1
    return output.results(arguments, "incident", [], {done: [arguments.id]})
