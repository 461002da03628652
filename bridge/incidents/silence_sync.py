"""Brings Alertmanager's silences in line with BigPanda's snoozes, as often as either may have changed."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from bridge.delivery.retry_policy import LONGEST_RETRY_AFTER, Again, SetAside, decide
from bridge.domain.alert_state import AlertState
from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError
from bridge.incidents.silence_plan import Silence, Step, Wanted, plan, wanted
from bridge.metrics import Metrics

_LOOK: Final = 15.0
"""Seconds between two looks at Alertmanager when nothing has changed here: it may have lost what we made."""
_IDLE: Final = 300.0
"""The same while nothing is snoozed and nothing of ours is there."""
_log = logging.getLogger(__name__)


class Alertmanager(Protocol):
    """The silences of an Alertmanager."""

    def ours(self) -> list[Silence]:
        """Return those we made, or raise a DeliveryError."""

    def do(self, step: Step, now: float) -> None:
        """Carry a step out, or raise a DeliveryError."""

    def close(self) -> None:
        """Close all connections."""


class Snoozes:
    """Follows the incidents of one receiver, `source`. `owner`: our mark; `sources`: whose alerts may be silenced."""

    def __init__(  # noqa: PLR0913  the parts it is wired to; each is replaced alone in tests
        self,
        alertmanager: Alertmanager,
        told: Callable[[Sequence[str]], Mapping[str, AlertState]],
        metrics: Metrics,
        *,
        owner: str,
        source: str,
        sources: Collection[str] | None,
        chance: Callable[[], float],
    ) -> None:
        self._alertmanager, self._told, self._metrics = alertmanager, told, metrics
        self._owner, self._source, self._sources, self._chance = owner, source, sources, chance
        self._shown: Mapping[str, Wanted] | None = None
        self._refused: Mapping[str, Wanted] = {}
        self._look_at, self._failures, self._said = 0.0, 0, ""

    def close(self) -> None:
        """Close all connections."""
        self._alertmanager.close()

    def turn(
        self, incidents: Sequence[IncidentRecord], now: float, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        """Do what is to be done now. What Alertmanager does not take is tried again later."""
        keys = sorted({key for one in incidents if one.snoozed for key in one.keys})
        alerts = {key: one.alert for key, one in self._told(keys).items()}
        should = wanted(incidents, alerts, now, self._owner, self._sources)
        rests = 0 < self._look_at - now <= LONGEST_RETRY_AFTER
        if rests and (self._failures or should == self._shown):
            return
        try:
            found = self._carry_out(should, now, stopping)
        except DeliveryError as error:
            self._failed(error, now)
        else:
            self._shown, self._failures = should, 0
            self._look_at = now + (_LOOK if should or found else _IDLE)
            self._say("")

    def _carry_out(self, should: Mapping[str, Wanted], now: float, stopping: Callable[[], bool]) -> int:
        """Take the steps; return how many silences of ours there were."""
        ours = self._alertmanager.ours()
        self._refused = {key: one for key, one in self._refused.items() if should.get(key) == one}
        for step in plan(should, ours):
            if stopping():
                break
            if step.wanted is None or self._refused.get(step.key) != step.wanted:
                self._do(step, now)
        return len(ours)

    def _do(self, step: Step, now: float) -> None:
        try:
            self._alertmanager.do(step, now)
        except DeliveryError as error:
            decision = decide(error, events=1, failures=1, now=now, chance=self._chance())
            if not isinstance(decision, SetAside):
                raise
            self._metrics.silence_failures.labels(self._source).inc()
            _log.warning("The silence for %s is not %s: %s", step.key, step.verb, decision.reason)
            if step.wanted is not None:
                self._refused = {**self._refused, step.key: step.wanted}
        else:
            self._metrics.silences.labels(self._source, step.verb).inc()
            _log.info("The silence for %s is %s: %s", step.key, step.verb, step.reason)

    def _failed(self, error: DeliveryError, now: float) -> None:
        self._failures += 1
        self._metrics.silence_failures.labels(self._source).inc()
        decision = decide(error, events=1, failures=self._failures, now=now, chance=self._chance())
        self._look_at = decision.at if isinstance(decision, Again) else now + _LOOK
        self._say(f"Snoozes of {self._source} do not reach Alertmanager now: {error}")

    def _say(self, told: str) -> None:
        """Log what is new; "": all is well."""
        if told and told != self._said:
            _log.warning("%s", told)
        self._said = told
