"""The command line: flags, sub-commands, signals, exit statuses."""

import argparse
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bridge import commands
from bridge.app import Program, Start, checked
from bridge.config import load
from bridge.errors import Unavailable
from exporter.toolkit import flags, logs
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.web_config import WebConfigFile

DEFAULT_ADDRESS: Final = ("127.0.0.1", 9789)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Blocked in every thread and waited for in the main one: a handler could be run late, by a main thread that sleeps."""
_LAST_MOMENT: Final = 4.5
"""Seconds after a signal when the process ends in any case: whatever was answered 200 is on disk."""
_DESCRIPTION: Final = """A durable bridge from Alertmanager and vendors' webhooks to BigPanda.

Commands: serve (the default) · check · send-test [--source NAME] ·
dead-letters list | show ID | requeue ID… | requeue --all | discard ID…"""
_log = logging.getLogger(__name__)
_WITH_IDS: Final = ("show", "requeue", "discard")
_DIGITS: Final = 18
"""Of a dead letter's number: what a database can look up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, 1 when it failed, 2 when the flags are wrong."""
    parser = _parser()
    given = parser.parse_intermixed_args(arguments)
    command = _command(parser, given)
    addresses = tuple(flags.addresses(given.listen, DEFAULT_ADDRESS))
    try:
        web_config = WebConfigFile(given.web_config)
    except ConfigError as error:
        return _told(given.web_config, error)
    try:
        return _run(given, command, addresses, web_config)
    except ConfigError as error:
        return _told(given.config_file, error)
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _told(file: Path, error: ConfigError) -> int:
    for problem in error.problems:
        sys.stderr.write(f"{file}: {problem}\n")
    return 1


def _parser() -> flags.Parser:
    parser = flags.Parser(prog="vendorwatch-bridge", description=_DESCRIPTION)
    flags.declare(parser, DEFAULT_ADDRESS, "bridge.yml")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="what to do; serve when nothing is said")
    parser.add_argument("--source", metavar="NAME", help="send-test: the receiver whose mapping is used")
    parser.add_argument("--all", action="store_true", help="dead-letters requeue: every one of them")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="dead-letters: how they are told")
    return parser


Command = Callable[[commands.Desk], int]


def _command(parser: flags.Parser, given: argparse.Namespace) -> Command | None:
    """Return what is to be run, None for serve. Ends the program when the words make no sense."""
    match given.command:
        case [] | ["serve"]:
            return None
        case ["check"]:
            return commands.check
        case ["send-test"]:
            return lambda desk: commands.send_test(desk, given.source)
        case ["dead-letters", *words]:
            return _dead_letters(parser, given, words)
        case words:
            return parser.error(f"no such command: {' '.join(words)}")


def _dead_letters(parser: flags.Parser, given: argparse.Namespace, words: Sequence[str]) -> Command:
    match words:
        case ["list"]:
            return lambda desk: commands.list_dead_letters(desk, given.format)
        case ["requeue"] if given.all:
            return lambda desk: commands.requeue(desk, None, given.format)
        case [action, *ids] if action in _WITH_IDS and ids and not given.all:
            return _with_ids(action, _ids(parser, ids), given.format)
    return parser.error("dead-letters: say list, show ID, requeue ID…, requeue --all or discard ID…")


def _with_ids(action: str, ids: Sequence[int], form: str) -> Command:
    run = {"show": commands.show_dead_letter, "requeue": commands.requeue, "discard": commands.discard}[action]
    return lambda desk: run(desk, ids, form)


def _ids(parser: flags.Parser, words: Sequence[str]) -> list[int]:
    if wrong := [word for word in words if not (word.isascii() and word.isdecimal() and len(word) <= _DIGITS)]:
        parser.error(f"not the number of a dead letter: {wrong[0]}")
    return [int(word) for word in words]


def _run(
    given: argparse.Namespace, command: Command | None, addresses: tuple[flags.Address, ...], web_config: WebConfigFile
) -> int:
    if given.config_check:
        checked(given.config_file, addresses)
        sys.stdout.write(f"{given.config_file}: ok\n")
        return 0
    if command is not None:
        return command(commands.Desk(config=load(given.config_file), out=sys.stdout))
    logs.start("bridge", given.log_level, given.log_format)
    config = checked(given.config_file, addresses)
    start = Start(config_file=given.config_file, addresses=addresses, web_config=web_config, lifecycle=given.lifecycle)
    return _serve(Program(start, config))


def _serve(program: Program) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        program.start()
    except (OSError, Unavailable) as error:
        program.stop()
        told = f"cannot listen: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"{told}\n")
        return 1
    except BaseException:
        program.stop()  # or the sockets that are open would go on answering, with nobody behind them
        raise
    _seldom_look_for_garbage()
    while signal.sigwait(_SIGNALS) == signal.SIGHUP:
        _reload(program)
    end = threading.Timer(_LAST_MOMENT, os._exit, [0])
    end.daemon = True
    end.start()
    program.stop()
    return 0


def _seldom_look_for_garbage() -> None:
    """Leave what the start made alone, and look seldom: a webhook of many alerts makes thousands of objects."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _reload(program: Program) -> None:
    try:
        program.reload()
    except ConfigError:
        return
    except Exception:  # noqa: BLE001  the loop must live to hear SIGTERM
        _log.exception("Reading the configuration again failed unexpectedly")


if __name__ == "__main__":
    sys.exit(main())
