"""Follow-up of BigPanda's incidents: confirms shares, silences snoozed alerts, resends alerts that outlast theirs.

One thread in one replica per BigPanda receiver. It keeps no state: the work to do follows from the outbox and
Alertmanager, so the next process continues wherever one died.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bridge.delivery.retry_policy import retry_at
from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError, Rejected
from bridge.incidents.callback import CallbackService
from bridge.incidents.silence_client import SilenceApi
from bridge.incidents.silence_sync import SilenceSync
from bridge.metrics import Metrics
from bridge.outbox.incidents import DueCallback
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Role
from bridge.receivers.bigpanda import Settings, Silences
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.periodic import CLOCK, Clock, PeriodicThread

_TICK: Final = 5.0
"""Seconds between two checks of the outbox: a webhook at another replica does not wake this one."""
_LEASE: Final = 20.0
_POINTLESS: Final = 86400.0
"""Seconds after which a share is no longer confirmed: BigPanda has stopped waiting long before."""
_OUTCOMES: Final = {"done": "accepted", "dead": "rejected", "waiting": "retry"}
_log = logging.getLogger(__name__)


class FollowUp(PeriodicThread):
    """Follows the incidents of one receiver: `start`, `wake` after a webhook, `stop`."""

    def __init__(  # noqa: PLR0913  its dependencies; tests replace each separately
        self,
        outbox: Outbox,
        settings: Settings,
        receivers: Mapping[tuple[str, str], ReceiverSettings],
        metrics: Metrics,
        *,
        callbacks: CallbackService | None = None,
        silences: Callable[[Silences, str], SilenceApi] = SilenceApi,
        clock: Clock = CLOCK,
    ) -> None:
        """`receivers`: all, by (receiver, source)."""
        self._outbox, self._settings, self._receivers, self._metrics = outbox, settings, receivers, metrics
        self._callbacks = callbacks or (CallbackService(settings.callback) if settings.callback else None)
        self._clock, self._make_silences = clock, silences
        self._silences: SilenceSync | None = None
        self._source = settings.source
        self._role = Role(outbox.database, f"incidents {settings.source}", _LEASE)
        super().__init__(self._role.name, f"Following incidents of {settings.source}", self.tick, at_end=self.close)
        metrics.expect_incidents(settings.source)

    @property
    def refused_silences(self) -> Mapping[str, str]:
        """Return why a wanted silence is missing in Alertmanager, by alert key."""
        silences = self._silences  # it may go while a page is made
        return silences.refused if silences else {}

    def tick(self) -> float:
        """Do the work that is due; return the seconds until the next check. A no-op if another replica has the role."""
        if not self._role.lead(self._clock.wall()):
            if self._silences:
                self._silences.close()
                self._silences = None
            return _TICK
        incidents = self._outbox.incidents.records(self._source)
        if (silences := self._settings.silences) is not None:
            if self._silences is None:
                # Our owner tag is in the database, which may be unavailable at first.
                owner = f"{self._outbox.status.database_id()}/{self._source}"
                self._silences = SilenceSync(
                    self._make_silences(silences, owner),
                    self._outbox.alerts.states,
                    self._metrics,
                    owner=owner,
                    source=self._source,
                    sources=silences.sources,
                    clock=self._clock,
                )
            self._silences.turn(incidents, self._clock.wall(), lambda: self.stopping)
        if self._callbacks:
            for due in self._outbox.incidents.due_callbacks(self._source, self._clock.wall()):
                if self.stopping or not self._confirm(self._callbacks, due):
                    break
        if self._settings.reopen_after:
            self._resend(incidents)
        return _TICK

    def _confirm(self, callbacks: CallbackService, due: DueCallback) -> bool:
        """Confirm one share; return whether the next may be tried now."""
        now, not_before = self._clock.wall(), 0.0
        state, reason = "dead", "BigPanda no longer waits for it"
        if now - due.asked_at <= _POINTLESS:
            try:
                callbacks.confirm(due.incident)
                state, reason = "done", "accepted"
            except Rejected as error:
                reason = str(error)
                _log.warning("Callback for incident %s rejected: %s", due.incident, error)
            except DeliveryError as error:
                state, reason = "waiting", str(error)
                not_before = retry_at(error, due.attempts + 1, now, self._clock.chance())
        if state != "dead":
            waiting = f"BigPanda's callback service unavailable, shares of {self._source} are queued: {reason}"
            self.conditions.report("callback", waiting if state == "waiting" else "")
        self._metrics.callbacks.labels(self._source, _OUTCOMES[state]).inc()
        self._outbox.incidents.settle_callback(due, state, reason, now=self._clock.wall(), not_before=not_before)
        return state != "waiting"

    def _resend(self, incidents: Sequence[IncidentRecord]) -> None:
        """Resend alerts that have kept firing since their incident was closed manually, long enough ago."""
        now = self._clock.wall()
        elsewhere = {key for record in incidents if record.active for key in record.keys}
        due = {
            key: updated_at
            for record in incidents
            # One closed in the future was closed before the clock was set back.
            if record.closed_at is not None and not 0 <= now - record.closed_at < self._settings.reopen_after
            for key, updated_at in record.closed_manually.items()
            if key not in elsewhere
        }
        resent = (
            receiver.correction(state.alert, state.updated_at, resend=True)
            for key, state in self._outbox.alerts.states(sorted(due)).items()
            if (receiver := self._receivers.get((state.alert.receiver, state.alert.source)))
            and state.open
            and state.updated_at == due[key]
        )
        for alert in self._outbox.correct(resent, now):
            self._metrics.sent_anew.labels(self._source).inc()
            _log.warning("Resent %s: still firing although its incident was closed", alert.key)

    def close(self) -> None:
        """Let another replica take over; close all connections."""
        self._role.close()
        for client in (self._callbacks, self._silences):
            if client is not None:
                client.close()
