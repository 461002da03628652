"""`dead-letters`: list, show, requeue and discard events that BigPanda rejected."""

import json
import time
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict
from typing import Any

from bridge.commands import output
from bridge.config import Config, load
from bridge.outbox.database import Database
from bridge.outbox.dead_letters import DeadLetter, DeadLetters
from bridge.web.formatting import moment, subject
from exporter.toolkit.text import span

_ALL = 1_000_000


def show_list(arguments: Namespace) -> int:
    """List dead letters, the oldest first."""
    letters, now = _letters(load(arguments.config_file)), time.time()
    if arguments.format == "json":
        output.as_json([_record(letter) for letter in letters])
        return 0
    rows = [
        (letter.id, letter.status, *subject(letter.body), span(now - letter.closed_at), letter.key, letter.reason)
        for letter in letters
    ]
    output.table(("ID", "STATUS", "ALERT", "HOST", "AGE", "KEY", "REASON"), rows, "no dead letters")
    return 0


def show(arguments: Namespace) -> int:
    """Show dead letters in full: the rejected event, and the reason."""
    found = [letter for letter in _letters(load(arguments.config_file)) if letter.id in arguments.ids]
    if arguments.format == "json":
        output.one_or_all([_record(letter) for letter in found], arguments.ids)
    else:
        for letter in found:
            name, host = subject(letter.body)
            output.facts(
                {
                    "id": letter.id,
                    "alert": name,
                    "host": host,
                    "key": letter.key,
                    "receiver": f"{letter.receiver}/{letter.source}",
                    "event": f"{letter.kind}, {letter.status}",
                    "reason": letter.reason,
                    "attempts": letter.attempts,
                    "accepted": moment(letter.accepted_at),
                    "set aside": moment(letter.closed_at),
                }
            )
            output.line(json.dumps(json.loads(letter.body), indent=2, ensure_ascii=False))
    return output.missing("dead letter", arguments.ids, [letter.id for letter in found])


def requeue(arguments: Namespace) -> int:
    """Queue dead letters again, rebuilt from their alerts, so that a corrected mapping takes effect."""
    config = load(arguments.config_file)
    mappings = {(one.receiver, one.source): one.mapping for one in config.receivers}
    with closing(Database(config.database.read())) as database:
        ids = None if arguments.all else arguments.ids
        done = DeadLetters(database).requeue(ids, mappings, time.time())
    words = {
        "queued": "queued again",
        "superseded": "superseded by a newer event of the same alert",
        "unknown": "kept: its receiver is no longer configured",
    }
    handled = output.results(asdict(done), words, arguments.format, "no dead letters to requeue")
    return 1 if output.missing("dead letter", arguments.ids, handled) or done.unknown else 0


def discard(arguments: Namespace) -> int:
    """Discard dead letters."""
    config = load(arguments.config_file)
    there = [letter.id for letter in _letters(config) if letter.id in arguments.ids]
    with closing(Database(config.database.read())) as database:
        DeadLetters(database).discard(there, time.time())
    output.results({"discarded": there}, {"discarded": "discarded"}, arguments.format, "")
    return output.missing("dead letter", arguments.ids, there)


def _letters(config: Config) -> list[DeadLetter]:
    with closing(Database(config.database.read())) as database:
        return DeadLetters(database).oldest(_ALL)


def _record(letter: DeadLetter) -> dict[str, Any]:
    name, host = subject(letter.body)
    return asdict(letter) | {"alert": name, "host": host, "body": json.loads(letter.body)}
