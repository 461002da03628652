"""Endpoints, as listed in exporter.yml and `endpoints_file`."""

import logging
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import cast, get_args

from pydantic import ValidationInfo

from exporter.collectors.contract import StartTls, TlsEndpoint
from exporter.toolkit.config_types import Stamp, located, stamp
from exporter.toolkit.logs import Conditions
from exporter.toolkit.text import counted

_ENDPOINT = re.compile(
    rf"(?:({'|'.join(get_args(StartTls))})://)?(?:([^@:/\[\]\s]+)@)?(?:\[([^@/\[\]\s]+)\]|([^@:/\[\]\s]+)):([0-9]+)"
)
_EXAMPLES = "www.example.com:443, www.example.com@192.0.2.1:443, [2001:db8::1]:443 or smtp://mail.example.com:25"
_log = logging.getLogger(__name__)


def place(endpoint: TlsEndpoint) -> tuple[str, str, int]:
    """Return what makes two endpoints the same, however they are written."""
    return (endpoint.server_name, endpoint.address, endpoint.port)


def endpoint(text: object) -> TlsEndpoint:
    """Parse `host:port`, `name@address:port` or `smtp://host:port`, an IPv6 address in brackets. Raises ValueError."""
    match = _ENDPOINT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"not an endpoint: write it like {_EXAMPLES}")
    starttls, name, bracketed, host, port = match.groups()
    if not 1 <= int(port) <= 65535:  # noqa: PLR2004  the range of TCP ports
        raise ValueError("the port must be between 1 and 65535")
    try:
        address = host or str(IPv6Address(bracketed))
    except ValueError as error:
        raise ValueError("no IPv6 address between the brackets") from error
    return TlsEndpoint(match[0], name or address, address, int(port), cast(StartTls | None, starttls))


@dataclass(unsafe_hash=True)
class EndpointsFile:
    """A file with one endpoint per line and `#` for comments, re-read when it changes.

    At start-up every line must be valid. Later an invalid line is skipped and logged, so that the others go on.
    """

    file: Path
    problems: tuple[str, ...] = field(default=(), init=False, compare=False)
    """One for each invalid line, as last read."""
    unreadable: bool = field(default=False, init=False, compare=False)
    """Whether the file could not be read last time, so that new endpoints in it are missing."""
    _endpoints: tuple[TlsEndpoint, ...] = field(default=(), init=False, compare=False)
    _seen: Stamp | None = field(default=None, init=False, compare=False)
    _conditions: Conditions = field(default_factory=lambda: Conditions(_log), init=False, compare=False)

    def read(self) -> tuple[TlsEndpoint, ...]:
        """Return the endpoints now; the last ones while the file cannot be read."""
        try:
            if self.refresh():
                for problem in self.problems:
                    _log.warning("Skipped a line of %s: %s", self.file, problem)
        except (OSError, ValueError) as error:
            kept = f"Cannot read {self.file}, keeping its {counted(len(self._endpoints), 'endpoint')}: {_why(error)}"
            self._conditions.report("file", kept)
            self.unreadable = True
        else:
            self._conditions.report("file", "")
            self.unreadable = False
        return self._endpoints

    def refresh(self) -> bool:
        """Read the file if it has changed, and return whether it had. Raises OSError, ValueError."""
        seen = stamp(self.file)
        if seen and seen == self._seen:
            return False
        found: dict[tuple[str, str, int], TlsEndpoint] = {}
        problems = []
        text = self.file.read_text(encoding="utf-8-sig")
        if self._seen and not text.strip():
            raise ValueError("empty")  # what writes it has only begun: a list without endpoints has a comment
        for number, line in enumerate(text.splitlines(), 1):
            written = line.partition("#")[0].strip()
            if not written:
                continue
            try:
                read = endpoint(written)
            except ValueError as error:
                problems.append(f"line {number}: {error}")
                continue
            if found.setdefault(place(read), read) is not read:
                problems.append(f"line {number}: listed more than once: {read.written}")
        if self._seen and problems and not found:
            raise ValueError(f"no line is valid: {problems[0]}")  # an error page, say, that a download put there
        self._endpoints, self.problems = tuple(found.values()), tuple(problems)
        self._seen = seen
        return True


def opened(value: object, info: ValidationInfo) -> EndpointsFile:
    """Open the file that a setting names. Raises ValueError if it cannot be read or a line is invalid."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be the path of a file")
    file = EndpointsFile(located(value, info))
    try:
        file.refresh()  # at start-up a failure is a configuration problem, not a log line
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {file.file}: {_why(error)}") from error
    if file.problems:
        raise ValueError("; ".join(file.problems))
    return file


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "not UTF-8 text"
    return (error.strerror or "unreadable") if isinstance(error, OSError) else str(error)
