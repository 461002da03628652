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
from bridge.domain.alert_state import AlertState
from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError
from bridge.incidents.callback import CallbackService
from bridge.incidents.silence_client import SilenceApi
from bridge.incidents.silence_sync import Alertmanager, Snoozes
from bridge.metrics import Metrics
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.incidents import DueCallback
from bridge.outbox.incidents import Incidents as Records
from bridge.outbox.ingest import Ingest
from bridge.outbox.status import OutboxStatus
from bridge.periodic import Rounds
from bridge.receivers.bigpanda import Settings
from bridge.receivers.settings import ReceiverSettings

_TICK: Final = 5.0
"""Seconds between two looks at the store: another replica's webhook wakes nobody here."""
_LEASE: Final = 20.0
"""Seconds for which one replica alone acts."""
_POINTLESS: Final = 86400.0
"""Seconds after which a share is not confirmed any more: BigPanda has stopped to wait long before."""
_log = logging.getLogger(__name__)


class Callbacks(Protocol):
    """BigPanda's callback service."""

    def confirm(self, incident: str) -> None:
        """Confirm a share, or raise a DeliveryError."""

    def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One BigPanda receiver, and every receiver by (receiver, source)."""

    settings: Settings
    receivers: Mapping[tuple[str, str], ReceiverSettings]


class Incidents:
    """Acts for one receiver: `start`, `hint` when a webhook has come, `stop`."""

    def __init__(  # noqa: PLR0913  the parts it is wired to; each is replaced alone in tests
        self,
        database: Database,
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
        self._records, self._alerts, self._ingest = Records(database), Alerts(database), Ingest(database)
        self._status, self._settings, self._receivers = OutboxStatus(database), settings, followed.receivers
        self._metrics = metrics
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
        self._rounds.guarded(lambda: self._status.yield_role(self._role, self._owner))
        for way in (self._callbacks, self._snoozes):
            if way is not None:
                way.close()

    def turn(self) -> None:
        """Do what is due. Another replica's turn: do nothing. Unavailable when the database cannot be used."""
        if not self._status.lead(self._role, self._owner, self._clock(), _LEASE):
            return
        incidents = self._records.records(self._source)
        if self._settings.silences:
            self._follow().turn(incidents, self._clock(), lambda: self._rounds.ended)
        if self._callbacks:
            self._confirm(self._callbacks)
        if self._settings.reopen_after:
            self._send_anew(incidents)

    def _follow(self) -> Snoozes:
        """Return what follows the snoozes; our mark is in the database, which need not be there at first."""
        if self._snoozes is None:
            owner = f"{self._status.database_id()}/{self._source}"
            silences = self._settings.silences
            self._snoozes = Snoozes(
                self._make_silences(owner),
                self._alerts.states,
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
        for due in self._records.due_callbacks(self._source, self._clock()):
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
        self._records.settle_callback(due, state, reason, now=self._clock(), not_before=not_before)

    def _send_anew(self, incidents: Sequence[IncidentRecord]) -> None:
        """Send once more what still fires as it did when its incident was closed by hand, long enough ago."""
        now = self._clock()
        elsewhere = {key for one in incidents if one.active for key in one.keys}
        due = {
            key: touched
            for one in incidents
            if one.closed_at is not None and now - one.closed_at >= self._settings.reopen_after
            for key, touched in one.closed_manually.items()
            if key not in elsewhere
        }
        for key, known in self._alerts.states(sorted(due)).items():
            receiver = self._receivers.get((known.alert.receiver, known.alert.source))
            if receiver and known.open and known.updated_at == due[key]:
                self._again(known, receiver, now)

    def _again(self, known: AlertState, receiver: ReceiverSettings, now: float) -> None:
        notification = receiver.notification(
            alerts=(known.alert,), resend=True, if_unmodified={known.key: known.updated_at}
        )
        (outcome,) = self._ingest.accept([notification], now)
        if outcome.queued:
            self._metrics.sent_anew.labels(self._source).inc()
            _log.warning("Sent anew, for it still fires though its incident was closed: %s", known.key)
            self._wake()
