"""The settings of a `collector: certificates` target in exporter.yml, and its endpoints."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, ClassVar, cast, get_args

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, field_validator

from exporter.collectors.contract import StartTls, TlsEndpoint
from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Duration, FilePath, Secret, Stamp, located, stamp
from exporter.toolkit.http_settings import load_key_pair
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
        else:
            self._conditions.report("file", "")
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


class Settings(TargetSettings):
    """One list of endpoints. A probe costs its host one handshake; `max_age` bridges several failed ones."""

    shortest_max_age: ClassVar[float] = 1800.0

    endpoints: tuple[Annotated[TlsEndpoint, BeforeValidator(endpoint)], ...] = ()
    endpoints_file: Annotated[EndpointsFile, PlainValidator(opened)] | None = Field(None, validate_default=True)
    starttls: StartTls | None = None
    client_cert_file: FilePath | None = None
    client_key_file: FilePath | None = Field(None, validate_default=True)
    poll_interval: Duration = Field(300.0, gt=0)
    retry_interval: Duration = Field(60.0, gt=0)

    @field_validator("proxy_url")
    @classmethod
    def _is_not_for_probes(cls, value: Secret | None) -> Secret | None:
        if value is not None:
            raise ValueError("probes connect directly: remove it")
        return value

    @field_validator("endpoints")
    @classmethod
    def _are_distinct(cls, value: tuple[TlsEndpoint, ...]) -> tuple[TlsEndpoint, ...]:
        if twice := _repeated(value):
            raise ValueError(f"listed more than once: {twice}")
        return value

    @field_validator("endpoints_file")
    @classmethod
    def _adds_to_the_list(cls, value: EndpointsFile | None, info: ValidationInfo) -> EndpointsFile | None:
        if "endpoints" not in info.data:  # already reported as invalid
            return value
        found = (*info.data["endpoints"], *(value.read() if value else ()))
        if not found:
            raise ValueError("give endpoints or endpoints_file, with at least one endpoint")
        if twice := _repeated(found):
            raise ValueError(f"in endpoints already: {twice}")
        return value

    @field_validator("client_key_file")
    @classmethod
    def _fits_the_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        certificate: Path | None = info.data.get("client_cert_file")
        if value and not certificate:
            raise ValueError("give client_cert_file too")
        if certificate:
            load_key_pair(certificate, value or certificate)
        return value

    @property
    def client_certificate(self) -> tuple[str, str] | None:
        """Return the files of the client certificate and its key, which may be the same."""
        certificate = self.client_cert_file
        return (str(certificate), str(self.client_key_file or certificate)) if certificate else None

    def listed(self) -> tuple[TlsEndpoint, ...]:
        """Return the current endpoints, each place once, including those of `endpoints_file` as it is now."""
        found = (*self.endpoints, *(self.endpoints_file.read() if self.endpoints_file else ()))
        if self.starttls:
            found = tuple(one if one.starttls else replace(one, starttls=self.starttls) for one in found)
        return tuple({place(one): one for one in found}.values())


def _repeated(endpoints: Iterable[TlsEndpoint]) -> str:
    first: dict[tuple[str, str, int], TlsEndpoint] = {}
    return ", ".join(sorted({one.written for one in endpoints if first.setdefault(place(one), one) is not one}))
