"""What a sender's module provides, and the Receiver that the rest of the bridge sees.

A new sender is one new module of this package with a `Settings` and a `translate`: it is found by its name, and
`tests/bridge/receivers/test_contract.py` holds it to what is said here.
"""

import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, cast

import bridge.receivers
from bridge.domain.notification import Notification
from bridge.receivers.settings import ReceiverSettings

_NOT_SENDERS: Final = {"bigpanda_details", "bigpanda_values", "contract", "lenient", "settings"}
"""Modules of `bridge.receivers` that senders stand on."""


class Sender(Protocol):
    """A module of `bridge.receivers`."""

    Settings: type[ReceiverSettings]
    """The keys of a receiver of this sender in bridge.yml."""

    def translate(self, body: Any, settings: Any, now: float) -> Notification:
        """Return what one webhook says; `body` is its parsed JSON, `settings` the receiver's own.

        Pure. Lenient to the end: what is strange or missing is left out, and only what has no identity is unreadable:
        one alert of many goes to `unreadable`, a whole body raises Unreadable, whose message names the member. Test
        messages and unknown events are counted in `ignored`.
        """


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver of bridge.yml: its settings, and the module that understands its sender."""

    settings: ReceiverSettings
    sender: Sender

    def translate(self, body: Any, now: float) -> Notification:
        """Return what one webhook says. Unreadable when the body can never be understood."""
        return self.sender.translate(body, self.settings, now)


def senders() -> list[str]:
    """Return the names of the senders there are, sorted."""
    modules = {module.name for module in pkgutil.iter_modules(bridge.receivers.__path__)}
    return sorted(modules - _NOT_SENDERS)


def sender(name: str) -> Sender:
    """Return a sender's module."""
    return cast("Sender", import_module(f"bridge.receivers.{name}"))


def receiver(settings: ReceiverSettings) -> Receiver:
    """Return the receiver of these settings."""
    return Receiver(settings, sender(settings.receiver))


def receivers(settings: Iterable[ReceiverSettings]) -> dict[tuple[str, str], Receiver]:
    """Return the receivers of these settings by the names in their paths: receiver and source."""
    return {(one.receiver, one.source): receiver(one) for one in settings}
