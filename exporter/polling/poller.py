"""One loop per target: pick a request, send it, update what is known, announce the change.

Every decision is `target_state`'s; here are the threads that wait, and the lock under which one moment follows another.
One thread sends the target's requests, one at a time. Probes run beside it, so that an endpoint that hangs never
delays a request.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from exporter.collectors.contract import Certificate, Collector, Discovering, Get, Probe, Response
from exporter.collectors.settings import TargetSettings
from exporter.errors import PollError
from exporter.fetch import tls_probe
from exporter.fetch.session import Session
from exporter.metrics.families import Family, Limited, Metric
from exporter.metrics.health import Endpoint, Figure, Health
from exporter.polling import target_health, target_state
from exporter.polling.snapshot_store import SnapshotStore
from exporter.polling.snapshots import Snapshot, followed
from exporter.polling.target_state import NextAction, Target

CREDENTIALS_EVERY: Final = 2.0
"""Seconds between two looks for new credentials while the vendor refuses the old ones."""
START_WITHIN: Final = 1.0
"""Seconds over which the targets' first requests are spread."""
SHORTEST_REST: Final = 0.001
"""Seconds; less is rounding."""
AFTER_MISTAKE: Final = 5.0
"""Seconds until a collector that could not say what it wants is asked again."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Poller:
    """Polls one target in its own threads and holds what is known of it. All methods are safe from any thread.

    `on_change` is called, in one of those threads, after whatever may change the metrics. While it does not lead
    (`leads`) it sends nothing, and knows what the leader has stored. `earlier` is what was known before a reload.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the wiring names each part once
        self,
        settings: TargetSettings,
        collector: Collector[Any],
        session: Session,
        clock: Callable[[], float],
        on_change: Callable[["Poller"], None],
        storage: SnapshotStore | None = None,
        *,
        earlier: Target[Any] | None = None,
        leads: Callable[[], bool] = lambda: True,
        probe: Callable[[Probe, float, float, str | None], Certificate] = tls_probe.probe,
    ) -> None:
        self.settings = settings
        self.identity = (settings.collector, settings.account)
        self.metrics: Sequence[Metric] = collector.metrics
        self.discovers = isinstance(collector, Discovering)
        """Whether the collector knows what others may probe."""
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
        self._changed = threading.Condition(threading.RLock())
        self._woken = False
        self._stopped = False
        self._action: NextAction | None = None
        self._shown = (0, False)
        self._failing = ""
        self._credentials = ""
        self._thread = threading.Thread(target=self._run, name=f"poll {self._name}", daemon=True)

    def rendered(self, now: float, form: Callable[[Iterable[Family]], T]) -> T:
        """Return what `form` makes of the metrics, one family at a time: all at once are larger than their page.

        They are cut to `series_limit`; there are none while nothing is known or past `max_age`.
        """
        expires = self.expires()
        if expires is None or now > expires:
            return form(())
        limited = Limited(self.settings.series_limit)
        try:
            found = form(limited(self._collector.families(self.target.knowledge, now)))
        except Exception as error:  # noqa: BLE001  a collector's mistake must not end the serving
            self._collector_failed("families", error)
            limited, found = Limited(0), form(())
        self._shown = (limited.series, limited.cut)
        return found

    def figures(self) -> list[Figure]:
        """Return what the vendor says now; nothing past `max_age`."""
        return self._told("figures", self._collector.figures) or []

    def endpoints(self) -> list[Endpoint] | None:
        """Return what others may probe; None while it is not known, which past `max_age` it is not any more."""
        if not isinstance(self._collector, Discovering):
            return None
        return self._told("endpoints", self._collector.endpoints)

    def _told(self, where: str, tell: Callable[[Any, float], Iterable[T]]) -> list[T] | None:
        """Return what the collector tells; None while nothing is known, past `max_age`, or when it makes a mistake."""
        now, expires = self._clock(), self.expires()
        if expires is None or now > expires:
            return None
        try:
            return list(tell(self.target.knowledge, now))
        except Exception as error:  # noqa: BLE001  see above
            self._collector_failed(where, error)
            return None

    def expires(self) -> float | None:
        """Return the epoch second after which `rendered` shows nothing by age; None while nothing is known."""
        as_of = self.target.knowledge.as_of
        return None if as_of is None else as_of + self.settings.max_age

    def health(self) -> Health:
        """Return how the polling goes."""
        return target_health.health(self.settings, self.target, self._action, self._shown, self._clock())

    def start(self) -> None:
        """Start the loop; returns at once."""
        self._thread.start()

    def wake(self) -> None:
        """Let the loop look at once whether it leads."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def stop(self, timeout: float) -> None:
        """End the loop, waiting at most `timeout` seconds, and store what is known."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._session.close()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._leading:
            self._snapshot.end(self.target, self._clock())

    def _run(self) -> None:
        self._rest(random.uniform(0.0, min(START_WITHIN, self.settings.poll_interval / 10)))  # noqa: S311  no secret
        while not self._stopped:
            try:
                self._step() if self._leading else self._follow()
                # Why the target as a whole fails, once per change, where no request's failure has said so already.
                reason = target_health.failing(self.target, self.settings.max_age, self._clock())
                said = {"", self._failing, *(each.message for each in self.target.backoffs.values())}
                if reason not in said:
                    _log.warning("%s: %s", self._name, reason)
                self._failing = reason
            except Exception as error:  # noqa: BLE001  this loop ends only when the program stops
                _log.error("%s: %s", self._name, target_state.unforeseen(error))
                self._rest(AFTER_MISTAKE)

    def _follow(self) -> None:
        """Take what was stored since, then rest; or lead from there, once the exporter that led has ended."""
        with self._changed:
            self._woken = False
        leads, now = self._leads(), self._clock()  # in this order: what is read then is the last that was stored
        stored = self._snapshot.news(now)
        if stored:
            with self._changed:
                mine = self.target
                self.target = followed(mine, stored)
            if self.target.knowledge != mine.knowledge:
                self._on_change(self)
        if leads:
            with self._changed:
                self.target, self._leading = self._snapshot.resumed(self.target, now), True
        else:
            self._rest(self._snapshot.rest)

    def _step(self) -> None:
        """Start a probe that is due, send a request that is due, or wait for the next event."""
        if self._snapshot.wait(self.target, self._clock()) <= 0:
            self._snapshot.write(self.target, self._clock())
        if not self._leads():  # asked after what may have taken long, right before anything is sent
            self._leading, self._action = False, None
            return
        if target_state.refused(self.target, self._clock()) and self._session.credentials() != self._credentials:
            with self._changed:
                self.target = target_state.credentials_changed(self.target)
        action = self._next()
        if action.probe:
            self._probe_beside(action.probe)
        if action.get:
            self._credentials = self._session.credentials()
            self._carry_out(action.get)
        elif not action.probe:
            self._rest(min(action.wait, self._snapshot.wait(self.target, self._clock())))

    def _next(self, *, getting: bool = True) -> NextAction:
        """Decide what to do now and note that it is under way."""
        now = self._clock()
        with self._changed:
            self._woken = self._woken and not getting
            try:
                self.target = target_state.drop_future_state(self._collector, self.target, now)
                action = target_state.next_action(self._collector, self.target, now, getting=getting)
            except Exception as error:  # noqa: BLE001  a collector's mistake must not end the polling
                self._collector_failed("requests", error)
                return NextAction(None, None, AFTER_MISTAKE, None, None)
            for request in (action.get, action.probe):
                self.target = target_state.begin(self.target, request, now) if request else self.target
            # A short wait looks at no request: the oldest value stays the one that was found last.
            self._action = action if action.oldest or not self._action else replace(action, oldest=self._action.oldest)
            return action

    def _probe_beside(self, first: Probe) -> None:
        """Carry out a probe in another thread and then what else is due, with one thread more when there is more."""

        def run() -> None:
            request: Probe | None = first
            while request:
                beside = self._next(getting=False).probe if self._leads() else None
                if beside:
                    self._probe_beside(beside)
                self._carry_out(request)
                request = self._next(getting=False).probe if self._leads() and not self._stopped else None

        threading.Thread(target=run, name=f"probe {self._name}", daemon=True).start()

    def _carry_out(self, request: Get | Probe) -> None:
        result: Response | Certificate | PollError
        try:
            if isinstance(request, Get):
                result = self._session.get(request)
            else:
                result = self._probe(request, self._clock(), self.settings.timeout, self.settings.ca_file)
        except PollError as error:
            result = error
        except Exception as error:  # noqa: BLE001  a request that nothing comes of would be in flight for ever
            result = target_state.unforeseen(error)
        with self._changed:
            if self._stopped:
                return  # what a cut request came to is not the vendor's fault
            before = self.target
            outcome = target_state.update(self._collector, before, request, result, self._clock())
            self.target = outcome.target
            self._woken = True
            self._changed.notify_all()
        if outcome.warning:
            _log.warning("%s: %s", self._name, outcome.warning)
        if outcome.notice:
            _log.info("%s: %s", self._name, outcome.notice)
        if outcome.target.knowledge is not before.knowledge:
            self._on_change(self)

    def _rest(self, seconds: float) -> None:
        """Wait until something happened, but not longer than `seconds`."""
        most = min(seconds, CREDENTIALS_EVERY) if target_state.refused(self.target, self._clock()) else seconds
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._stopped, max(most, SHORTEST_REST))

    def _collector_failed(self, where: str, error: Exception) -> None:
        """Count and log that the collector raised in `where`, once for as long as it is the same."""
        message = f"{where}: {target_state.unforeseen(error)}"
        with self._changed:
            is_new = message != self.target.last_error
            self.target = target_state.collector_failed(self.target, where, message, self._clock())
        if is_new:
            _log.warning("%s: %s", self._name, message)
