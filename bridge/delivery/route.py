"""The route of events: the destination in bridge.yml, and the one of an earlier run."""

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
"""Cost of the hash, so that a token cannot be guessed from its stored proof."""
Receivers = Mapping[tuple[str, str], ReceiverSettings]
"""Every configured receiver, by (receiver, source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The destination of events, and the rate. `name`: its name in the outbox, where its circuit breaker is stored.

    `receivers`: those whose open alerts are resent if they were opened at another destination. `url`: its address for
    the store; "" if that contains a secret. `at`: returns the same destination at another URL.
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
        """Return a proof by which the token is recognized without revealing it; "" while it cannot be read."""
        try:
            token = self.token.read()
        except (OSError, ValueError):
            return ""
        return hashlib.scrypt(token.encode(), salt=salt.encode(), **_WORK).hex() if token else ""


def route(config: Config) -> Route:
    """Return the route of a configuration."""
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
