"""`dead-letters`: list, show, requeue and discard events that BigPanda rejected."""

import json
import time
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from bridge.commands import output
from bridge.config import Config
from bridge.outbox.dead_letters import DeadLetter
from bridge.outbox.outbox import Outbox
from bridge.web.formatting import subject
from exporter.toolkit.text import span


def show_list(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """List dead letters, the oldest first."""
    letters, now = outbox.dead_letters.oldest(), time.time()
    rows = (
        (letter.id, letter.status, *subject(letter.body), span(now - letter.closed_at), letter.key, letter.reason)
        for letter in letters
    )
    names = ("ID", "STATUS", "ALERT", "HOST", "AGE", "KEY", "REASON")
    return output.listed(arguments, map(_record, letters), names, rows, "no dead letters")


def show(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """Show dead letters in full: the rejected event, and the reason."""
    return output.in_full(arguments, "dead letter", list(map(_record, outbox.dead_letters.oldest(arguments.ids))))


def requeue(arguments: Namespace, config: Config, outbox: Outbox) -> int:
    """Queue dead letters again, rebuilt from their alerts, so that a corrected mapping takes effect."""
    ids = None if arguments.all else arguments.ids
    done = outbox.dead_letters.requeue(ids, config.by_source, time.time())
    return output.results(arguments, "dead letter", arguments.ids, done, "no dead letters to requeue")


def discard(arguments: Namespace, _: Config, outbox: Outbox) -> int:
    """Discard dead letters."""
    letters = outbox.dead_letters
    there = [letter.id for letter in letters.oldest(arguments.ids)]
    letters.discard(there, time.time())
    return output.results(arguments, "dead letter", arguments.ids, {"discarded": there})


def _record(letter: DeadLetter) -> dict[str, Any]:
    name, host = subject(letter.body)
    return asdict(letter) | {"alert": name, "host": host, "body": json.loads(letter.body)}
