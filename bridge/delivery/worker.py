"""The delivery loop: what waits in the outbox goes to BigPanda, paced, in batches, until it is accepted.

`turn` does one thing and says how long to rest; every decision is asked of `retry`, `suspects` and `pace`. Claims are
leases: whatever happens between claim and record, the event is sent again with the same bytes.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import uuid4

from bridge.delivery.bigpanda_client import MOST_BYTES, Answer
from bridge.delivery.poison_events import Suspects
from bridge.delivery.rate_limiter import Pace
from bridge.delivery.retry_policy import LONGEST_RETRY_AFTER, Again, SetAside, Split, Stop, decide
from bridge.errors import DeliveryError, Unavailable
from bridge.metrics import Metrics
from bridge.outbox.database import Database
from bridge.outbox.queue import ClaimedEvent, Queue
from bridge.outbox.status import Circuit, OutboxStatus

_IDLE: Final = 1.0
"""Seconds between looks at an empty outbox: another replica's webhook wakes nobody here."""
_LEASES: Final = 6
"""A claim lasts as long as this many requests that time out."""
_TOO_MUCH: Final = frozenset({425, 429})
"""Answers that blame the pace, not what was sent."""
_STUMBLED: Final = 500
"""What BigPanda answers when something in a request makes it fail; other failures look like an outage at first."""
_PATIENCE: Final = 6
"""Failures in a row, about half a minute, after which even those are tried with other events."""
_log = logging.getLogger(__name__)


class Destination(Protocol):
    """What takes events: BigPanda, or a stand-in for it."""

    def send(self, events: Sequence[str], app_key: str) -> Answer:
        """Send events; raises a DeliveryError."""

    def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where events go, and how fast. `name` is the destination's name in the outbox: its standing outlives us."""

    name: str
    destination: Destination
    events_per_minute: float
    batch_size: int
    timeout: float


class Delivery:
    """Sends what waits, in one thread: `start`, `wake` when something was accepted, `stop`."""

    def __init__(
        self,
        database: Database,
        route: Route,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue, self._status = Queue(database), OutboxStatus(database)
        self._metrics, self._owner = metrics, uuid4().hex
        self._clock, self._chance = clock, chance
        self._suspects = Suspects(most=route.batch_size, width=route.batch_size)
        self._pace = Pace(route.events_per_minute, clock())
        self._use(route)
        self._changed: Route | None = None
        self._work: deque[list[ClaimedEvent]] = deque()
        self._lease_ends = 0.0
        self._owed: deque[Callable[[], object]] = deque()
        self._awake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self.run, name="delivery", daemon=True)
        self._told = ""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once: something was accepted."""
        self._awake.set()

    def stop(self, patience: float = 3.0) -> None:
        """Stop after the request under way, or after `patience` seconds without it: its lease will end."""
        self._stopping.set()
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def change(self, route: Route) -> None:
        """Send by another route from the next request on; what stood in the way of the old one is forgotten."""
        self._changed = route
        self.wake()

    def run(self) -> None:
        """Take turns until stopped."""
        while not self._stopping.is_set():
            rest = self._guarded_turn()
            if rest > 0:
                self._awake.wait(min(rest, _IDLE))
                self._awake.clear()
        self._route.destination.close()
        try:
            self._give_back()
        except Unavailable:
            _log.warning("Could not give back what was claimed; it is due again when its lease ends")

    def _guarded_turn(self) -> float:
        try:
            return self.turn()
        except Exception:  # noqa: BLE001  the loop must outlive whatever it did not foresee
            _log.exception("Delivery failed unexpectedly; what was claimed is due again when its lease ends")
            self._owed.clear()
            self._work.clear()
            return _IDLE

    def turn(self) -> float:
        """Do one thing; return the seconds to rest before the next turn."""
        try:
            self._settle()
            self._reroute()
            return self._turn()
        except Unavailable as error:
            self._tell(logging.WARNING, f"The database is not available, events wait: {error}")
            return _IDLE

    def _turn(self) -> float:
        now = self._clock()
        if rest := self._pace.wait(now, len(self._work[0]) if self._work else None):
            return rest
        circuit = self._status.circuit(self._route.name)
        if rest := closed_for(circuit, now):
            self._metrics.destination_up.set(0)
            self._give_back()
            return rest
        if now + self._route.timeout > self._lease_ends:
            self._give_back()
        if not self._work and (rest := self._claim(now)):
            return rest
        self._attempt(self._work.popleft(), circuit)
        return 0.0

    def _claim(self, now: float) -> float:
        """Claim the next requests; without any, return the seconds to rest."""
        due = self._queue.next_due(now)
        if due is None or due > now:
            return _IDLE if due is None else min(_IDLE, due - now)
        lease = self._route.timeout * _LEASES
        allowance = self._pace.allowance()
        claimed = {one.id: one for one in self._queue.claim(self._suspects.wanted(allowance), self._owner, now, lease)}
        requests, left = self._suspects.arrange(list(claimed), allowance)
        if left:
            self._queue.release([claimed[one] for one in left])
        self._lease_ends = now + lease
        for request in requests:
            self._work.extend(packed([claimed[one] for one in request]))
        return 0.0 if self._work else _IDLE

    def _attempt(self, request: list[ClaimedEvent], circuit: Circuit) -> None:
        began = self._clock()
        try:
            answer = self._route.destination.send([one.body for one in request], request[0].app_key)
        except DeliveryError as error:
            self._pace.sent(len(request), began, self._clock())
            self._refused(request, error, circuit)
        else:
            self._pace.sent(len(request), began, self._clock())
            self._accepted(request, answer, circuit)
        self._settle()

    def _accepted(self, request: list[ClaimedEvent], answer: Answer, circuit: Circuit) -> None:
        now = self._clock()
        record = self._queue.record
        if answer is Answer.DUPLICATE:
            self._owed.append(lambda: record(duplicate=request, now=now))
        else:
            self._owed.append(lambda: record(accepted=request, now=now))
        self._metrics.deliveries.labels(answer.value).inc(len(request))
        for one in request:
            self._metrics.latency.observe(max(0.0, now - one.accepted_at))
        self._suspects = self._suspects.passed(_ids(request))
        self._open(circuit)

    def _refused(self, request: list[ClaimedEvent], error: DeliveryError, circuit: Circuit) -> None:
        now, first = self._clock(), request[0]
        apart = len(request) == 1 and self._suspects.proven(first.id)
        failures = first.attempts if apart else circuit.failures + 1
        match decide(error, events=len(request), failures=failures, now=now, chance=self._chance()):
            case Split():
                self._work.extendleft((request[len(request) // 2 :], request[: len(request) // 2]))
                self._open(circuit)
            case SetAside(reason):
                self._bury(first, reason, now)
                self._open(circuit)
            case Again(at) if apart:
                self._put_off(request, at, error, "retry")
            case Again(at):
                if error.status not in _TOO_MUCH:
                    blamed = error.status == _STUMBLED or failures > _PATIENCE
                    self._suspects = self._suspects.failed(_ids(request), blamed=blamed)
                self._put_off(request, now, error, "retry")
                self._shut(Circuit(up=False, failures=failures, not_before=at, reason=str(error)), logging.WARNING)
            case Stop(at):
                self._suspects = replace(self._suspects, width=1)
                self._put_off(request, now, error, "destination_down")
                self._shut(Circuit(up=False, failures=failures, not_before=at, reason=str(error)), logging.ERROR)

    def _bury(self, claimed: ClaimedEvent, reason: str, now: float) -> None:
        _log.warning("Set aside %s event of %s: %s", claimed.status, claimed.key, reason)
        self._owed.append(lambda: self._queue.bury(claimed, reason, now))
        self._metrics.deliveries.labels("rejected").inc()
        self._suspects = self._suspects.passed([claimed.id])

    def _put_off(self, request: list[ClaimedEvent], not_before: float, error: DeliveryError, outcome: str) -> None:
        self._owed.append(lambda: self._queue.postpone(request, not_before, str(error)))
        self._metrics.deliveries.labels(outcome).inc(len(request))

    def _shut(self, circuit: Circuit, level: int) -> None:
        self._metrics.destination_up.set(0)
        self._tell(level, f"BigPanda does not take events, they wait: {circuit.reason}")
        self._owed.append(lambda: self._status.set_circuit(self._route.name, circuit))
        self._owed.append(self._give_back)

    def _open(self, circuit: Circuit) -> None:
        self._metrics.destination_up.set(1)
        if not circuit.up:
            self._owed.append(lambda: self._status.set_circuit(self._route.name, Circuit()))
        if self._told:
            self._told = ""
            _log.info("Events are delivered again")

    def _give_back(self) -> None:
        """Release what was claimed and not tried."""
        while self._work:
            self._queue.release(self._work[0])
            self._work.popleft()

    def _settle(self) -> None:
        """Write down what happened; it is kept and written later when the database cannot be used now."""
        while self._owed:
            self._owed[0]()
            self._owed.popleft()

    def _reroute(self) -> None:
        route, self._changed = self._changed, None
        if route is None:
            return
        self._give_back()
        self._route.destination.close()
        self._use(route)
        self._status.set_circuit(route.name, Circuit())

    def _use(self, route: Route) -> None:
        self._route = route
        if self._pace.per_minute != route.events_per_minute:
            self._pace = Pace(route.events_per_minute, self._clock())
        self._suspects = Suspects(most=route.batch_size, width=route.batch_size)

    def _tell(self, level: int, words: str) -> None:
        """Log a state once, not at every turn."""
        if words != self._told:
            self._told = words
            _log.log(level, "%s", words)


def closed_for(circuit: Circuit, now: float) -> float:
    """Return the seconds for which a destination is left alone; a time that no decision sets means a changed clock."""
    rest = circuit.not_before - now
    return rest if 0 < rest <= LONGEST_RETRY_AFTER else 0.0


def packed(events: Iterable[ClaimedEvent], most: int = MOST_BYTES) -> list[list[ClaimedEvent]]:
    """Return requests of at most `most` bytes, or of one event that is larger by itself."""
    requests: list[list[ClaimedEvent]] = []
    room = 0
    for event in events:
        weight = len(event.body.encode()) + 1
        if not requests or weight > room:
            requests.append([])
            room = most
        requests[-1].append(event)
        room -= weight
    return requests


def _ids(request: Iterable[ClaimedEvent]) -> list[int]:
    return [one.id for one in request]
