"""`quarantine`: list, show, replay and discard webhooks that could not be read."""

import time
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict

from bridge.commands import output
from bridge.config import Config, load
from bridge.outbox.database import Database
from bridge.outbox.ingest import Ingest
from bridge.outbox.quarantine import Quarantine, Quarantined
from bridge.receivers.contract import receivers
from bridge.web.formatting import body_text, moment, webhook_subject
from bridge.web.replay import replay as replayed
from exporter.toolkit.text import span

_ALL = 1_000_000


def show_list(arguments: Namespace) -> int:
    """List the quarantine, the oldest first."""
    kept, now = _kept(load(arguments.config_file)), time.time()
    if arguments.format == "json":
        output.as_json([asdict(one) for one in kept])
        return 0
    rows = []
    for one in kept:
        receiver, age = f"{one.receiver}/{one.source}", span(now - one.received_at)
        rows.append((one.id, receiver, *webhook_subject(one.body), age, one.reason))
    output.table(("ID", "RECEIVER", "ALERT", "HOST", "AGE", "REASON"), rows, "nothing in quarantine")
    return 0


def show(arguments: Namespace) -> int:
    """Show quarantined bodies in full, and why they could not be read."""
    found = [one for one in _kept(load(arguments.config_file)) if one.id in arguments.ids]
    if arguments.format == "json":
        output.one_or_all([asdict(one) for one in found], arguments.ids)
    else:
        for one in found:
            output.facts(
                {
                    "id": one.id,
                    "receiver": f"{one.receiver}/{one.source}",
                    "reason": one.reason,
                    "received": moment(one.received_at),
                }
            )
            output.line(body_text(one.body, len(one.body) + 1))
    return output.missing("quarantined webhook", arguments.ids, [one.id for one in found])


def replay(arguments: Namespace) -> int:
    """Process quarantined bodies again as if they had just arrived; those still unreadable are kept."""
    config = load(arguments.config_file)
    with closing(Database(config.database.read())) as database:
        ingest, ids = Ingest(database), None if arguments.all else arguments.ids
        accept = lambda notification, now: ingest.accept([notification], now)[0]  # noqa: E731  one at a time
        done = replayed(Quarantine(database), ids, receivers(config.receivers), accept, time.time())
    words = {
        "replayed": "replayed",
        "unreadable": "kept: still unreadable",
        "unknown": "kept: its receiver is no longer configured",
    }
    handled = output.results(asdict(done), words, arguments.format, "nothing in quarantine to replay")
    missing = output.missing("quarantined webhook", arguments.ids, handled)
    return 1 if missing or done.unreadable or done.unknown else 0


def discard(arguments: Namespace) -> int:
    """Delete quarantined bodies."""
    config = load(arguments.config_file)
    there = [one.id for one in _kept(config) if one.id in arguments.ids]
    with closing(Database(config.database.read())) as database:
        Quarantine(database).discard(there)
    output.results({"discarded": there}, {"discarded": "discarded"}, arguments.format, "")
    return output.missing("quarantined webhook", arguments.ids, there)


def _kept(config: Config) -> list[Quarantined]:
    with closing(Database(config.database.read())) as database:
        return Quarantine(database).oldest(_ALL)
