"""One loop per target: pick, ask, learn, publish, count the outcome.

Every decision is `target`'s; here are the threads that wait, and the lock under which one moment follows another.
One thread sends the target's requests, one at a time. Probes run beside it, so that an endpoint that hangs never
delays a request.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from exporter.collectors.contract import Certificate, Collector, Get, Probe, Response
from exporter.collectors.settings import TargetSettings
from exporter.errors import PollError
from exporter.fetch import tls_probe as certificate
from exporter.fetch.session import Session
from exporter.metrics.families import Family
from exporter.polling import target_state
from exporter.polling.snapshot_store import SnapshotStore
from exporter.polling.snapshots import Snapshot
from exporter.polling.target_state import NextAction

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one target's polling goes. Times are epoch seconds; what is not known is None, never 0."""

    collector: str
    account: str
    success: bool | None
    """True after a whole round of statuses, False when the last status request failed, None before the first ended."""
    last_success: float | None
    """As of when the oldest status that is shown holds."""
    duration: float | None
    """Seconds that the last whole round took."""
    truncated: bool
    series: int
    requests: Mapping[tuple[str, str], int]
    """By endpoint (a template) and outcome (`ok` or a PollError's `reason`)."""
    rate_limit_remaining: float | None
    budget_used_ratio: float
    oldest_value: float | None
    first_poll_ended: bool
    last_error: str
    last_error_at: float | None
    next_poll: float | None
    paused_until: float | None
    paused_reason: str


class Poller:
    """Polls one target in its own threads and holds what is known of it. All methods are safe from any thread.

    `on_change` is called, in one of those threads, after whatever may change the metrics or the health. Until it
    `leads` it asks nobody, and knows what the exporter that leads has stored.
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
        leads: Callable[[], bool] = lambda: True,
        probe: Callable[[Probe, float, float, str | None], Certificate] = certificate.probe,
    ) -> None:
        self.settings = settings
        self.collector = collector
        self._session = session
        self._clock = clock
        self._on_change = on_change
        self._probe = probe
        self._leads = leads
        self._leading = leads()
        self._name = f"{settings.collector} {settings.account}"
        self._record = Snapshot(storage, settings, collector)
        found = self._record.read(clock())
        self._target = self._record.resumed(found, clock()) if self._leading else found
        self._changed = threading.Condition(threading.RLock())
        self._woken = False
        self._stopped = False
        self._action: NextAction | None = None
        self._series = (0, False)
        self._credentials = ""
        self._thread = threading.Thread(target=self._run, name=f"poll {self._name}", daemon=True)

    def stated(self, now: float, form: Callable[[Iterable[Family]], T]) -> T:
        """Return what `form` makes of the metrics, one family at a time: all at once are larger than their page.

        They are cut to `series_limit`; there are none before the first round or past `max_age`.
        """
        expires = self.expires()
        if expires is None or now > expires:
            return form(())
        limited = Limited(self.settings.series_limit)
        try:
            found = form(limited(self.collector.families(self._target.knowledge, now)))
        except Exception as error:  # noqa: BLE001  a collector's mistake must not end the serving
            self._collector_failed("families", error)
            limited, found = Limited(0), form(())
        self._series = (limited.series, limited.cut)
        return found

    def expires(self) -> float | None:
        """Return the epoch second after which `stated` tells nothing by age; None while nothing is known."""
        as_of = self._target.knowledge.as_of
        return None if as_of is None else as_of + self.settings.max_age

    def health(self) -> Health:
        """Return how the polling goes."""
        now, target, action, expires = self._clock(), self._target, self._action, self.expires()
        fresh = expires is not None and now <= expires
        series, cut = self._series if fresh else (0, False)
        return Health(
            collector=self.settings.collector,
            account=self.settings.account,
            success=target.success,
            last_success=target.knowledge.as_of,
            duration=target.duration,
            truncated=target.knowledge.truncated or cut,
            series=series,
            requests=target.requests,
            rate_limit_remaining=target.budget.remaining,
            budget_used_ratio=target.budget.used_ratio(now),
            oldest_value=action.oldest if action else target.knowledge.as_of,
            first_poll_ended=target.polled or fresh,
            last_error=target.last_error,
            last_error_at=target.last_error_at,
            next_poll=action.next_poll if action else None,
            paused_until=target.budget.paused_until(now),
            paused_reason=target.budget.paused_reason(now),
        )

    def start(self) -> None:
        """Start the loop; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the loop, waiting at most `timeout` seconds, and store what is known."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._session.close()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._leading:
            self._record.end(self._target, self._clock())

    def _run(self) -> None:
        self._rest(random.uniform(0.0, min(START_WITHIN, self.settings.poll_interval / 10)))  # noqa: S311  no secret
        while not self._stopped:
            try:
                self._step() if self._leading else self._follow()
            except Exception as error:  # noqa: BLE001  this loop ends only when it is told to
                _log.error("%s: %s", self._name, target_state.unforeseen(error))
                self._rest(AFTER_MISTAKE)

    def _follow(self) -> None:
        """Take what was stored since, then rest; or lead from there, once the exporter that led has ended."""
        leads, now = self._leads(), self._clock()  # in this order: what is read then is the last that was stored
        stored = self._record.news(now)
        if stored:
            known, polled = self._target.knowledge, stored.success is not None
            with self._changed:
                self._target = replace(stored, polled=polled or self._target.polled)
            if stored.knowledge != known:
                self._on_change(self)
        if leads:
            with self._changed:
                self._target, self._leading = self._record.resumed(self._target, now), True
        else:
            self._rest(self._record.rest)

    def _step(self) -> None:
        """Start a probe that is due, send a request that is due, or wait for the next event."""
        if self._record.wait(self._target, self._clock()) <= 0:
            self._record.write(self._target, self._clock())
        self._look_for_credentials()
        action = self._take()
        if action.probe:
            self._probe_beside(action.probe)
        if action.get:
            self._credentials = self._session.credentials()
            self._carry_out(action.get)
        elif not action.probe:
            self._rest(min(action.wait, self._record.wait(self._target, self._clock())))

    def _take(self, *, getting: bool = True) -> NextAction:
        """Decide what to do now and mark it as being done."""
        now = self._clock()
        with self._changed:
            self._woken = self._woken and not getting
            try:
                self._target = target_state.drop_future_state(self.collector, self._target, now)
                action = target_state.next_action(self.collector, self._target, now, getting=getting)
            except Exception as error:  # noqa: BLE001  a collector's mistake must not end the polling
                self._collector_failed("requests", error)
                return NextAction(None, None, AFTER_MISTAKE, None, None)
            for request in (action.get, action.probe):
                self._target = target_state.begin(self._target, request, now) if request else self._target
            self._action = action if action.oldest or not self._action else replace(action, oldest=self._action.oldest)
            return action

    def _probe_beside(self, request: Probe) -> None:
        threading.Thread(target=self._probe_on, args=(request,), name=f"probe {self._name}", daemon=True).start()

    def _probe_on(self, request: Probe | None) -> None:
        """Carry out `request` and then what else is due, having called another thread in when there is more."""
        while request:
            beside = self._take(getting=False).probe
            if beside:
                self._probe_beside(beside)
            self._carry_out(request)
            request = None if self._stopped else self._take(getting=False).probe

    def _carry_out(self, request: Get | Probe) -> None:
        told = self._told(request)
        with self._changed:
            if self._stopped:
                return
            before, outcome = (
                self._target,
                target_state.update(self.collector, self._target, request, told, self._clock()),
            )
            self._target = outcome.target
            self._woken = True
            self._changed.notify_all()
        if outcome.news:
            _log.log(logging.INFO if outcome.succeeded else logging.WARNING, "%s: %s", self._name, outcome.news)
        if not outcome.succeeded or outcome.target.knowledge is not before.knowledge:
            self._on_change(self)

    def _told(self, request: Get | Probe) -> Response | Certificate | PollError:
        try:
            if isinstance(request, Get):
                return self._session.get(request)
            return self._probe(request, self._clock(), self.settings.timeout, self.settings.ca_file)
        except PollError as error:
            return error
        except Exception as error:  # noqa: BLE001  a request that is never heard of would be busy for ever
            return target_state.unforeseen(error)

    def _look_for_credentials(self) -> None:
        """Ask again what was refused once the credentials are others."""
        if target_state.refused(self._target, self._clock()) and self._session.credentials() != self._credentials:
            with self._changed:
                self._target = target_state.credentials_changed(self._target)

    def _rest(self, seconds: float) -> None:
        """Wait until something happened, but not longer than `seconds`."""
        most = min(seconds, CREDENTIALS_EVERY) if target_state.refused(self._target, self._clock()) else seconds
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._stopped, max(most, SHORTEST_REST))

    def _collector_failed(self, where: str, error: Exception) -> None:
        """Count and tell that the collector raised in `where`, once for as long as it is the same."""
        said = f"{where}: {target_state.unforeseen(error)}"
        with self._changed:
            is_new, self._target = (
                said != self._target.last_error,
                target_state.collector_failed(self._target, where, said, self._clock()),
            )
        if is_new:
            _log.warning("%s: %s", self._name, said)


class Limited:
    """Lets at most `most` samples through, cut from the end; `series` were let through, `cut`: not all of them."""

    def __init__(self, most: int) -> None:
        self._most, self.series, self.cut = most, 0, False

    def __call__(self, families: Iterable[Family]) -> Iterator[Family]:
        """Yield every family with the samples that are left to it."""
        for family in families:
            samples = family.samples[: self._most - self.series]
            self.series += len(samples)
            self.cut = self.cut or len(samples) < len(family.samples)
            yield Family(family.metric, samples)
