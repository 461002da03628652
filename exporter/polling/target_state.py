"""The state of one target (its knowledge, budget, failures, counts), and the next action. Pure.

`next_action` decides, `begin` records that a request was sent, `update` applies its outcome. The poller waits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from traceback import walk_tb
from typing import Final

from exporter.collectors.contract import Certificate, Collector, Get, Knowledge, Probe, Reason, Request, Response
from exporter.fetch.error_mapping import check
from exporter.polling.rate_budget import Budget
from exporter.polling.scheduler import BAD_REQUEST, Backoff, Identity, back_off, choose
from exporter.toolkit.http_errors import HttpError, Malformed, Refused

PROBES_AT_ONCE: Final = 32
"""Concurrent probes of one target: this many endpoints may hang before a healthy one has to wait."""
LONGEST_WAIT: Final = 60.0
"""Longest sleep of a target in seconds, even with nothing to do."""
SHORT_WAIT: Final = 2.0
"""Waits for the budget up to this many seconds are simply slept through."""
FORGOTTEN: Final = 2 * 86400.0
"""Longest rotation in seconds."""
FUTURE: Final = 60.0
"""Clock corrections of up to this many seconds are ignored."""
_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The state of one target at a moment. Times are epoch seconds."""

    knowledge: Knowledge
    budget: Budget
    probing: frozenset[Identity] = frozenset()
    """The probes in flight. Of other requests there is one at a time."""
    backoffs: Mapping[Identity, Backoff] = field(default_factory=dict)
    probe_failures: Mapping[Identity, tuple[str, float]] = field(default_factory=dict)
    """The reason of each endpoint whose last probe failed, and when that was."""
    requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By endpoint and outcome."""
    counting_since: float = 0.0
    """When counting started: a restart resets the counts, a change of settings keeps them."""
    success: bool | None = None
    """True after a complete round of status requests, False if the last one failed, None before a first round ended."""
    answered_at: Mapping[Identity, float] = field(default_factory=dict)
    """When each request of the rotation last succeeded."""
    endpoints: Mapping[str, float] = field(default_factory=dict)
    """When each endpoint last answered any request."""
    round_began: float | None = None
    duration: float | None = None
    last_error: str = ""
    last_error_at: float | None = None
    latest: float = 0.0
    """The latest time seen: an earlier one means that the clock was set back."""


@dataclass(frozen=True, slots=True)
class NextAction:
    """The next action, and the seconds to wait after it unless something happens."""

    get: Get | None
    probe: Probe | None
    wait: float
    next_poll: float | None
    """When the next request, or the next probe if there are no requests, will be sent; epoch seconds, as known now."""
    oldest: float | None
    """Time as of which the oldest value is valid; None if it was not determined."""


@dataclass(frozen=True, slots=True)
class Update:
    """The target after a response or a failure, and the log messages about changes."""

    target: Target
    warning: str = ""
    notice: str = ""


def drop_future_state(collector: Collector, target: Target, now: float) -> Target:
    """Return the target, without what it knows if that is from the future: the clock was set back, as at boot.

    Otherwise such data would look fresh, and nothing be due again, until that time has come.
    """
    latest = max(target.latest, target.budget.updated, target.knowledge.as_of or 0.0)
    if latest <= now + FUTURE:
        return target
    return replace(
        target,
        knowledge=collector.start(),
        budget=Budget.start(target.budget.rate, now),
        backoffs={},
        answered_at={},
        endpoints={},
        success=None,
        round_began=None,
        latest=now,
    )


def carried_over(target: Target, rate: float) -> Target:
    """Return the target after its settings changed: its knowledge is kept, failed requests are retried at once."""
    budget = replace(target.budget.at_rate(rate), settled=False)
    return replace(target, budget=budget, probing=frozenset(), backoffs={}, round_began=None)


def next_action(collector: Collector, target: Target, now: float, *, getting: bool = True) -> NextAction:
    """Return the next action at `now`. `getting` False: only a probe, because a request is in flight."""
    pause = target.budget.wait(now)
    if getting and 0 < pause <= SHORT_WAIT:
        # Between two requests of a busy target, skip the collector: a probe can wait that long.
        return NextAction(None, None, pause, now + pause, None)
    requests = list(collector.requests(target.knowledge, now, len(target.backoffs)))
    gets = [each for each in requests if isinstance(each, Get)]
    probes = [each for each in requests if isinstance(each, Probe) and each.identity not in target.probing]
    get, get_due = choose(gets, now, target.backoffs)
    probe, probe_due = choose(probes, now, target.backoffs)
    can_probe = len(target.probing) < PROBES_AT_ONCE
    next_get = None if get_due is None else max(get_due, now + pause)
    # Time as of which the oldest value, of statuses and rotation, is valid.
    as_of = target.knowledge.as_of
    rotating = [each.identity for each in requests if each.reason >= Reason.LISTING]
    oldest = None if as_of is None else min([as_of, *(target.answered_at.get(each, as_of) for each in rotating)])
    due = [moment for moment in (next_get, probe_due if can_probe else None) if moment is not None]
    return NextAction(
        get=get if getting and pause <= 0 else None,
        probe=probe if can_probe else None,
        wait=min([LONGEST_WAIT, *(max(0.0, moment - now) for moment in due)]),
        next_poll=next_get if gets else probe_due,
        oldest=oldest,
    )


def drop_unwanted(collector: Collector, target: Target, action: NextAction) -> Target:
    """Return the target, without what it knows if it wants nothing, as of an endpoints_file that lists none.

    Nothing may seem too old then.
    """
    if action.next_poll is not None or target.probing or target.knowledge.as_of is None:
        return target
    return replace(target, knowledge=collector.start())


def begin(target: Target, request: Request, now: float) -> Target:
    """Return the target after `request` was sent."""
    is_get = isinstance(request, Get)
    begins_round = request.reason is Reason.STATUS and target.round_began is None
    return replace(
        target,
        probing=target.probing if is_get else target.probing | {request.identity},
        budget=target.budget.spend(now) if is_get else target.budget,
        round_began=now if begins_round else target.round_began,
        latest=now,
    )


def update(
    collector: Collector,
    target: Target,
    request: Request,
    result: Response | Certificate | HttpError,
    now: float,
) -> Update:
    """Return the target after the outcome of `request`. Any exception of a collector counts as `Malformed`."""
    arrived = replace(target, probing=target.probing - {request.identity})
    if isinstance(result, HttpError):
        return _failed(arrived, request, result, now, None)
    # The clock may have been set back meanwhile.
    result = replace(result, at=min(result.at, now))
    try:
        if isinstance(request, Get) and isinstance(result, Response):
            check(request, result)
        knowledge = collector.update(target.knowledge, request, result)
    except Exception as error:  # noqa: BLE001  a collector's mistake must not end the polling
        return _failed(arrived, request, failure(error), now, result)
    return _succeeded(arrived, request, result, knowledge, now)


def failure(error: Exception) -> HttpError:
    """Return what an exception counts as. An unforeseen one is Malformed, with its place: its message may be secret."""
    if isinstance(error, HttpError):
        return error
    *_, (frame, line) = walk_tb(error.__traceback__)
    return Malformed(f"unforeseen {type(error).__name__} at {frame.f_globals.get('__name__')}:{line}")


def refused(target: Target, now: float) -> bool:
    """Return whether the vendor rejects the credentials, for all or some requests."""
    causes = (target.budget.paused(now), *target.backoffs.values())
    return any(cause is not None and cause.reason == Refused.reason for cause in causes)


def credentials_changed(target: Target, now: float) -> Target:
    """Return the target after its credentials changed: requests rejected with the old ones are retried at once."""
    backoffs = {
        identity: replace(each, not_before=now, reason="") if each.reason == Refused.reason else each
        for identity, each in target.backoffs.items()
    }
    return replace(target, budget=target.budget.credentials_changed(), backoffs=backoffs)


def collector_failed(target: Target, where: str, message: str, now: float) -> Target:
    """Return the target after its collector raised in `where`, independent of any request."""
    requests = counted(target.requests, where, Malformed.reason)
    return replace(target, requests=requests, success=False, last_error=message, last_error_at=now)


def _succeeded(
    target: Target, request: Request, result: Response | Certificate, knowledge: Knowledge, now: float
) -> Update:
    left = {identity: each for identity, each in target.backoffs.items() if identity != request.identity}
    recovered = len(left) < len(target.backoffs) and all(each.endpoint != request.endpoint for each in left.values())
    warning, notice = "", f"{request.endpoint}: answered again" if recovered else ""
    outcome = "ok"
    if isinstance(result, Certificate) and not result.seen:
        outcome = result.reason if result.reason in {"timeout", "tls"} else "connect"
    # Endpoints not probed for days are no longer wanted.
    failures = {each: failed for each, failed in target.probe_failures.items() if failed[1] >= now - FORGOTTEN}
    if isinstance(request, Probe) and isinstance(result, Certificate):
        known, _ = failures.pop(request.identity, ("", now))
        if result.reason:
            failures[request.identity] = result.reason, now
        if result.reason not in {"", known}:
            warning = f"probe of {request.to.written} failed: {result.reason}: {result.detail}"
        elif known and not result.reason:
            notice = f"probe of {request.to.written} succeeds again"
    after = replace(
        target,
        knowledge=knowledge,
        budget=target.budget.answered(result.headers, now) if isinstance(result, Response) else target.budget,
        backoffs=left,
        probe_failures=failures,
        requests=counted(target.requests, request.endpoint, outcome),
        endpoints={**target.endpoints, request.endpoint: now},
    )
    if request.reason is not Reason.STATUS:
        after = replace(after, answered_at={**target.answered_at, request.identity: result.at})
    if knowledge.round_at not in {None, target.knowledge.round_at}:
        duration = 0.0 if target.round_began is None else max(0.0, now - target.round_began)
        # Requests not sent for days are no longer wanted.
        recent = {each: at for each, at in after.answered_at.items() if at >= result.at - FORGOTTEN}
        after = replace(after, success=True, duration=duration, round_began=None, answered_at=recent)
    return Update(after, warning=warning, notice=notice)


def _failed(
    target: Target, request: Request, error: HttpError, now: float, result: Response | Certificate | None
) -> Update:
    alike = any(
        (known.endpoint, known.reason) == (request.endpoint, error.reason) for known in target.backoffs.values()
    )
    backoff = back_off(target.backoffs.get(request.identity), request, error, now)
    # Those that ended an hour ago are of requests that are no longer wanted.
    left = {identity: each for identity, each in target.backoffs.items() if each.not_before > now - BAD_REQUEST}
    is_status = request.reason is Reason.STATUS
    # A 403 concerns that one resource, such as an environment, not the token.
    forbidden = isinstance(result, Response) and result.status == _FORBIDDEN
    headers = result.headers if isinstance(result, Response) else {}
    after = replace(
        target,
        budget=target.budget if isinstance(request, Probe) or forbidden else target.budget.failed(error, now, headers),
        backoffs={**left, request.identity: backoff},
        requests=counted(target.requests, request.endpoint, error.reason),
        success=False if is_status else target.success,
        round_began=None if is_status else target.round_began,
        last_error=backoff.message,
        last_error_at=now,
    )
    return Update(after, warning="" if alike else backoff.message)


def counted(requests: Mapping[tuple[str, str], int], endpoint: str, outcome: str) -> dict[tuple[str, str], int]:
    """Return the counts incremented for one request."""
    key = (endpoint, outcome)
    return {**requests, key: requests.get(key, 0) + 1}
