"""What one target is at a moment (its knowledge, budget, failures, counts), and what to do next. Pure.

`decide` says what to do, `begin` that it is done, `hear` takes what came of it. The poller does the waiting.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from exporter.collectors.contract import Certificate, Collector, Get, Knowledge, Probe, Reason, Response, Rolling
from exporter.errors import Malformed, PollError, Refused
from exporter.fetch.error_mapping import check
from exporter.polling import scheduler as schedule
from exporter.polling.rate_budget import Budget
from exporter.polling.scheduler import Backoff, Identity, back_off, choose, without_expired

K = TypeVar("K", bound=Knowledge)

PROBES_AT_ONCE: Final = 8
LONGEST_WAIT: Final = 60.0
"""Seconds after which a target looks again, even when it knows of nothing to do."""
SHORT_WAIT: Final = 2.0
"""Seconds; so short a wait for the budget is just waited."""
FORGOTTEN: Final = 2 * 86400.0
"""Seconds; no rotation is slower."""
FUTURE: Final = 60.0
"""Seconds by which clocks may be corrected without anybody noticing."""
FORBIDDEN: Final = 403
_UNREACHED = frozenset({"timeout", "tls"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Generic[K]):
    """One target at a moment. Times are epoch seconds."""

    knowledge: K
    budget: Budget
    busy: frozenset[Identity] = frozenset()
    """What is in flight."""
    probing: int = 0
    backoffs: Mapping[Identity, Backoff] = field(default_factory=dict)
    requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By endpoint and outcome."""
    success: bool | None = None
    told: Mapping[Identity, float] = field(default_factory=dict)
    """When each ask of the rotation was last answered."""
    polled: bool = False
    """A first round ended, well or not."""
    round_began: float | None = None
    duration: float | None = None
    last_error: str = ""
    last_error_at: float | None = None


@dataclass(frozen=True, slots=True)
class NextAction:
    """What to do now, and for how many seconds nothing else is to be done unless something happens."""

    get: Get | None
    probe: Probe | None
    wait: float
    next_poll: float | None
    """When the next request is sent, or the next probe where nothing is requested; epoch seconds, as known now."""
    oldest: float | None
    """As of when the oldest value holds; None when it was not looked for."""


@dataclass(frozen=True, slots=True)
class Update(Generic[K]):
    """The target after an answer or a failure, and what of it is worth a line in the log."""

    target: Target[K]
    succeeded: bool
    news: str = ""


def drop_future_state(collector: Collector[K], target: Target[K], now: float) -> Target[K]:
    """Return the target, without its knowledge when that is of the future: the clock was set back.

    What was told in the future would look fresh, and be due again, only once that time has come.
    """
    as_of = target.knowledge.as_of
    if as_of is None or as_of <= now + FUTURE:
        return target
    return replace(target, knowledge=collector.start(), backoffs={}, told={}, round_began=None)


def next_action(collector: Collector[K], target: Target[K], now: float, *, getting: bool = True) -> NextAction:
    """Return what to do at `now`. `getting` False asks for a probe alone, while a request is in flight.

    Between two requests of a busy target the collector is not even asked: a probe can wait for as long.
    """
    pause = target.budget.wait(now)
    if getting and 0 < pause <= SHORT_WAIT:
        return NextAction(None, None, pause, now + pause, None)
    gets: list[Get] = []
    probes: list[Probe] = []
    for request in collector.requests(target.knowledge, now):
        if isinstance(request, Get):
            gets.append(request)
        elif isinstance(request, Probe):
            probes.append(request)
    get = choose(gets, now, target.busy, target.backoffs)
    probe = choose(probes, now, target.busy, target.backoffs)
    free = target.probing < PROBES_AT_ONCE
    next_get = None if get.next_due is None else max(get.next_due, now + pause)
    return NextAction(
        get=get.request if getting and pause <= 0 else None,
        probe=probe.request if free else None,
        wait=_until((next_get, probe.next_due if free else None), now),
        next_poll=next_get if gets else probe.next_due,
        oldest=_oldest((*gets, *probes), target),
    )


def _until(moments: Iterable[float | None], now: float) -> float:
    return min([LONGEST_WAIT, *(max(0.0, moment - now) for moment in moments if moment is not None)])


def _oldest(requests: Iterable[Get | Probe], target: Target[K]) -> float | None:
    """Return as of when the oldest value holds, of the statuses and of what the rotation has told."""
    as_of = target.knowledge.as_of
    if as_of is None:
        return None
    told = (target.told.get(request.identity, as_of) for request in requests if request.reason is Reason.OLDEST)
    return min(as_of, min(told, default=as_of))


def begin(target: Target[K], request: Get | Probe, now: float) -> Target[K]:
    """Return the target once `request` is on its way."""
    is_get = isinstance(request, Get)
    begins_round = request.reason is Reason.STATUS and target.round_began is None
    return replace(
        target,
        busy=target.busy | {request.identity},
        probing=target.probing + (not is_get),
        budget=target.budget.spend(now) if is_get else target.budget,
        round_began=now if begins_round else target.round_began,
    )


def update(
    collector: Collector[K],
    target: Target[K],
    request: Get | Probe,
    told: Response | Certificate | PollError,
    now: float,
) -> Update[K]:
    """Return the target after what came of `request`; whatever a collector raises counts as `Malformed`."""
    arrived = replace(
        target, busy=target.busy - {request.identity}, probing=target.probing - isinstance(request, Probe)
    )
    if isinstance(told, PollError):
        return _failed(arrived, request, told, now, None)
    try:
        if isinstance(request, Get) and isinstance(told, Response):
            check(request, told)
        knowledge = collector.update(target.knowledge, request, told)
    except PollError as error:
        return _failed(arrived, request, error, now, told)
    except Exception as error:  # noqa: BLE001  a collector's mistake must not end the polling
        return _failed(arrived, request, unforeseen(error), now, told)
    return _succeeded(arrived, request, told, knowledge, now)


def unforeseen(error: Exception) -> Malformed:
    """Return what an unforeseen exception of a collector counts as; its place is told, its message may be secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""
    return Malformed(f"unforeseen {type(error).__name__}{place}")


def refused(target: Target[K], now: float) -> bool:
    """Tell whether the credentials are refused, at all or for some of what is asked."""
    return target.budget.paused_reason(now) == Refused.reason or schedule.refused(target.backoffs)


def credentials_changed(target: Target[K]) -> Target[K]:
    """Return the target after its credentials changed: refusals of the old ones mean nothing now."""
    return replace(
        target, budget=target.budget.credentials_changed(), backoffs=schedule.credentials_changed(target.backoffs)
    )


def collector_failed(target: Target[K], where: str, said: str, now: float) -> Target[K]:
    """Return the target after its collector raised in `where`, which is not about any one request."""
    requests = counted(target.requests, where, Malformed.reason)
    return replace(target, requests=requests, success=False, polled=True, last_error=said, last_error_at=now)


def _succeeded(
    target: Target[K], request: Get | Probe, told: Response | Certificate, knowledge: K, now: float
) -> Update[K]:
    whole = _round(knowledge) not in {None, _round(target.knowledge)}
    began = now if target.round_began is None else target.round_began
    backoffs, recovered = _healed(target.backoffs, request)
    after = replace(
        target,
        knowledge=knowledge,
        budget=target.budget.answered(told.headers, now) if isinstance(told, Response) else target.budget,
        backoffs=backoffs,
        requests=counted(target.requests, request.endpoint, _outcome(told)),
        success=True if whole else target.success,
        polled=target.polled or whole,
        duration=max(0.0, now - began) if whole else target.duration,
        round_began=None if whole else target.round_began,
        told=_noted(target.told, request, told.at, forget=whole),
    )
    news = f"{request.endpoint}: answered again" if recovered else ""
    return Update(after, succeeded=True, news=news)


def _round(knowledge: Knowledge) -> float | None:
    """Return what changes as a round of statuses ends."""
    return knowledge.round_at if isinstance(knowledge, Rolling) else knowledge.as_of


def _noted(
    told: Mapping[Identity, float], request: Get | Probe, at: float, *, forget: bool
) -> Mapping[Identity, float]:
    """Return when the requests of the rotation were answered; those that were not for days are wanted no more."""
    if forget and told and min(told.values()) < at - FORGOTTEN:
        told = {identity: answered for identity, answered in told.items() if answered >= at - FORGOTTEN}
    return told if request.reason is Reason.STATUS else {**told, request.identity: at}


def _healed(backoffs: Mapping[Identity, Backoff], request: Get | Probe) -> tuple[Mapping[Identity, Backoff], bool]:
    """Return the backoffs without `request`'s, and whether that was the last one of its endpoint."""
    if request.identity not in backoffs:
        return backoffs, False
    left = {identity: backoff for identity, backoff in backoffs.items() if identity != request.identity}
    return left, all(backoff.endpoint != request.endpoint for backoff in left.values())


def _failed(
    target: Target[K], request: Get | Probe, error: PollError, now: float, told: Response | Certificate | None
) -> Update[K]:
    alike = any(
        (known.endpoint, known.reason) == (request.endpoint, error.reason) for known in target.backoffs.values()
    )
    backoff = back_off(target.backoffs.get(request.identity), request, error, now)
    message = f"{request.endpoint}: {error.reason}: {error}"
    status = request.reason is Reason.STATUS
    after = replace(
        target,
        budget=_charged(target.budget, request, error, now, told),
        backoffs={**without_expired(target.backoffs, now), request.identity: backoff},
        requests=counted(target.requests, request.endpoint, error.reason),
        success=False if status else target.success,
        polled=target.polled or status,
        round_began=None if status else target.round_began,
        last_error=message,
        last_error_at=now,
    )
    return Update(after, succeeded=False, news="" if alike else message)


def _charged(
    budget: Budget, request: Get | Probe, error: PollError, now: float, told: Response | Certificate | None
) -> Budget:
    """Return the budget after a failure. A 403 is about that one thing, such as an environment, not the token."""
    forbidden = isinstance(error, Refused) and isinstance(told, Response) and told.status == FORBIDDEN
    if isinstance(request, Probe) or forbidden:
        return budget
    return budget.failed(error, now, told.headers if isinstance(told, Response) else {})


def _outcome(told: Response | Certificate) -> str:
    if isinstance(told, Response) or told.valid is not None:
        return "ok"
    return told.problem if told.problem in _UNREACHED else "connect"


def counted(requests: Mapping[tuple[str, str], int], endpoint: str, outcome: str) -> dict[tuple[str, str], int]:
    """Return the counts with one more."""
    key = (endpoint, outcome)
    return {**requests, key: requests.get(key, 0) + 1}


def kinds(collector: Collector[Any]) -> dict[str, Any]:
    """Return what of a target survives a restart, by name, with its type."""
    return {"knowledge": type(collector.start()), "budget": Budget, "success": bool | None}
