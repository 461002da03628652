"""The silence sync: brings Alertmanager's silences in line with BigPanda's snoozes when either may have changed."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bridge.delivery.retry_policy import ceiling, retry_at
from bridge.domain.alert_state import AlertState
from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError, Rejected, Transient
from bridge.incidents.silence_client import SilenceApi
from bridge.incidents.silence_plan import Step, Wanted, plan, wanted
from bridge.metrics import Metrics
from exporter.toolkit.logs import Conditions
from exporter.toolkit.periodic import CLOCK, Clock

_LOOK: Final = 15.0
"""Seconds between two checks of Alertmanager when nothing has changed here: it may have lost our silences.

They double with each check in which it rejects one, up to a quarter of an hour.
"""
_IDLE: Final = 300.0
"""The same while nothing is snoozed and we have no silences."""
_log = logging.getLogger(__name__)


class SilenceSync:
    """Syncs the silences of one receiver, `source`. `owner`: our owner tag; `sources`: whose alerts may be silenced."""

    def __init__(  # noqa: PLR0913  its dependencies; tests replace each separately
        self,
        alertmanager: SilenceApi,
        states: Callable[[Sequence[str]], Mapping[str, AlertState]],
        metrics: Metrics,
        *,
        owner: str,
        source: str,
        sources: Collection[str] | None,
        clock: Clock = CLOCK,
    ) -> None:
        self._alertmanager, self._states, self._metrics = alertmanager, states, metrics
        self._owner, self._source, self._sources = owner, source, sources
        self._synced: Mapping[str, Wanted] | None = None
        self.refused: Mapping[str, str] = {}
        """Why a wanted silence is missing in Alertmanager, by alert key."""
        self._clock, self._look_at, self._failures, self._rejections = clock, clock.steady(), 0, 0
        self._conditions = Conditions(_log)

    def close(self) -> None:
        """Close all connections; what Alertmanager rejects is no longer known."""
        self._metrics.silence_refusals.labels(self._source).set(0)
        self._alertmanager.close()

    def turn(
        self, incidents: Sequence[IncidentRecord], now: float, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        """Bring Alertmanager in line, if it is time. What it rejects is tried again the next time."""
        keys = sorted({key for record in incidents if record.snoozed for key in record.keys})
        alerts = {key: replace(state.alert, labels=state.labels) for key, state in self._states(keys).items()}
        should = wanted(incidents, alerts, now, self._owner, self._sources)
        if self._clock.steady() < self._look_at and (self._failures or should == self._synced):
            return
        try:
            ours, refused = self._alertmanager.ours(), {}
            for step in plan(should, ours):
                if stopping():
                    break
                if reason := self._do(step, now):
                    refused[step.key] = reason
        except DeliveryError as error:
            self._failures += 1
            self._metrics.silence_failures.labels(self._source).inc()
            rejected = {key: why for key, why in self.refused.items() if key in should}
            self.refused = rejected | dict.fromkeys(should.keys() - (self._synced or {}).keys(), str(error))
            chance = self._clock.chance()
            pause = retry_at(error, self._failures, 0.0, chance) if isinstance(error, Transient) else _LOOK
            self._look_at = self._clock.steady() + pause
            unavailable = f"Alertmanager unavailable, not silencing snoozes of {self._source}: {error}"
            self._conditions.report("alertmanager", unavailable)
        else:
            for key in self.refused.keys() - refused.keys():
                self._conditions.report(key, "")
            self.refused, self._rejections = refused, self._rejections + 1 if refused else 0
            self._synced, self._failures = should, 0
            self._look_at = self._clock.steady() + (_LOOK * ceiling(self._rejections) if should or ours else _IDLE)
            self._conditions.report("alertmanager", "")
            self._metrics.silence_refusals.labels(self._source).set(len(refused))

    def _do(self, step: Step, now: float) -> str:
        """Execute a step; return why Alertmanager rejects it, "" if it does not. Raises DeliveryError otherwise."""
        try:
            self._alertmanager.do(step, now)
        except Rejected as error:
            self._metrics.silence_failures.labels(self._source).inc()
            self._conditions.report(step.key, f"Silence for {step.key} rejected, not {step.verb}: {error}")
            return str(error)
        self._metrics.silences.labels(self._source, step.verb).inc()
        _log.info("Silence for %s %s: %s", step.key, step.verb, step.reason)
        return ""
