"""The program: runs a command, or the bridge until a signal; exit statuses."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge.app import Bridge, Start
from bridge.commands.arguments import DEFAULT_ADDRESS, parse
from bridge.config import load_for
from bridge.errors import Unavailable
from bridge.outbox.database import check as check_database
from exporter.toolkit import flags, logs
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.web_config import WebConfigFile

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Blocked in every thread and awaited in the main one: a handler might run late while the main thread sleeps."""
_LAST_MOMENT: Final = 4.5
"""Seconds after a signal until the process exits in any case: everything answered with 200 is on disk."""
_log = logging.getLogger(__name__)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 on failure, 2 for wrong usage."""
    arguments = parse(words)
    addresses = tuple(flags.addresses(arguments.listen, DEFAULT_ADDRESS))
    if arguments.run is None or arguments.config_check:
        try:
            web_config = WebConfigFile(arguments.web_config)
        except ConfigError as error:
            try:  # the problems of both files at once
                load_for(arguments.config_file, addresses)
            except ConfigError as other:
                _report(arguments.config_file, other)
            return _report(arguments.web_config, error)
    try:
        if arguments.config_check:
            check_database(load_for(arguments.config_file, addresses).database.read())
            sys.stdout.write(f"{arguments.config_file}: ok\n")
            return 0
        if arguments.run is not None:
            return int(arguments.run(arguments))
        logs.start("bridge", arguments.log_level, arguments.log_format)
        return _serve(arguments, addresses, web_config)
    except ConfigError as error:
        return _report(arguments.config_file, error)
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _report(file: Path, error: ConfigError) -> int:
    for problem in error.problems:
        sys.stderr.write(f"{file}: {problem}\n")
    return 1


def _serve(arguments: argparse.Namespace, addresses: tuple[flags.Address, ...], web_config: WebConfigFile) -> int:
    start = Start(arguments.config_file, addresses, web_config, arguments.lifecycle)
    bridge = Bridge(start, load_for(start.config_file, start.addresses))
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        bridge.start()
    except BaseException as error:
        bridge.stop()  # otherwise the open sockets would go on accepting connections
        if not isinstance(error, OSError):
            raise
        sys.stderr.write(f"vendorwatch-bridge: {error}\n")
        return 1
    while signal.sigwait(_SIGNALS) == signal.SIGHUP:
        try:
            bridge.reload()
        except ConfigError:
            pass  # the bridge has already logged every problem
        except Exception:  # noqa: BLE001  the loop must go on, to receive SIGTERM
            _log.exception("Reload failed unexpectedly, keeping the current configuration")
    end = threading.Timer(_LAST_MOMENT, os._exit, [0])
    end.daemon = True
    end.start()
    bridge.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
