"""A change of destination: open alerts are resent to the new one, and resolved at the old one if it still answers.

The outbox knows for every alert which destination accepted that it is open. After a restart the old destination can be
reached if its URL could be stored, and only with a token that it has received before: no other token is sent to a
destination that bridge.yml no longer names.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, TypeVar

from bridge.delivery.bigpanda_client import BigPanda
from bridge.delivery.route import Receivers, Route
from bridge.domain.alert_state import AlertState
from bridge.domain.event import Status, draft
from bridge.errors import DeliveryError
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.ingest import Ingest
from bridge.outbox.status import Address, OutboxStatus

_BATCH: Final = 100
_UNREACHED: Final = "its URL was not stored, or the token in bridge.yml has changed; resolve them there"
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Relocation:
    """Both sides of a change of destination. Destinations are identified by their names in the outbox."""

    def __init__(self, database: Database) -> None:
        self._alerts, self._ingest, self._status = Alerts(database), Ingest(database), OutboxStatus(database)

    def begin(self, route: Route, now: float) -> None:
        """Resolve alerts that are open at destinations of earlier runs, and record this one's address."""
        here = self._address(route)
        for name, address in self._status.addresses().items():
            if name == route.name or not (states := self._opened_at(name)):
                continue
            if route.at and address.url and address.token_proof == here.token_proof:
                destination = route.at(address.url)
                _close(states, destination, route.receivers, now)
                destination.close()
            else:
                _log.warning("%d alerts stay open at the previous destination: %s", len(states), _UNREACHED)
        self._status.set_address(route.name, here)

    def note(self, route: Route) -> None:
        """Record the address of a destination."""
        self._status.set_address(route.name, self._address(route))

    def _address(self, route: Route) -> Address:
        return Address(route.url, route.proof(self._status.database_id()))

    def close(self, old: Route, receivers: Receivers, now: float) -> None:
        """Resolve the alerts that are open at an old destination; tried once, because it may be gone."""
        _close(self._opened_at(old.name), old.destination, receivers, now)

    def _opened_at(self, name: str) -> list[AlertState]:
        return [state for state in self._alerts.opened_at(name) if state.app_key]

    def restate(self, route: Route, now: float) -> int:
        """Queue the alerts that are open at another destination, or under another app key; return the number of events.

        An alert open here under another app key is resolved under that one first: it has another identity.
        """
        receivers = route.receivers
        rekeyed = [
            state
            for state in self._alerts.opened_at(route.name)
            if (settings := receivers.get((state.alert.receiver, state.alert.source)))
            and state.app_key not in ("", settings.mapping.app_key)
        ]
        _close(rekeyed, route.destination, receivers, now)
        states = [*self._alerts.opened_elsewhere(route.name), *(state for state in rekeyed if state.open)]
        batch = [
            settings.notification(alerts=(state.alert,), resend=True, if_unmodified={state.key: state.updated_at})
            for state in states
            if (settings := receivers.get((state.alert.receiver, state.alert.source)))
        ]
        queued = 0
        for part in _parts(batch):
            queued += sum(outcome.queued for outcome in self._ingest.accept(part, now))
        if queued:
            _log.info("Resending %d open alerts to the new destination", queued)
        return queued


def _close(closing: Sequence[AlertState], destination: BigPanda, receivers: Receivers, now: float) -> None:
    done = 0
    try:
        for app_key, states in groupby(sorted(closing, key=lambda state: state.app_key), lambda one: one.app_key):
            for part in _parts(list(states)):
                events = []
                for state in part:
                    if settings := receivers.get((state.alert.receiver, state.alert.source)):
                        ended = draft(replace(state.alert, firing=False, ends_at=now), Status.OK, settings.mapping)
                        # Later than its last event, and earlier than those sent to the new destination.
                        events.append(ended.freeze(state.timestamp + 1))
                destination.send(events, app_key)
                done += len(part)
    except DeliveryError as error:
        _log.warning("%d alerts stay open at the previous destination: %s", len(closing) - done, error)
    if done:
        _log.info("Closed %d alerts at the previous destination", done)


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
