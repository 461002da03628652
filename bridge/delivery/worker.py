"""The delivery loop: sends queued events to BigPanda in batches, within its rate limit, until they are accepted.

`tick` does one thing and returns how long to rest; the decisions are made in `retry_policy`, `poison_events` and
`rate_limiter`. Claims are leases: whatever happens between claim and record, the event is sent again with the same
bytes.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, TypeVar

from bridge.config import BigPanda as Settings
from bridge.config import Config
from bridge.delivery.bigpanda_client import BigPanda, packed
from bridge.delivery.poison_events import Isolation, Refusals
from bridge.delivery.rate_limiter import RateLimiter
from bridge.delivery.relocation import Relocation
from bridge.delivery.retry_policy import LONGEST_RETRY_AFTER, retry_at
from bridge.errors import DeliveryError, Rejected, Stopped, Unavailable
from bridge.metrics import Metrics
from bridge.outbox.outbox import Outbox
from bridge.outbox.queue import ClaimedEvent
from bridge.outbox.status import Circuit
from exporter.toolkit.periodic import CLOCK, Clock, PeriodicThread

_IDLE: Final = 1.0
"""Seconds between checks of an empty queue: a webhook at another replica does not wake this one."""
_LEASES: Final = 6
"""A claim lasts as long as this many request timeouts."""
_TOO_MUCH: Final = 429
"""The status that blames the rate, not the events."""
_STUMBLED: Final = 500
"""BigPanda's status if an event makes it fail; other failures look like an outage at first."""
_PATIENCE: Final = 6
"""Failures in a row, about half a minute, after which those too are blamed on the events."""
_APART: Final = 2.0
"""Seconds between resolving at an old destination and resending to the new one."""
_CLOCK_STEP: Final = 2.0
"""Seconds of drift between wall and monotonic clock that do not count as a step."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Delivery(PeriodicThread):
    """Sends queued events, in one thread: `start`, `wake` when something was queued, `stop`."""

    def __init__(
        self,
        outbox: Outbox,
        config: Config,
        metrics: Metrics,
        *,
        connect: Callable[[Settings], BigPanda] = BigPanda,
        clock: Clock = CLOCK,
    ) -> None:
        self._outbox, self._relocation, self._connect = outbox, Relocation(outbox, connect), connect
        self._restate_at: deque[float] = deque(maxlen=1)
        self._metrics, self._clock = metrics, clock
        self._limiter = RateLimiter(config.bigpanda.events_per_minute)
        self._offset = clock.wall() - clock.steady()
        self._use(config)
        # The start is a change too: an earlier run may have had another configuration.
        self._changes = deque([config])
        self._requests: deque[list[ClaimedEvent]] = deque()
        self._lease_ends = 0.0
        self._pending_writes: deque[Callable[[], object]] = deque()
        super().__init__("delivery", "Delivery", self.tick, at_end=self.close, retry=_IDLE)

    def _use(self, config: Config) -> None:
        self._config, self._settings, self._name = config, config.bigpanda, config.destination
        self._destination = self._connect(self._settings)
        if self._limiter.per_minute != self._settings.events_per_minute:
            self._limiter = RateLimiter(self._settings.events_per_minute)
        self._isolation = Isolation(most=self._settings.batch_size, width=self._settings.batch_size)
        self._refusals = Refusals()
        self._bad_token = ""
        self._paused_until = 0.0

    def change(self, config: Config) -> None:
        """Use another configuration from the next request on, with a closed circuit breaker."""
        self._changes.append(config)
        self.wake()

    def tick(self) -> float:
        """Do one thing; return the seconds to rest before the next. Raises Unavailable."""
        try:
            self._flush()
            if self._changes:
                with _taken(self._changes) as config:
                    self._reroute(config)
            elif self._restate_at and self._clock.steady() >= self._restate_at[0]:
                with _taken(self._restate_at):
                    self._relocation.restate(self._config, self._clock.wall())
            return 0.0 if self._changes else self._deliver()
        except Unavailable:
            raise
        except Exception:
            # The outcome of events in flight is unknown: they are due again when their lease ends.
            self._pending_writes.clear()
            self._requests.clear()
            raise

    def _deliver(self) -> float:
        now, steady = self._clock.wall(), self._clock.steady()
        step, self._offset = now - steady - self._offset, now - steady
        if stepped := abs(step) > _CLOCK_STEP:
            _log.warning("System clock stepped %s by %.0f seconds", "back" if step < 0 else "ahead", abs(step))
        if rest := self._limiter.wait(steady, len(self._requests[0]) if self._requests else None):
            return rest
        circuit = self._outbox.status.circuit(self._name)
        if circuit.up:
            self._up(circuit)  # also for a replica that has had no event since another one found BigPanda available
        rotated = bool(self._bad_token) and self._bad_token != self._settings.token.read()
        # By another replica's clock the stored pause may be over: without ours, two would take turns without any.
        rest = 0.0 if circuit.up else max(closed_for(circuit, now), self._paused_until - steady)
        # A pause by the former clock would end late; one for a bad token ends with it.
        if rest > 0 and not (stepped or rotated):
            self._metrics.destination_up.set(0)
            self._give_back()
            return min(rest, _IDLE) if self._bad_token else rest
        if steady + self._settings.timeout > self._lease_ends:
            self._give_back()
        if not self._requests and (rest := self._claim(now, steady, probe=not circuit.up and self._refusals.alike)):
            return rest
        self._attempt(self._requests.popleft(), circuit)
        return 0.0

    def _claim(self, now: float, steady: float, *, probe: bool) -> float:
        """Claim the next requests; without any, return the seconds to rest."""
        due = self._outbox.queue.next_due(now)
        if due is None or due > now:
            return _IDLE if due is None else min(_IDLE, due - now)
        lease = self._settings.timeout * _LEASES
        most = min(self._isolation.width, self._limiter.allowance())
        # Events that failed or were rejected by themselves say less than others.
        avoid = self._isolation.failed_alone.union(self._refusals.refused_alone)
        claimed = self._outbox.queue.claim(most, now, lease, avoid=avoid, probe=probe)
        self._lease_ends = steady + lease
        # A requeued dead letter is judged anew.
        self._refusals = self._refusals.settled(one.id for one in claimed if one.attempts == 1)
        poison = [one for one in claimed if self._isolation.is_poison(one.id)]
        self._requests.extend(packed(one for one in claimed if one not in poison))
        self._requests.extend([one] for one in poison)
        return 0.0 if self._requests else _IDLE

    def _attempt(self, request: list[ClaimedEvent], circuit: Circuit) -> None:
        began = self._clock.steady()
        try:
            answer = self._destination.send([one.body for one in request], request[0].app_key)
        except Rejected as error:
            self._rejected(request, str(error), circuit)
        except DeliveryError as error:
            self._failed(request, error, circuit)
        else:
            now, name, ids = self._clock.wall(), self._name, [one.id for one in request]
            self._pending_writes.append(lambda: self._outbox.queue.record(request, answer, destination=name, now=now))
            self._metrics.deliveries.labels(answer).inc(len(request))
            for one in request:
                self._metrics.latency.observe(max(0.0, now - one.accepted_at))
            self._isolation, self._refusals = self._isolation.passed(ids), self._refusals.accepted(ids)
            self._up(circuit)
        finally:
            self._limiter.sent(len(request), began, self._clock.steady())
        self._flush()

    def _rejected(self, request: list[ClaimedEvent], reason: str, circuit: Circuit) -> None:
        """Split a rejected request; make a single event a dead letter, unless the destination is at fault."""
        now, claimed, half = self._clock.wall(), request[0], len(request) // 2
        if half:
            # One of them spoils the request: send its halves separately.
            self._refusals = self._refusals.split([one.id for one in request])
            self._requests.extendleft((request[half:], request[:half]))
            self._up(circuit)
            return
        self._refusals = self._refusals.refused(claimed.id, claimed.key, reason)
        if self._refusals.blame_destination(claimed.id, others=bool(self._requests)):
            alike = list(self._refusals.refused_alone)
            self._pending_writes.append(lambda: self._outbox.queue.revive(alike))
            self._failed(request, Stopped(f"every event is rejected: {reason}"), circuit)
            return
        _log.warning("Dead letter: %s event of %s: %s", claimed.status, claimed.key, reason)
        self._pending_writes.append(lambda: self._outbox.queue.bury(claimed, reason, now))
        self._metrics.deliveries.labels("rejected").inc()
        self._isolation = self._isolation.passed([claimed.id])
        self._refusals = self._refusals.settled([claimed.id])
        self._up(circuit)

    def _failed(self, request: list[ClaimedEvent], error: DeliveryError, circuit: Circuit) -> None:
        """Send a request that was neither accepted nor rejected again, when the destination may take it."""
        now, reason, stopped = self._clock.wall(), str(error), isinstance(error, Stopped)
        # A poison event waits alone; otherwise all events wait for the destination.
        alone = self._isolation.is_poison(request[0].id)
        failures = request[0].attempts if alone else circuit.failures + 1
        at = retry_at(error, failures, now, self._clock.chance())
        self._pending_writes.append(lambda: self._outbox.queue.postpone(request, at if alone else now, reason))
        self._metrics.deliveries.labels("destination_down" if stopped else "retry").inc(len(request))
        if alone:
            return
        # Too high a rate, or an outage, says nothing about the events that happened to be in flight.
        if error.status != _TOO_MUCH:
            # What looks like bad credentials may be a firewall, which rejects one event: try another next.
            blamed = stopped or error.status == _STUMBLED or failures > _PATIENCE
            self._isolation = self._isolation.failed([one.id for one in request], blamed=blamed)
        self._bad_token = self._settings.token.read() if stopped and self._settings.token.file else ""
        if stopped:
            self._isolation = replace(self._isolation, width=1)
        self._paused_until = self._clock.steady() + at - now
        down = Circuit(up=False, failures=failures, opened_at=now, not_before=at, reason=reason)
        self._metrics.destination_up.set(0)
        level = logging.ERROR if stopped else logging.WARNING
        self.conditions.report("destination", f"BigPanda unavailable, queueing events: {reason}", level)
        self._pending_writes.append(lambda: self._outbox.status.set_destination(self._name, down))

    def _up(self, circuit: Circuit) -> None:
        self._bad_token, self._paused_until = "", 0.0
        self._metrics.destination_up.set(1)
        if not circuit.up:
            self._pending_writes.append(lambda: self._outbox.status.set_destination(self._name, Circuit()))
        self.conditions.report("destination", "")

    def _give_back(self) -> None:
        """Release events that were claimed but not tried."""
        while self._requests:
            with _taken(self._requests) as request:
                self._outbox.queue.release(request)

    def _flush(self) -> None:
        """Write the pending results; if the database is unavailable they are kept for later."""
        while self._pending_writes:
            with _taken(self._pending_writes) as write:
                write()

    def _reroute(self, config: Config) -> None:
        """Use a configuration from now on. What is open by the former one, perhaps of an earlier run, moves."""
        self._give_back()
        self._relocation.leave_others(config, {self._name: self._destination})
        if config is not self._config:
            self._outbox.status.set_destination(config.destination, Circuit())
            self._destination.close()
            self._use(config)
        for one, key, reason in self._outbox.queue.refused():
            self._refusals = self._refusals.refused(one, key, reason)
        # If both names lead to the same BigPanda, a resent event must have a later second.
        self._restate_at.append(self._clock.steady() + _APART)
        if not self._changes:  # otherwise webhooks may be queued already under the app keys of a newer one
            self._relocation.rekey(config, self._destination)

    def close(self) -> None:
        """Close all connections and release claimed events that were not tried."""
        self._destination.close()
        self._give_back()


@contextmanager
def _taken(queue: deque[T]) -> Iterator[T]:
    """Take the first of a queue. If it fails it is given up, but put back if the database is unavailable."""
    first = queue.popleft()
    try:
        yield first
    except Unavailable:
        queue.appendleft(first)
        raise


def closed_for(circuit: Circuit, now: float) -> float:
    """Return the seconds until a destination may be tried again."""
    rest = circuit.not_before - now
    # A decision from the future, or an impossible pause, means that the clock was set back since.
    return rest if circuit.opened_at <= now and 0 < rest <= LONGEST_RETRY_AFTER else 0.0
