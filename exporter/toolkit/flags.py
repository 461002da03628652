"""The flags that both programs have, in Prometheus's spelling."""

import argparse
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

Address = tuple[str, int]
"""Host and port to listen on."""

_LAST_PORT = 65535


class Parser(argparse.ArgumentParser):
    """An argument parser that ends with status 2 and one line; abbreviations of flags are errors."""

    def __init__(self, *, prog: str, description: str | None = None) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Tell the one thing that is wrong, and end."""
        self.exit(2, f"{self.prog}: {message}\n")


def declare(parser: argparse.ArgumentParser, default: Address, config_file: str) -> None:
    """Add the flags to a parser. They arrive as `config_file`, `config_check`, `listen`, `web_config`, ….

    `listen` is a list of addresses, None when the flag was not given: `addresses` says what then holds.
    """
    _declare_config(parser, config_file)
    _declare_web(parser, default)
    parser.add_argument("--log.level", dest="log_level", choices=["debug", "info", "warn", "error"], default="info")
    parser.add_argument("--log.format", dest="log_format", choices=["logfmt", "json"], default="logfmt")
    parser.add_argument(
        "--version", action="version", version=f"{parser.prog}, version {release()}", help="print the version and exit"
    )


def _declare_config(parser: argparse.ArgumentParser, config_file: str) -> None:
    parser.add_argument(
        "--config.file", dest="config_file", type=Path, metavar="PATH", default=Path(config_file), help="%(default)s"
    )
    parser.add_argument(
        "--config.check", dest="config_check", action="store_true", help="check the configuration, start nothing"
    )


def _declare_web(parser: argparse.ArgumentParser, default: Address) -> None:
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        action="append",
        type=address,
        metavar="HOST:PORT",
        help=f"where to serve, repeatable; {default[0]}:{default[1]}",
    )
    parser.add_argument("--web.config.file", dest="web_config", type=Path, metavar="PATH", help="TLS and basic auth")
    parser.add_argument("--web.enable-lifecycle", dest="lifecycle", action="store_true", help="allow POST /-/reload")


def addresses(given: list[Address] | None, default: Address) -> list[Address]:
    """Return where to listen: what was given, each once, or the default."""
    return list(dict.fromkeys(given or [default]))


def address(text: str) -> Address:
    """Read `HOST:PORT`, `[::1]:PORT` or `:PORT`, which is every interface."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not colon
        or not port.isascii()
        or not port.isdigit()
        or int(port) > _LAST_PORT
        or (":" in host and not bracketed)
    ):
        raise argparse.ArgumentTypeError(f"{text}: write it like 127.0.0.1:9100, [::1]:9100 or :9100")
    return (host[1:-1] if bracketed else host) or _everywhere(), int(port)


def _everywhere() -> str:
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  the operator asked for every interface


def release() -> str:
    """Return the version of the installed distribution, `unknown` when run from a bare source tree."""
    try:
        return version("vendorwatch")
    except PackageNotFoundError:
        return "unknown"
