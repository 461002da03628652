"""The flags that both programs share, spelled as in Prometheus."""

import argparse
import re
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

Address = tuple[str, int]

_ADDRESS = re.compile(r"(?:\[(.*)\]|([^:]*)):([0-9]{1,5})")
_LAST_PORT = 65535


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with status 2 and a single line on an error; abbreviated flags are errors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Print the error and exit."""
        self.exit(2, f"{self.prog}: {message}\n")


def declare(parser: argparse.ArgumentParser, default: Address, config_file: str, *, again: bool = False) -> None:
    """Add the flags to a parser, as `config_file`, `config_check`, `listen`, `web_config`, ….

    `listen` is a list of addresses, or None if the flag was not given; see `addresses`. `again`: the parser is a
    sub-command's and sets only the flags given there, so that a flag may come before or after the command.
    """
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    if not again:
        parser.set_defaults(config_file=Path(config_file), config_check=False, listen=None, web_config=None)
        parser.set_defaults(lifecycle=False, log_level="info", log_format="logfmt")
    add("--config.file", dest="config_file", type=path, metavar="PATH",
        help=f"path of the configuration file (default: {config_file})")  # fmt: skip
    add("--config.check", dest="config_check", action="store_true", help="check the configuration and exit")
    add("--web.listen-address", dest="listen", action="append", type=address, metavar="HOST:PORT",
        help=f"address to listen on; may be repeated (default: {default[0]}:{default[1]})")  # fmt: skip
    add("--web.config.file", dest="web_config", type=lambda text: Path(text) if text else None, metavar="PATH",
        help="path of the file that enables TLS or basic auth")  # fmt: skip
    add("--web.enable-lifecycle", dest="lifecycle", action="store_true",
        help="enable reloading by HTTP request: POST /-/reload")  # fmt: skip
    add("--log.level", dest="log_level", type=str.lower, choices=["debug", "info", "warn", "error"],
        help="lowest level to log (default: info)")  # fmt: skip
    add("--log.format", dest="log_format", type=str.lower, choices=["logfmt", "json"],
        help="format of the log (default: logfmt)")  # fmt: skip
    version = f"{parser.prog.split()[0]}, version {release()}"
    parser.add_argument("--version", action="version", version=version, help="print the version and exit")


def addresses(given: list[Address] | None, default: Address) -> list[Address]:
    """Return the addresses to listen on: those given, without duplicates, or the default."""
    return list(dict.fromkeys(given or [default]))


def address(text: str) -> Address:
    """Parse `HOST:PORT`, `[::1]:PORT` or `:PORT`, which means every interface."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text}: write it like 127.0.0.1:9100, [::1]:9100 or :9100")
    host = match[1] or match[2] or ""
    host.encode("idna")  # as the resolver would: the ValueError of an impossible name is argparse's to report
    return host or "::", int(match[3])


def path(text: str) -> Path:
    """Parse a path. An empty one, as of a variable that is not set, would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path")
    return Path(text)


@cache
def release() -> str:
    """Return the version of the installed distribution, `unknown` when run from a bare source tree."""
    try:
        return metadata.version("vendorwatch")
    except metadata.PackageNotFoundError:
        return "unknown"
