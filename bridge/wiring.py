"""What bridge.yml means for each part: where receivers come in, which are looked after, where events go."""

import hashlib
from collections.abc import Mapping

from bridge.config import Config, module
from bridge.delivery.bigpanda_client import BigPanda
from bridge.delivery.worker import Route
from bridge.domain.event import mapping_of
from bridge.incidents.follow_up import Followed
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.reconcile.expiry import Falling
from bridge.reconcile.watchdog import Watched
from bridge.web.webhooks import Entrance


def entrances(config: Config) -> Mapping[tuple[str, str], Entrance]:
    """Return the place of each configured receiver."""
    return {
        (one.receiver, one.source): Entrance(
            one, module(one.receiver).translate, mapping_of(one, config.bigpanda.app_key)
        )
        for one in config.receivers
    }


def watched(config: Config) -> list[Watched]:
    """Return the receivers of Alertmanagers."""
    return [
        Watched(one, mapping_of(one, config.bigpanda.app_key))
        for one in config.receivers
        if isinstance(one, AlertmanagerSettings)
    ]


def falling(config: Config) -> list[Falling]:
    """Return every receiver, with how its alerts become events."""
    return [Falling(one, mapping_of(one, config.bigpanda.app_key)) for one in config.receivers]


def followed(config: Config) -> list[Followed]:
    """Return the BigPanda receivers of which anything follows."""
    mappings = {(one.receiver, one.source): mapping_of(one, config.bigpanda.app_key) for one in config.receivers}
    return [
        Followed(one, mappings)
        for one in config.receivers
        if isinstance(one, BigPandaSettings) and (one.callback or one.silences or one.reopen_after)
    ]


def destination(config: Config) -> str:
    """Return the name of where events go, without its URL, which may hold a token."""
    return hashlib.blake2b(config.bigpanda.url.encode(), digest_size=8).hexdigest()


def route(config: Config) -> Route:
    """Return where events go, and how fast."""
    found = config.bigpanda
    return Route(
        name=destination(config),
        destination=BigPanda(found.url, found.token, found.timeout),
        events_per_minute=found.events_per_minute,
        batch_size=found.batch_size,
        timeout=found.timeout,
    )
