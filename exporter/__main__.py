"""The command line: flags, configuration check, signals."""

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from exporter.app import DEFAULT, App, leadership, summary
from exporter.collectors.sharding import ALONE, shard
from exporter.config import known, load, starter_for
from exporter.toolkit import flags, logs, starter
from exporter.toolkit.config_types import ConfigError, Secret
from exporter.toolkit.web_config import WebConfigFile

PROGRAM = "vendorwatch-exporter"
SWITCH = 0.001
"""Seconds after which a thread that renders or updates yields to one that answers a scrape."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Blocked in every thread and awaited in the main one: a handler might run late while the main thread sleeps."""
T = TypeVar("T")
_log = logging.getLogger("exporter")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exporter and return the exit status. Bad flags exit with status 2."""
    options = _parser().parse_args(argv)
    if options.command == "init":
        path = None if options.stdout else options.config_file
        return starter.run(PROGRAM, path, lambda: starter_for(options.collectors))
    # Read both before exiting, so that the problems of both are reported.
    config, web_config = _read(load, options.config_file), _read(WebConfigFile, options.web_config)
    if config is None or web_config is None:
        return 1
    try:
        if options.config_check:
            if options.storage_url:
                leadership(options.storage_url, options.shard)
            _print(options.config_file, (f"warning: {warning}" for warning in config.warnings()))
            sys.stdout.write(f"{options.config_file}: ok, {summary(config, options.shard)}\n")
            return 0
        logs.start("exporter", options.log_level, options.log_format)
        sys.setswitchinterval(SWITCH)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        app = App(options, config, web_config)
    except ConfigError as error:
        _print(PROGRAM, [error])
        return 1
    _run(app)
    return 0


def _parser() -> flags.Parser:
    parser = flags.Parser(
        prog=PROGRAM, description="Prometheus exporter for PacketVis, ThousandEyes, Vigilmon and BigPanda."
    )
    flags.declare(parser, DEFAULT, "exporter.yml")
    storage = parser.add_mutually_exclusive_group()
    storage.add_argument(
        "--storage.path",
        dest="storage",
        type=Path,
        metavar="DIR",
        help="directory that keeps the last responses across restarts",
    )
    storage.add_argument(
        "--storage.url",
        dest="storage_url",
        type=Secret,
        metavar="URL",
        help="PostgreSQL database for several exporters: one polls, the others serve its data and take over from it",
    )
    storage.add_argument(
        "--storage.url-file",
        dest="storage_url",
        type=lambda path: Secret(file=Path(path)),
        metavar="PATH",
        help="path of a file that holds that URL",
    )
    parser.add_argument(
        "--shard",
        type=shard,
        metavar="K/N",
        default=ALONE,
        help="poll only this part of the targets, such as 1/3: several exporters divide the same configuration",
    )
    parser.set_defaults(command="")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    init = commands.add_parser("init", help="write a first configuration", description="Write a first configuration.")
    init.add_argument("collectors", nargs="*", metavar="COLLECTOR", help=f"{', '.join(known())}; all if none is given")
    init.add_argument("--config.file", dest="config_file", type=Path, metavar="PATH", default=argparse.SUPPRESS)
    init.add_argument("--stdout", action="store_true", help="print it instead of writing the file")
    return parser


def _read(read: Callable[[Path], T], file: Path) -> T | None:
    """Return the content of a file, or None after printing its problems."""
    try:
        return read(file)
    except ConfigError as error:
        _print(file, error.problems)
        return None


def _print(about: object, lines: Iterable[object]) -> None:
    sys.stderr.writelines(f"{about}: {line}\n" for line in lines)


def _run(app: App) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads."""
    app.start()
    while signal.sigwait(SIGNALS) == signal.SIGHUP:
        with contextlib.suppress(ConfigError):  # its problems are in the log
            app.reload()
    _log.info("stopping")
    app.stop()
    if any(thread is not threading.current_thread() and not thread.daemon for thread in threading.enumerate()):
        # A thread that hangs in a library would keep the interpreter from exiting.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
