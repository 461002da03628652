"""One loop per target: pick a request, send it, update the target's state, announce the change.

All decisions are made in `target_state`; this module has the threads that wait and the lock that serialises updates.
One thread sends the target's requests, one at a time. Probes run beside it, so that an endpoint that hangs never
delays a request.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, TypeVar

from exporter.collectors.contract import (
    Certificate,
    Collector,
    Discovering,
    Endpoint,
    Figure,
    Get,
    Probe,
    Request,
    Response,
)
from exporter.collectors.settings import TargetSettings
from exporter.fetch import tls_probe
from exporter.fetch.session import Session
from exporter.metrics.families import Family, Limited
from exporter.metrics.health import Health
from exporter.polling import target_health, target_state
from exporter.polling.snapshots import Place, Snapshot, followed
from exporter.polling.target_state import NextAction, Target
from exporter.toolkit.http_errors import HttpError

CREDENTIALS_EVERY: Final = 2.0
"""Seconds between two checks for new credentials while the vendor rejects the old ones."""
START_WITHIN: Final = 1.0
"""Seconds over which the targets' first requests are spread."""
SHORTEST_REST: Final = 0.001
"""Shortest wait in seconds; less is a rounding error."""
AFTER_MISTAKE: Final = 5.0
"""Seconds until the next try after a collector failed to say which request it wants."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Poller:
    """Polls one target in its own threads and holds its state. All methods are safe from any thread.

    `on_change` is called, in one of those threads, after anything that may change the metrics. While the exporter does
    not lead (`leads`), it sends nothing and follows the leader's snapshots. `earlier`: the state before a reload.
    """

    def __init__(  # noqa: PLR0913, PLR0917  called once, by the wiring
        self,
        settings: TargetSettings,
        collector: Collector,
        session: Session,
        clock: Callable[[], float],
        on_change: Callable[["Poller"], None],
        storage: Place = None,
        *,
        earlier: Target | None = None,
        leads: Callable[[], bool] = lambda: True,
        probe: Callable[[Probe, float, float, str | None], Certificate] = tls_probe.probe,
    ) -> None:
        self.settings = settings
        self.identity = (settings.collector, settings.account)
        self.discovers = isinstance(collector, Discovering)
        self._collector = collector
        self._session = session
        self._clock = clock
        self._on_change = on_change
        self._probe = probe
        self._leads = leads
        self._leading = leads()
        self._name = f"{settings.collector} {settings.account}"
        self._snapshot = Snapshot(storage, settings, collector)
        if earlier:
            self.target = target_state.carried_over(earlier, settings.requests_per_minute)
        else:
            found = self._snapshot.read(clock())
            self.target = self._snapshot.resumed(found, clock()) if self._leading else found
        self._updating = threading.RLock()
        self._event = threading.Event()
        """Something happened that the loop has not considered yet."""
        self._stopped = False
        self._action: NextAction | None = None
        self._shown = (0, False)
        self._failing = ""
        self._credentials = ""
        self._thread = threading.Thread(target=self._run, name=f"poll {self._name}", daemon=True)

    def rendered(self, now: float, form: Callable[[Iterable[Family]], T]) -> T:
        """Return the result of `form` for the metrics, one family at a time: all at once are larger than their page.

        They are cut to `series_limit`. There are none while nothing is known, or past `max_age`.
        """
        limited = Limited(self.settings.series_limit)
        found = self._query("families", now, lambda known: form(limited(self._collector.families(known, now))))
        self._shown = (0, False) if found is None else (limited.series, limited.cut)
        return form(()) if found is None else found

    def figures(self) -> list[Figure]:
        """Return the summary of the vendor's data; nothing past `max_age`."""
        now = self._clock()
        return self._query("figures", now, lambda known: list(self._collector.figures(known, now))) or []

    def endpoints(self) -> list[Endpoint] | None:
        """Return the endpoints for service discovery; None while they are not known, or past `max_age`."""
        collector, now = self._collector, self._clock()
        if not isinstance(collector, Discovering):
            return None
        return self._query("endpoints", now, lambda known: list(collector.endpoints(known, now)))

    def _query(self, where: str, now: float, query: Callable[[Any], T]) -> T | None:
        """Return the collector's answer; None while nothing is known, past `max_age`, or if the collector raises."""
        if not self.shows(now):
            return None
        try:
            return query(self.target.knowledge)
        except Exception as error:  # noqa: BLE001  a collector's mistake must not end the serving
            self._collector_failed(where, error)
            return None

    def shows(self, now: float) -> bool:
        """Return whether something is known that is not too old to show."""
        return self.settings.shows(self.target.knowledge.as_of, now)

    def health(self) -> Health:
        """Return the health of the polling."""
        return target_health.health(self.settings, self.target, self._action, self._shown, self._clock())

    def start(self) -> None:
        """Start the loop; returns at once."""
        self._thread.start()

    def wake(self) -> None:
        """Let the loop check now whether it leads."""
        self._event.set()

    def stop(self, timeout: float) -> None:
        """Stop the loop, waiting at most `timeout` seconds, and store the state."""
        self._stopped = True
        self._event.set()
        self._session.close()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._leading:
            settled = replace(self.target.budget, settled=True)
            self._snapshot.write(replace(self.target, budget=settled), self._clock())

    def _run(self) -> None:
        self._rest(random.uniform(0.0, min(START_WITHIN, self.settings.poll_interval / 10)))  # noqa: S311  no secret
        while not self._stopped:
            try:
                self._step() if self._leading else self._follow()
                # Log why the target as a whole fails, once per change, unless a failure was logged for it already.
                reason = target_health.failing(self.target, self.settings.max_age, self._clock())
                messages = (each.message for each in self.target.backoffs.values())
                if reason not in {"", self._failing, self.target.last_error, *messages}:
                    _log.warning("%s: %s", self._name, reason)
                self._failing = reason
            except Exception as error:  # noqa: BLE001  the loop must go on until the program stops
                _log.error("%s: %s", self._name, target_state.failure(error))
                self._rest(AFTER_MISTAKE)

    def _follow(self) -> None:
        """Take over the leader's latest snapshot, then rest; or start leading from it once the leader has gone."""
        self._event.clear()
        leads, now = self._leads(), self._clock()  # in this order: the snapshot read next is then the leader's last
        stored = self._snapshot.news(now)
        with self._updating:
            before = self.target
            mine = target_state.drop_future_state(self._collector, before, now)
            self.target = followed(mine, stored) if stored else mine
        if self.target.knowledge != before.knowledge:
            self._on_change(self)
        if leads:
            with self._updating:
                self.target, self._leading = self._snapshot.resumed(self.target, now), True
        else:
            self._rest(self._snapshot.rest)

    def _step(self) -> None:
        """Start a probe that is due, send a request that is due, or wait for the next event."""
        if self._snapshot.wait(self.target, self._clock()) <= 0:
            self._snapshot.write(self.target, self._clock())
        if not self._leads():  # checked right before sending, because the write may have taken long
            self._leading, self._action = False, None
            return
        if target_state.refused(self.target, self._clock()) and self.settings.credentials() != self._credentials:
            with self._updating:
                self.target = target_state.credentials_changed(self.target, self._clock())
        action = self._next()
        if action.probe:
            self._probe_beside(action.probe)
        if action.get:
            self._credentials = self.settings.credentials()
            self._carry_out(action.get)
        elif not action.probe:
            self._rest(min(action.wait, self._snapshot.wait(self.target, self._clock())))

    def _next(self, *, getting: bool = True) -> NextAction:
        """Decide the next action and record that it has begun."""
        now = self._clock()
        with self._updating:
            if getting:
                self._event.clear()
            try:
                self.target = target_state.drop_future_state(self._collector, self.target, now)
                action = target_state.next_action(self._collector, self.target, now, getting=getting)
            except Exception as error:  # noqa: BLE001  a collector's mistake must not end the polling
                self._collector_failed("requests", error)
                return NextAction(None, None, AFTER_MISTAKE, None, None)
            left = target_state.drop_unwanted(self._collector, self.target, action)
            if left is not self.target:
                self.target, self._action, action = left, None, replace(action, oldest=None)
            for request in (action.get, action.probe):
                self.target = target_state.begin(self.target, request, now) if request else self.target
            # A short wait considers no request, so the oldest value found last still holds.
            self._action = action if action.oldest or not self._action else replace(action, oldest=self._action.oldest)
            return action

    def _probe_beside(self, first: Probe) -> None:
        """Run a probe in another thread and then any others that are due, adding a thread while there are more."""

        def run() -> None:
            request: Probe | None = first
            while request:
                beside = self._next(getting=False).probe if self._leads() else None
                if beside:
                    self._probe_beside(beside)
                self._carry_out(request)
                request = self._next(getting=False).probe if self._leads() and not self._stopped else None

        try:
            threading.Thread(target=run, name=f"probe {self._name}", daemon=True).start()
        except RuntimeError:  # the system allows no more threads: one that waited for one would be in flight for ever
            self._carry_out(first)

    def _carry_out(self, request: Request) -> None:
        result: Response | Certificate | HttpError
        try:
            if isinstance(request, Get):
                result = self._session.get(request)
            else:
                result = self._probe(request, self._clock(), self.settings.timeout, self.settings.ca_file)
        except Exception as error:  # noqa: BLE001  a request that nothing comes of would be in flight for ever
            result = target_state.failure(error)
        with self._updating:
            if self._stopped:
                return  # the failure of an aborted request is not the vendor's fault
            before = self.target
            outcome = target_state.update(self._collector, before, request, result, self._clock())
            self.target = outcome.target
            self._event.set()
        if outcome.warning:
            _log.warning("%s: %s", self._name, outcome.warning)
        if outcome.notice:
            _log.info("%s: %s", self._name, outcome.notice)
        if outcome.target.knowledge is not before.knowledge:
            self._on_change(self)

    def _rest(self, seconds: float) -> None:
        """Wait for an event, at most `seconds`."""
        most = min(seconds, CREDENTIALS_EVERY) if target_state.refused(self.target, self._clock()) else seconds
        if not self._stopped:
            self._event.wait(max(most, SHORTEST_REST))

    def _collector_failed(self, where: str, error: Exception) -> None:
        """Count and log an exception of the collector in `where`, once for as long as it stays the same."""
        message = f"{where}: {target_state.failure(error)}"
        with self._updating:
            is_new = message != self.target.last_error
            self.target = target_state.collector_failed(self.target, where, message, self._clock())
        if is_new:
            _log.warning("%s: %s", self._name, message)
