"""The program: runs a command, or the bridge until a signal; exit statuses."""

import sys
from collections.abc import Sequence

from bridge.commands.arguments import DEFAULT_ADDRESS, parse
from bridge.config import load_for
from bridge.errors import Unavailable
from bridge.outbox.database import check as check_database
from exporter.toolkit import flags, logs, program
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.web_config import WebConfigFile


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 on failure, 2 for wrong usage."""
    program.open_streams()
    arguments = parse(words)
    try:
        if arguments.run is not None and not arguments.config_check:
            return program.command(lambda: int(arguments.run(arguments)))
        program.hold_reloads()
        addresses = tuple(flags.addresses(arguments.listen, DEFAULT_ADDRESS))
        # Read both before exiting, so that the problems of both are reported.
        config = program.read(lambda file: load_for(file, addresses), arguments.config_file)
        web_config = program.read(WebConfigFile, arguments.web_config)
        if config is None or web_config is None:
            return 1
        if arguments.config_check:
            check_database(config.database.read())
            sys.stdout.write(f"{arguments.config_file}: ok\n")
            return 0
        from bridge.app import Bridge, Start  # noqa: PLC0415  a sixth of the time of a command, which starts no server

        logs.start("bridge", arguments.log_level, arguments.log_format)
        program.run(Bridge(Start(arguments.config_file, addresses, web_config, arguments.lifecycle), config))
    except ConfigError as error:
        return program.report(arguments.config_file, error.problems)
    except (Unavailable, OSError) as error:
        return program.report("vendorwatch-bridge", [error])
    return 0


if __name__ == "__main__":
    sys.exit(main())
