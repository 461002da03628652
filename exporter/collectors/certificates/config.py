"""What a target of `collector: certificates` has in exporter.yml."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Duration

_ENDPOINT = re.compile(r"(?:([^@:/\[\]\s]+)@)?(?:\[([^@/\[\]\s]+)\]|([^@:/\[\]\s]+)):([0-9]+)")
_EXAMPLES = "www.example.com:443, www.example.com@192.0.2.1:443 or [2001:db8::1]:443"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and whose certificate to expect there. `written` is the label."""

    written: str
    server_name: str
    address: str
    port: int

    @property
    def place(self) -> tuple[str, str, int]:
        """What makes two endpoints the same."""
        return (self.server_name, self.address, self.port)


def endpoint(text: object) -> Endpoint:
    """Read `host:port` or `name@address:port`, an IPv6 address in brackets. ValueError says how it is written."""
    match = _ENDPOINT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"not an endpoint: write it like {_EXAMPLES}")
    name, bracketed, host, port = match.groups()
    if not 1 <= int(port) <= 65535:  # noqa: PLR2004  the range of TCP ports
        raise ValueError("the port must be between 1 and 65535")
    address = host or _v6(bracketed)
    return Endpoint(match[0], name or address, address, int(port))


def _v6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError as error:
        raise ValueError("no IPv6 address between the brackets") from error


def _distinct(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    if not endpoints:
        raise ValueError("list at least one endpoint")
    twice = sorted(set(_repeated(endpoints)))
    if twice:
        raise ValueError(f"listed more than once: {', '.join(twice)}")
    return endpoints


def _repeated(endpoints: Iterable[Endpoint]) -> Iterable[str]:
    seen = set()
    for one in endpoints:
        if one.place in seen:
            yield one.written
        seen.add(one.place)


class Settings(TargetSettings):
    """One list of endpoints.

    A probe costs its host one or two handshakes, and five minutes is how long a renewal, or a certificate that
    was swapped for a wrong one, may stay unnoticed. `max_age` bridges several failed probes.
    """

    shortest_max_age: ClassVar[float] = 1800.0

    endpoints: Annotated[
        tuple[Annotated[Endpoint, BeforeValidator(endpoint)], ...],
        AfterValidator(_distinct),
    ]
    poll_interval: Duration = Field(300.0, gt=0)
    retry_interval: Duration = Field(60.0, gt=0)
