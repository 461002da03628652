"""A change of destination: open alerts are resent to the new one, and resolved at the old one if it still answers.

The outbox knows for every alert which destination accepted that it is open. After a restart the old destination can be
reached if its URL could be stored, and only with a token that it has received before: no other token is sent to a
destination that bridge.yml no longer names.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Final
from urllib.parse import urlsplit

from bridge.config import BigPanda as Settings
from bridge.config import Config
from bridge.delivery.bigpanda_client import BigPanda
from bridge.domain.alert_state import AlertState
from bridge.domain.event import Status, draft
from bridge.errors import DeliveryError
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Address
from exporter.toolkit.config_types import Secret

_WORK: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}
"""Cost of the hash, so that a token cannot be guessed from its stored proof."""
_BATCH: Final = 100
_UNREACHED: Final = "its URL was not stored, or the token in bridge.yml has changed; resolve them there"
_log = logging.getLogger(__name__)


class Relocation:
    """Both sides of a change of destination. `connect` returns the client of one."""

    def __init__(self, outbox: Outbox, connect: Callable[[Settings], BigPanda]) -> None:
        self._outbox, self._connect = outbox, connect

    def leave_others(self, config: Config, now: float, reached: Mapping[str, BigPanda]) -> None:
        """Resolve alerts that are open at other destinations, and record the address of this one.

        It is tried once, because they may be gone. `reached`: clients that exist, by their destination's name.
        """
        # A URL with a query may contain a secret.
        url = "" if urlsplit(config.bigpanda.url).query else config.bigpanda.url
        here = Address(url, _proof(config.bigpanda.token, self._outbox.status.database_id()))
        for name, address in self._outbox.status.addresses().items():
            if name == config.destination:
                continue
            if not (states := [state for state in self._outbox.alerts.opened_at(name) if state.app_key]):
                continue
            if name in reached:
                _close(states, reached[name], config, now)
            elif address.url and address.token_proof == here.token_proof:
                with closing(self._connect(config.bigpanda.model_copy(update={"url": address.url}))) as client:
                    _close(states, client, config, now)
            else:
                _log.warning("%d alerts stay open at the previous destination: %s", len(states), _UNREACHED)
        self._outbox.status.set_address(config.destination, here)

    def rekey(self, config: Config, client: BigPanda, now: float) -> None:
        """Resolve alerts open here under another app key, which is another identity, and queue events under this one.

        To be done before anything is sent: afterwards it would no longer be known under which key an alert is open.
        """
        _close(self._rekeyed(config), client, config, now)
        for (receiver, source), settings in config.by_source.items():
            self._outbox.queue.set_app_key(receiver, source, settings.mapping.app_key, config.destination)

    def _rekeyed(self, config: Config) -> list[AlertState]:
        receivers = config.by_source
        return [
            state
            for state in self._outbox.alerts.opened_at(config.destination)
            if (settings := receivers.get((state.alert.receiver, state.alert.source)))
            and state.app_key not in ("", settings.mapping.app_key)
        ]

    def restate(self, config: Config, now: float) -> None:
        """Queue the alerts that are open at another destination, or under another app key."""
        receivers = config.by_source
        rekeyed = (state for state in self._rekeyed(config) if state.open)
        states = [*self._outbox.alerts.opened_elsewhere(config.destination), *rekeyed]
        batch = [
            settings.correction(state.alert, state.updated_at, resend=True)
            for state in states
            if (settings := receivers.get((state.alert.receiver, state.alert.source)))
        ]
        queued = 0
        for start in range(0, len(batch), _BATCH):
            queued += sum(outcome.queued for outcome in self._outbox.ingest.accept(batch[start : start + _BATCH], now))
        if queued:
            _log.info("Resending %d open alerts to the new destination", queued)


def _proof(token: Secret, salt: str) -> str:
    """Return a proof by which a token is recognized without revealing it; "" while it cannot be read."""
    try:
        text = token.read()
    except (OSError, ValueError):
        return ""
    return hashlib.scrypt(text.encode(), salt=salt.encode(), **_WORK).hex() if text else ""


def _close(open_states: Sequence[AlertState], client: BigPanda, config: Config, now: float) -> None:
    receivers, done, by_app_key = config.by_source, 0, attrgetter("app_key")
    closing = [state for state in open_states if (state.alert.receiver, state.alert.source) in receivers]
    if left := len(open_states) - len(closing):
        _log.warning("%d alerts stay open at the previous destination: their receivers are no longer configured", left)
    try:
        for app_key, group in groupby(sorted(closing, key=by_app_key), by_app_key):
            states = list(group)
            for start in range(0, len(states), _BATCH):
                events = []
                for state in states[start : start + _BATCH]:
                    mapping = receivers[state.alert.receiver, state.alert.source].mapping
                    ended = draft(replace(state.alert, firing=False, ends_at=now), Status.OK, mapping)
                    # Later than its last event, and earlier than those sent to the new destination.
                    events.append(ended.freeze(state.timestamp + 1))
                client.send(events, app_key)
                done += len(events)
    except DeliveryError as error:
        _log.warning("%d alerts stay open at the previous destination: %s", len(closing) - done, error)
    if done:
        _log.info("Closed %d alerts at the previous destination", done)
