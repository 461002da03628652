"""A change of destination: open alerts are resent to the new one, and resolved at the old one if it still answers.

The outbox knows for every alert which destination accepted that it is open. After a restart the old destination can be
reached if its URL could be stored, and only with a token that it has received before: no other token is sent to a
destination that bridge.yml no longer names.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import groupby, islice
from operator import itemgetter
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
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.text import counted

_WORK: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}
"""Cost of the hash, so that a token cannot be guessed from its stored proof."""
_BATCH: Final = 100
_UNREACHED: Final = "its URL was not stored, or the token in bridge.yml has changed; resolve them there"
_Opened = Sequence[tuple[AlertState, ReceiverSettings | None]]
"""Alerts that a destination accepted as open, each with its receiver, None if that is no longer configured."""
_log = logging.getLogger(__name__)


class Relocation:
    """Both sides of a change of destination. `connect` returns the client of one."""

    def __init__(self, outbox: Outbox, connect: Callable[[Settings], BigPanda]) -> None:
        self._outbox, self._connect = outbox, connect

    def leave_others(self, config: Config, reached: Mapping[str, BigPanda]) -> None:
        """Resolve alerts that are open at other destinations, and record the address of this one.

        It is tried once, because they may be gone. `reached`: clients that exist, by their destination's name.
        """
        # A URL with a query may contain a secret.
        url = "" if urlsplit(config.bigpanda.url).query else config.bigpanda.url
        token, salt = config.bigpanda.token.read(), self._outbox.status.database_id()
        # A proof by which the token is recognized without revealing it.
        here = Address(url, hashlib.scrypt(token.encode(), salt=salt.encode(), **_WORK).hex())
        opened = self._opened(config)
        for name, address in self._outbox.status.addresses().items():
            there = [(state, settings) for state, settings in opened if state.destination == name]
            if name == config.destination or not there:
                continue
            if name in reached:
                self._close(name, there, reached[name])
            elif address.url and address.token_proof == here.token_proof:
                with closing(self._connect(config.bigpanda.model_copy(update={"url": address.url}))) as client:
                    self._close(name, there, client)
            else:
                _log.warning("Left %s open at the previous destination: %s", counted(len(there), "alert"), _UNREACHED)
        self._outbox.status.set_destination(config.destination, here)

    def rekey(self, config: Config, client: BigPanda) -> None:
        """Resolve alerts open here under another app key, which is another identity, and queue events under this one.

        To be done before anything is sent: afterwards it would no longer be known under which key an alert is open.
        """
        opened = [
            (state, settings)
            for state, settings in self._opened(config)
            if settings and state.destination == config.destination and state.app_key != settings.mapping.app_key
        ]
        for (receiver, source), settings in config.by_source.items():
            self._outbox.queue.set_app_key(receiver, source, settings.mapping.app_key, config.destination)
        self._close(config.destination, opened, client)

    def restate(self, config: Config, now: float) -> None:
        """Queue the alerts that are open at another destination, or under another app key."""
        corrections = (
            settings.correction(state.alert, state.updated_at, resend=True)
            for state, settings in self._opened(config)
            if settings and (state.destination, state.app_key) != (config.destination, settings.mapping.app_key)
        )
        if queued := len(list(self._outbox.correct(corrections, now))):
            _log.info("Resending %s to the new destination", counted(queued, "open alert"))

    def _opened(self, config: Config) -> _Opened:
        receivers, accepted = config.by_source, self._outbox.alerts.accepted()
        return [(state, receivers.get((state.alert.receiver, state.alert.source))) for state in accepted]

    def _close(self, destination: str, opened: _Opened, client: BigPanda) -> None:
        """Resolve alerts at the destination where they are open, as far as it answers."""
        ends = []
        for state, settings in opened:
            if settings:
                ended = draft(state.alert, Status.OK, settings.mapping)
                # Later than its last event, and earlier than those sent to the new destination.
                ends.append((state.app_key, state.key, ended.freeze(state.timestamp + 1)))
        if left := len(opened) - len(ends):
            count = counted(left, "alert")
            _log.warning("Left %s open at the previous destination: without a configured receiver", count)
        done = 0
        try:
            for app_key, group in groupby(sorted(ends), itemgetter(0)):
                while batch := list(islice(group, _BATCH)):
                    client.send([event for *_, event in batch], app_key)
                    # If the move is taken back before they are resent, they must be reopened.
                    self._outbox.queue.leave(destination, [key for _, key, _ in batch])
                    done += len(batch)
        except DeliveryError as error:
            _log.warning("Left %s open at the previous destination: %s", counted(len(ends) - done, "alert"), error)
        if done:
            _log.info("Closed %s at the previous destination", counted(done, "alert"))
