"""What bridge.yml means for each part: where receivers come in, which are looked after, where events go."""

import hashlib
from collections.abc import Callable, Mapping

from bridge.config import Config
from bridge.delivery.bigpanda_client import BigPanda
from bridge.delivery.confirmation import Confirmation
from bridge.delivery.integration_api import IntegrationApi
from bridge.delivery.worker import Route
from bridge.incidents.follow_up import Followed
from bridge.metrics import Metrics
from bridge.outbox.database import Database
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.receivers.contract import Receiver, receiver


def receivers(config: Config) -> Mapping[tuple[str, str], Receiver]:
    """Return each configured receiver, by the parts of its path."""
    return {(one.receiver, one.source): receiver(one) for one in config.receivers}


def alertmanagers(config: Config) -> list[AlertmanagerSettings]:
    """Return the receivers of Alertmanagers."""
    return [one for one in config.receivers if isinstance(one, AlertmanagerSettings)]


def followed(config: Config) -> list[Followed]:
    """Return the BigPanda receivers of which anything follows."""
    everyone = {(one.receiver, one.source): one for one in config.receivers}
    return [
        Followed(one, everyone)
        for one in config.receivers
        if isinstance(one, BigPandaSettings) and (one.callback or one.silences or one.reopen_after)
    ]


def destination(config: Config) -> str:
    """Return the name of where events go, without its URL, which may hold a token."""
    return hashlib.blake2b(config.bigpanda.url.encode(), digest_size=8).hexdigest()


def confirmation(
    config: Config, database: Database, metrics: Metrics, wake: Callable[[], object]
) -> Confirmation | None:
    """Return what asks BigPanda for what it took in, where that is wished."""
    found = config.bigpanda.confirm
    if found is None:
        return None
    base = found.url or config.bigpanda.url.partition("/data/")[0]
    # Whoever needs an authority or a proxy to reach BigPanda's one API needs them for the other.
    http = found.model_copy(
        update={
            "ca_file": found.ca_file or config.bigpanda.ca_file,
            "proxy_url": found.proxy_url or config.bigpanda.proxy_url,
        }
    )
    api = IntegrationApi(base.rstrip("/"), found.api_key, http)
    return Confirmation(
        database,
        api,
        metrics,
        interval=found.interval,
        app_keys={config.bigpanda.app_key, *(one.app_key for one in config.receivers if one.app_key)},
        sources={one.source for one in config.receivers},
        destination=destination(config),
        wake=wake,
    )


def route(config: Config) -> Route:
    """Return where events go, and how fast."""
    found = config.bigpanda
    return Route(
        name=destination(config),
        destination=BigPanda(found.url, found.token, found.timeout, found),
        events_per_minute=found.events_per_minute,
        batch_size=found.batch_size,
        timeout=found.timeout,
        receivers={(one.receiver, one.source): one for one in config.receivers},
    )
