"""The flags that both programs have, in Prometheus's spelling."""

import argparse
import socket
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

Address = tuple[str, int]
"""Host and port to listen on."""

_LAST_PORT = 65535


class Parser(argparse.ArgumentParser):
    """An argument parser that ends with status 2 and one line; abbreviations of flags are errors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Tell the one thing that is wrong, and end."""
        self.exit(2, f"{self.prog}: {message}\n")


def declare(parser: argparse.ArgumentParser, default: Address, config_file: str, *, again: bool = False) -> None:
    """Add the flags to a parser. They arrive as `config_file`, `config_check`, `listen`, `web_config`, ….

    `listen` is a list of addresses, None when the flag was not given: `addresses` says what then holds. `again`: the
    parser is a sub-command's; it sets only what is given there, so that a flag may stand before or after the command.
    """

    def unless_again(value: object) -> Any:
        return argparse.SUPPRESS if again else value

    add = parser.add_argument
    add("--config.file", dest="config_file", type=Path, metavar="PATH", default=unless_again(Path(config_file)),
        help=f"the configuration; {config_file}")  # fmt: skip
    add("--config.check", dest="config_check", action="store_true", default=unless_again(value=False),
        help="check the configuration, start nothing")  # fmt: skip
    add("--web.listen-address", dest="listen", action="append", type=address, metavar="HOST:PORT",
        default=unless_again(None), help=f"where to serve, repeatable; {default[0]}:{default[1]}")  # fmt: skip
    add("--web.config.file", dest="web_config", type=Path, metavar="PATH", default=unless_again(None),
        help="TLS and basic auth")  # fmt: skip
    add("--web.enable-lifecycle", dest="lifecycle", action="store_true", default=unless_again(value=False),
        help="allow POST /-/reload")  # fmt: skip
    levels = ["debug", "info", "warn", "error"]
    add("--log.level", dest="log_level", choices=levels, default=unless_again("info"), help="the least that is logged")
    add("--log.format", dest="log_format", choices=["logfmt", "json"], default=unless_again("logfmt"))
    version = f"{parser.prog.split()[0]}, version {release()}"
    add("--version", action="version", version=version, help="print the version and exit")


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
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  the operator asked for every interface
    return (host[1:-1] if bracketed else host) or everywhere, int(port)


def release() -> str:
    """Return the version of the installed distribution, `unknown` when run from a bare source tree."""
    try:
        return metadata.version("vendorwatch")
    except metadata.PackageNotFoundError:
        return "unknown"
