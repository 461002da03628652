"""The silence sync: brings Alertmanager's silences in line with BigPanda's snoozes when either may have changed."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bridge.delivery.retry_policy import ceiling, retry_at
from bridge.domain.alert_state import AlertState
from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError, Rejected, Transient
from bridge.incidents.silence_client import SilenceApi
from bridge.incidents.silence_plan import Step, Wanted, plan, wanted
from bridge.metrics import Metrics
from bridge.periodic import CLOCK, Clock
from exporter.toolkit.logs import Conditions

_LOOK: Final = 15.0
"""Seconds between two checks of Alertmanager when nothing has changed here: it may have lost our silences."""
_IDLE: Final = 300.0
"""The same while nothing is snoozed and we have no silences."""
_FIRST_RETRY: Final = 15.0
"""Seconds until a rejected silence is retried. They double with each further rejection, up to a quarter of an hour."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A silence that Alertmanager rejects, with its message in `words`. `retry_at`: by a monotonic clock."""

    wanted: Wanted | None
    words: str
    failures: int
    retry_at: float


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
        self._refused: dict[str, Refusal] = {}
        self._clock, self._look_at, self._failures = clock, clock.steady(), 0
        self._conditions = Conditions(_log)

    @property
    def refused(self) -> Mapping[str, str]:
        """Return why Alertmanager rejects a wanted silence, by alert key."""
        return {key: refusal.words for key, refusal in self._refused.items()}

    def close(self) -> None:
        """Close all connections; what Alertmanager rejects is no longer known."""
        self._metrics.silence_refusals.labels(self._source).set(0)
        self._alertmanager.close()

    def turn(
        self, incidents: Sequence[IncidentRecord], now: float, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        """Execute the steps that are due. Rejected ones are retried later."""
        keys = sorted({key for record in incidents if record.snoozed for key in record.keys})
        alerts = {key: replace(state.alert, labels=state.labels) for key, state in self._states(keys).items()}
        should = wanted(incidents, alerts, now, self._owner, self._sources)
        if self._clock.steady() < self._look_at and (self._failures or should == self._synced):
            return
        try:
            ours = self._alertmanager.ours()
            for step in self._due(plan(should, ours)):
                if stopping():
                    break
                self._do(step, now)
        except DeliveryError as error:
            self._failures += 1
            self._metrics.silence_failures.labels(self._source).inc()
            chance = self._clock.chance()
            pause = retry_at(error, self._failures, 0.0, chance) if isinstance(error, Transient) else _LOOK
            self._look_at = self._clock.steady() + pause
            unavailable = f"Alertmanager unavailable, not silencing snoozes of {self._source}: {error}"
            self._conditions.report("alertmanager", unavailable)
        else:
            self._synced, self._failures = should, 0
            self._look_at = self._clock.steady() + (_LOOK if should or ours else _IDLE)
            self._conditions.report("alertmanager", "")
        self._metrics.silence_refusals.labels(self._source).set(len(self._refused))

    def _due(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps to take now; a rejected one waits for its retry as long as it stays the same."""
        due = list(steps)
        for key in self._refused.keys() - {step.key for step in due}:
            # The step is no longer needed: the silence is no longer wanted, or another replica has created it.
            self._forget(key)
        for step in due:
            refusal = self._refused.get(step.key)
            if refusal is not None and refusal.wanted != step.wanted:
                self._forget(step.key)
            elif refusal is not None and self._clock.steady() < refusal.retry_at:
                continue
            yield step

    def _do(self, step: Step, now: float) -> None:
        try:
            self._alertmanager.do(step, now)
        except DeliveryError as error:
            if not isinstance(error, Rejected):
                raise
            self._metrics.silence_failures.labels(self._source).inc()
            before = self._refused.get(step.key)
            failures = before.failures + 1 if before else 1
            retry = self._clock.steady() + _FIRST_RETRY * ceiling(failures)
            self._refused[step.key] = Refusal(step.wanted, str(error), failures, retry)
            self._conditions.report(step.key, f"Silence for {step.key} rejected, not {step.verb}: {error}")
        else:
            self._forget(step.key)
            self._metrics.silences.labels(self._source, step.verb).inc()
            _log.info("Silence for %s %s: %s", step.key, step.verb, step.reason)

    def _forget(self, key: str) -> None:
        if self._refused.pop(key, None):
            self._conditions.report(key, "")
