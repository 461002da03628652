"""Where events go, and how: what bridge.yml asks for, and how the destination of an earlier run is reached."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bridge.config import Config
from bridge.delivery.bigpanda_client import BigPanda
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.config_types import Secret

_WORK: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}
"""What makes a stored proof too dear to guess a token by."""
Receivers = Mapping[tuple[str, str], ReceiverSettings]
"""Every configured receiver, by (receiver, source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where events go, and how fast. `name` is the destination's name in the outbox: its circuit breaker outlives us.

    `receivers`: whose open alerts are stated again where they were opened at another destination. `url`: what may be
    stored of where it is; "" where that holds a secret. `at`: the same destination at another URL.
    """

    name: str
    destination: BigPanda
    events_per_minute: float
    batch_size: int
    timeout: float
    receivers: Receivers = field(default_factory=dict)
    url: str = ""
    token: Secret = field(default_factory=Secret)
    at: Callable[[str], BigPanda] | None = None

    def proof(self, salt: str) -> str:
        """Return by what the token is recognized, without showing it; "" while it cannot be read."""
        try:
            token = self.token.read()
        except (OSError, ValueError):
            return ""
        return hashlib.scrypt(token.encode(), salt=salt.encode(), **_WORK).hex() if token else ""


def route(config: Config) -> Route:
    """Return the route that a configuration asks for."""
    found = config.bigpanda

    def at(url: str) -> BigPanda:
        return BigPanda(url, found.token, found.timeout, found)

    return Route(
        name=config.destination,
        destination=at(found.url),
        events_per_minute=found.events_per_minute,
        batch_size=found.batch_size,
        timeout=found.timeout,
        receivers={(one.receiver, one.source): one for one in config.receivers},
        url="" if urlsplit(found.url).query else found.url,
        token=found.token,
        at=at,
    )
