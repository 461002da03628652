"""The command line: flags, configuration check, signals."""

import argparse
import sys
from collections.abc import Sequence

from exporter.app import DEFAULT, App, leadership, summary
from exporter.collectors.sharding import ALONE, shard
from exporter.config import known, load, starter_for
from exporter.toolkit import flags, logs, program, starter
from exporter.toolkit.config_types import ConfigError, Secret
from exporter.toolkit.web_config import WebConfigFile

PROGRAM = "vendorwatch-exporter"
SWITCH = 0.001
"""Seconds after which a thread that renders or updates yields to one that answers a scrape."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exporter and return the exit status. Bad flags exit with status 2."""
    program.open_streams()
    options = _parser().parse_args(argv)
    if options.command == "init":
        path = None if options.stdout else options.config_file
        return starter.run(PROGRAM, path, lambda: starter_for(options.collectors))
    program.hold_reloads()
    # Read both before exiting, so that the problems of both are reported.
    config = program.read(load, options.config_file)
    web_config = program.read(WebConfigFile, options.web_config)
    if config is None or web_config is None:
        return 1
    try:
        if options.config_check:
            if options.storage_url:
                leadership(options.storage_url, options.shard)
            program.report(options.config_file, (f"warning: {warning}" for warning in config.warnings()))
            sys.stdout.write(f"{options.config_file}: ok, {summary(config, options.shard)}\n")
            return 0
        logs.start("exporter", options.log_level, options.log_format)
        sys.setswitchinterval(SWITCH)
        app = App(options, config, web_config)
    except ConfigError as error:
        return program.report(PROGRAM, error.problems)
    program.run(app)
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
        type=flags.path,
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
        type=lambda text: Secret(file=flags.path(text)),
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
    init.add_argument("--config.file", dest="config_file", type=flags.path, metavar="PATH", default=argparse.SUPPRESS)
    init.add_argument("--stdout", action="store_true", help="print it instead of writing the file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
