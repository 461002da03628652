"""The contract of a sender's module, and the translation of its webhooks.

A new sender is one new module of this package with `Settings` and `translate`: it is found by its name, and
`tests/bridge/receivers/test_contract.py` checks it against this contract.
"""

import pkgutil
from importlib import import_module
from typing import Any, Final, Protocol, cast

import bridge.receivers
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.settings import ReceiverSettings

_NOT_SENDERS: Final = {"contract", "lenient", "settings"}


class Sender(Protocol):
    """A module of `bridge.receivers`."""

    Settings: type[ReceiverSettings]
    """The keys of a receiver of this sender in bridge.yml."""

    def translate(self, body: dict[str, Any], settings: Any, now: float) -> Notification:
        """Translate one webhook; `body` is its parsed JSON, `settings` the receiver's own.

        Pure and lenient: malformed or missing members are left out, and only an alert without an identity is
        unreadable. One alert of many goes to `unreadable`; for a whole body, raises Unreadable naming the member. Test
        messages and unknown events are counted in `ignored`.
        """


def senders() -> list[str]:
    """Return the names of all senders, sorted."""
    modules = {module.name for module in pkgutil.iter_modules(bridge.receivers.__path__)}
    return sorted(modules - _NOT_SENDERS)


def sender(name: str) -> Sender:
    """Return a sender's module."""
    return cast("Sender", import_module(f"bridge.receivers.{name}"))


def translate(body: Any, settings: ReceiverSettings, now: float) -> Notification:
    """Translate one webhook of a receiver. Raises Unreadable if the body can never be read."""
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    return sender(settings.receiver).translate(body, settings, now)
