"""What follows from BigPanda's incidents: shares are confirmed, snoozes become silences, what outlasts is sent anew.

Per BigPanda receiver, one thread of one replica. Nothing is remembered here: what is to be done follows from what the
store and Alertmanager hold, so a process that dies at any moment is continued by the next one.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import uuid4

from bridge.delivery.retry_policy import Again, Stop, decide
from bridge.domain.event import Mapping as EventMapping
from bridge.domain.incident import Kept
from bridge.errors import DeliveryError
from bridge.incidents.callback import CallbackService
from bridge.incidents.silence_client import SilenceApi
from bridge.incidents.silence_sync import Alertmanager, Snoozes
from bridge.metrics import Metrics
from bridge.outbox.incidents import DueCallback, Told
from bridge.outbox.ingest import Notification, Outcome
from bridge.periodic import Rounds
from bridge.receivers.bigpanda import Settings

_TICK: Final = 5.0
"""Seconds between two looks at the store: another replica's webhook wakes nobody here."""
_LEASE: Final = 20.0
"""Seconds for which one replica alone acts."""
_POINTLESS: Final = 86400.0
"""Seconds after which a share is not confirmed any more: BigPanda has stopped to wait long before."""
_log = logging.getLogger(__name__)


class Store(Protocol):
    """What is needed of the outbox."""

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Make a batch durable."""

    def incidents(self, source: str | None = None) -> list[Kept]:
        """Return the incidents of a source."""

    def told(self, names: Sequence[str]) -> dict[str, Told]:
        """Return what the ledger knows of these keys."""

    def due_callbacks(self, source: str, now: float, limit: int = 50) -> list[DueCallback]:
        """Return the shares to confirm."""

    def settle_callback(self, callback: DueCallback, state: str, reason: str, *, now: float, not_before: float) -> None:
        """Note what became of a callback."""

    def identity(self) -> str:
        """Return the name of this database."""

    def lead(self, role: str, owner: str, now: float, lease: float) -> bool:
        """Take or keep a role."""

    def yield_role(self, role: str, owner: str) -> None:
        """Give a role up."""


class Callbacks(Protocol):
    """BigPanda's callback service."""

    def confirm(self, incident: str) -> None:
        """Confirm a share, or raise a DeliveryError."""

    def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One BigPanda receiver, and how the alerts of each (receiver, source) become events."""

    settings: Settings
    mappings: Mapping[tuple[str, str], EventMapping]


class Incidents:
    """Acts for one receiver: `start`, `hint` when a webhook has come, `stop`."""

    def __init__(  # noqa: PLR0913  the parts it is wired to; each is replaced alone in tests
        self,
        store: Store,
        followed: Followed,
        metrics: Metrics,
        *,
        wake: Callable[[], object] = lambda: None,
        callbacks: Callbacks | None = None,
        silences: Callable[[str], Alertmanager] | None = None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`wake`: called when something was queued. `silences` makes the way to Alertmanager, given our mark."""
        settings = followed.settings
        self._store, self._settings, self._mappings, self._metrics = store, settings, followed.mappings, metrics
        self._wake, self._clock, self._chance = wake, clock, chance
        self._callbacks: Callbacks | None = callbacks or (
            CallbackService(settings.callback) if settings.callback else None
        )
        self._make_silences = silences or self._silence_api
        self._snoozes: Snoozes | None = None
        self._source = settings.source
        self._role, self._owner = f"incidents {settings.source}", uuid4().hex
        self._rounds = Rounds(self._role, f"Acting on the incidents of {settings.source}", self.run)
        metrics.expect_incidents(settings.source)

    def start(self) -> None:
        """Begin to act."""
        self._rounds.start()

    def hint(self) -> None:
        """Look at once: a webhook has come."""
        self._rounds.hint()

    def stop(self, patience: float = 1.0) -> None:
        """End after the request under way, or after `patience` seconds without it."""
        self._rounds.stop(patience)

    def run(self) -> None:
        """Act until stopped."""
        while not self._rounds.ended:
            self._rounds.guarded(self.turn)
            self._rounds.rest(_TICK)
        self._rounds.guarded(lambda: self._store.yield_role(self._role, self._owner))
        for way in (self._callbacks, self._snoozes):
            if way is not None:
                way.close()

    def turn(self) -> None:
        """Do what is due. Another replica's turn: do nothing. Unavailable when the database cannot be used."""
        if not self._store.lead(self._role, self._owner, self._clock(), _LEASE):
            return
        incidents = self._store.incidents(self._source)
        if self._settings.silences:
            self._follow().turn(incidents, self._clock(), lambda: self._rounds.ended)
        if self._callbacks:
            self._confirm(self._callbacks)
        if self._settings.reopen_after:
            self._send_anew(incidents)

    def _follow(self) -> Snoozes:
        """Return what follows the snoozes; our mark is in the database, which need not be there at first."""
        if self._snoozes is None:
            owner = f"{self._store.identity()}/{self._source}"
            silences = self._settings.silences
            self._snoozes = Snoozes(
                self._make_silences(owner),
                self._store.told,
                self._metrics,
                owner=owner,
                source=self._source,
                sources=silences.sources if silences else None,
                chance=self._chance,
            )
        return self._snoozes

    def _silence_api(self, owner: str) -> Alertmanager:
        if self._settings.silences is None:
            raise ValueError("this receiver silences nothing")
        return SilenceApi(self._settings.silences, owner)

    def _confirm(self, callbacks: Callbacks) -> None:
        for due in self._store.due_callbacks(self._source, self._clock()):
            if self._rounds.ended or not self._confirmed(callbacks, due):
                return

    def _confirmed(self, callbacks: Callbacks, due: DueCallback) -> bool:
        """Confirm one share; tell whether the next may be tried now."""
        now = self._clock()
        if now - due.asked_at > _POINTLESS:
            self._settle(due, "dead", "BigPanda does not wait for it any more", "rejected")
            return True
        try:
            callbacks.confirm(due.incident)
        except DeliveryError as error:
            match decide(error, events=1, failures=due.attempts + 1, now=self._clock(), chance=self._chance()):
                case Again(at) | Stop(at):
                    self._settle(due, "waiting", str(error), "retry", at)
                    self._rounds.say("callback", f"Shares of {self._source} cannot be confirmed now: {error}")
                    return False
                case _:
                    self._settle(due, "dead", str(error), "rejected")
                    _log.warning("The share of incident %s is not confirmed: %s", due.incident, error)
                    return True
        self._settle(due, "done", "accepted", "accepted")
        self._rounds.say("callback", "")
        return True

    def _settle(self, due: DueCallback, state: str, reason: str, outcome: str, not_before: float = 0.0) -> None:
        self._metrics.callbacks.labels(self._source, outcome).inc()
        self._store.settle_callback(due, state, reason, now=self._clock(), not_before=not_before)

    def _send_anew(self, incidents: Sequence[Kept]) -> None:
        """Send once more what still fires as it did when its incident was closed by hand, long enough ago."""
        now = self._clock()
        elsewhere = {key for one in incidents if one.active for key in one.keys}
        due = {
            key: touched
            for one in incidents
            if one.closed_at is not None and now - one.closed_at >= self._settings.reopen_after
            for key, touched in one.by_hand.items()
            if key not in elsewhere
        }
        for key, known in self._store.told(sorted(due)).items():
            mapping = self._mappings.get((known.alert.receiver, known.alert.source))
            if mapping and known.open and known.touched_at == due[key]:
                self._again(key, known, mapping, now)

    def _again(self, key: str, known: Told, mapping: EventMapping, now: float) -> None:
        notification = Notification(
            receiver=known.alert.receiver,
            source=known.alert.source,
            alerts=(known.alert,),
            mapping=mapping,
            resend=True,
            seen={key: known.touched_at},
        )
        (outcome,) = self._store.accept([notification], now)
        if outcome.queued:
            self._metrics.sent_anew.labels(self._source).inc()
            _log.warning("Sent anew, for it still fires though its incident was closed: %s", key)
            self._wake()
