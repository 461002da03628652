"""`quarantine`: list, show, replay and discard webhooks that could not be read."""

import time
from argparse import Namespace
from dataclasses import asdict

from bridge.commands import output
from bridge.config import Config
from bridge.outbox.outbox import Outbox
from bridge.web import operations
from bridge.web.formatting import webhook_subject
from exporter.toolkit.text import span


def show_list(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """List the quarantine, the oldest first."""
    kept, now = outbox.quarantine.oldest(), time.time()
    rows = (
        (one.id, f"{one.receiver}/{one.source}", *webhook_subject(one.body), span(now - one.received_at), one.reason)
        for one in kept
    )
    names = ("ID", "RECEIVER", "ALERT", "HOST", "AGE", "REASON")
    return output.listed(arguments, map(asdict, kept), names, rows, "nothing in quarantine")


def show(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """Show quarantined bodies in full, and why they could not be read."""
    return output.in_full(arguments, "quarantined webhook", list(map(asdict, outbox.quarantine.oldest(arguments.ids))))


def replay(arguments: Namespace, config: Config, outbox: Outbox) -> int:
    """Process quarantined bodies again as if they had just arrived; those still unreadable are kept."""
    ids = None if arguments.all else arguments.ids
    done = operations.replay(outbox, ids, config.by_source, time.time())
    return output.results(arguments, "quarantined webhook", arguments.ids, done, "nothing in quarantine to replay")


def discard(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """Delete quarantined bodies."""
    quarantine = outbox.quarantine
    there = [one.id for one in quarantine.oldest(arguments.ids)]
    quarantine.discard(there)
    return output.results(arguments, "quarantined webhook", arguments.ids, {"discarded": there})
