"""The command line: every sub-command with its flags. The program's own flags may come before or after the command."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial, wraps
from types import ModuleType
from typing import Any, Final

from bridge.commands import alerts, check, dead_letters, incidents, quarantine, send, send_test
from bridge.config import Config, load, starter_for
from bridge.incidents.incidents_client import IncidentsClient
from bridge.outbox.database import Database
from bridge.outbox.outbox import Outbox
from bridge.receivers.contract import senders
from exporter.toolkit import flags, starter
from exporter.toolkit.text import valid

DEFAULT_ADDRESS: Final = ("127.0.0.1", 9789)
Run = Callable[[argparse.Namespace], int]
"""A command: takes the arguments, returns the exit status."""
_DIGITS: Final = 18
"""Largest id: 64-bit integers in the database."""
_KEY: Final = "the alert's identifier, as `alerts list` shows it"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. `run` is the command, None for `serve`. Wrong usage exits with status 2."""
    parser = flags.Parser(
        prog="vendorwatch-bridge", description="A durable bridge from Alertmanager and vendors' webhooks to BigPanda."
    )
    flags.declare(parser, DEFAULT_ADDRESS, "bridge.yml")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _command(commands, "serve", "run the bridge (the default)")
    one = _command(commands, "init", "write a first configuration for these senders", _init)
    one.add_argument("receivers", nargs="*", metavar="RECEIVER", help=f"{', '.join(senders())}; all if none is given")
    one.add_argument("--stdout", action="store_true", help="print it instead of writing the file")
    _command(commands, "check", "check the configuration, the database, BigPanda and every other URL", check.check)
    one = _command(commands, "send-test", "send a test alert and its resolution to BigPanda", send_test.send_test)
    one.add_argument("--source", metavar="NAME", help="source of the receiver whose mapping to use")
    _send(_command(commands, "send", "send one event through an alerts_api receiver of any bridge", send.send))

    group = _group(commands, "alerts", "open alerts: list, show, close, resend")
    _stored(group, "list", "list open alerts, the most urgent first", alerts.show_list)
    _stored(group, "show", "show one alert and its events", alerts.show).add_argument(
        "key", type=_given, metavar="KEY", help=_KEY
    )
    one = _stored(group, "close", "resolve alerts in BigPanda", partial(alerts.act, "closed"))
    one.add_argument("keys", nargs="+", type=_given, metavar="KEY", help=_KEY)
    again = _stored(group, "resend", "send open alerts to BigPanda again", partial(alerts.act, "resent"))
    _some_or_all(again, "keys", "KEY", _given)

    group = _group(commands, "dead-letters", "events that BigPanda rejected: list, show, requeue, discard")
    _some_or_all(_stored(group, "requeue", "send rejected events again", dead_letters.requeue), "ids", "ID", _id)
    _set_aside(group, dead_letters, "rejected events")
    group = _group(commands, "quarantine", "webhooks that could not be read: list, show, replay, discard")
    replay = _stored(group, "replay", "process webhooks as if they had just arrived", quarantine.replay)
    _some_or_all(replay, "ids", "ID", _id)
    _set_aside(group, quarantine, "quarantined webhooks")

    group = _group(commands, "incidents", "BigPanda's incidents: list, resolve, comment")
    _stored(group, "list", "list incidents, the most urgent first", incidents.show_list)
    resolve = partial(incidents.act, "resolved", IncidentsClient.resolve)
    one = _stored(group, "resolve", "resolve an incident in BigPanda", resolve)
    one.add_argument("id", type=_given, metavar="ID")
    words = "Resolved with vendorwatch-bridge"
    one.add_argument("--comment", dest="text", metavar="TEXT", type=_given, default=words, help="comment for BigPanda")
    comment = partial(incidents.act, "commented", IncidentsClient.comment)
    one = _stored(group, "comment", "comment on an incident in BigPanda", comment)
    one.add_argument("id", type=_given, metavar="ID")
    one.add_argument("text", type=_given, metavar="TEXT")
    return parser.parse_args(arguments)


def _command(commands: Any, name: str, summary: str, run: Run | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    flags.declare(parser, DEFAULT_ADDRESS, "bridge.yml", again=True)
    parser.set_defaults(run=run)
    return parser


def _init(arguments: argparse.Namespace) -> int:
    path = None if arguments.stdout else arguments.config_file
    return starter.run("vendorwatch-bridge", path, lambda: starter_for(arguments.receivers))


def _group(commands: Any, name: str, summary: str) -> Any:
    parser = _command(commands, name, summary)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _stored(
    commands: Any, name: str, summary: str, run: Callable[[argparse.Namespace, Config, Outbox], int]
) -> argparse.ArgumentParser:
    """Add a command that works on the database of bridge.yml."""

    @wraps(run)
    def opened(arguments: argparse.Namespace) -> int:
        config = load(arguments.config_file)
        with closing(Database(config.database.read())) as database:
            return run(arguments, config, Outbox(database))

    parser = _command(commands, name, summary, opened)
    parser.add_argument("--format", choices=["text", "json"], default="text", help="output format")
    return parser


def _set_aside(group: Any, module: ModuleType, what: str) -> None:
    _stored(group, "list", f"list {what}, the oldest first", module.show_list)
    for name, summary, run in (("show", "show {} in full", module.show), ("discard", "delete {}", module.discard)):
        _stored(group, name, summary.format(what), run).add_argument("ids", nargs="+", type=_id, metavar="ID")


def _some_or_all(parser: argparse.ArgumentParser, dest: str, name: str, kind: Callable[[str], object]) -> None:
    """Add names or --all, of which exactly one is required."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(dest, nargs="*", type=kind, metavar=name, default=[])
    which.add_argument("--all", action="store_true", help="all of them")


def _given(word: str) -> str:
    if not word.strip():  # such as an unset variable of a script
        raise argparse.ArgumentTypeError("is empty")
    return valid(word)


def _id(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) <= _DIGITS):
        raise argparse.ArgumentTypeError(f"{word[:40]}: not a valid ID")
    return int(word)


def _send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", required=True, help="URL of the receiver: http://bridge:9789/webhooks/alerts_api/NAME")
    parser.add_argument("--token-file", required=True, metavar="PATH", help="file with the receiver's bearer token")
    parser.add_argument("--status", required=True, choices=["ok", "critical", "warning", "unknown", "acknowledged"])
    parser.add_argument("--host", required=True, help="affected host: BigPanda's primary property")
    parser.add_argument("--check", required=True, help="failed check: BigPanda's secondary property")
    parser.add_argument("--description", default="", help="text of the alert")
    tag = "further tag of the event; may be repeated"
    parser.add_argument("--tag", dest="tags", action="append", type=_tag, default=[], metavar="NAME=VALUE", help=tag)
    parser.add_argument("--ca-file", metavar="PATH", help="CA certificates to trust instead of the system's")
    limit = "limit for all attempts (default: 30)"
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help=limit)


def _tag(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{word[:40]}: write it like team=network")
    return name, value
