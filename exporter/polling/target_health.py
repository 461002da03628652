"""The health of a target, derived from its state: whether all of it is polled, and if not why. Pure."""

from exporter.collectors.settings import TargetSettings
from exporter.metrics.health import Health
from exporter.polling.target_state import NextAction, Target
from exporter.toolkit.http_errors import Refused


def health(
    settings: TargetSettings,
    target: Target,
    action: NextAction | None,
    shown: tuple[int, bool],
    now: float,
) -> Health:
    """Return the health of a target's polling. `shown`: how many series are on the page, and whether some were cut."""
    as_of = target.knowledge.as_of
    series, is_cut = shown if settings.shows(as_of, now) else (0, False)
    reason, pause = failing(target, settings.max_age, now), target.budget.paused(now)
    return Health(
        collector=settings.collector,
        account=settings.account,
        success=False if reason else target.success,
        reason=reason,
        last_success=as_of,
        duration=target.duration,
        truncated=target.knowledge.truncated or is_cut,
        series=series,
        requests=target.requests,
        counting_since=target.counting_since,
        rate_limit_remaining=target.budget.remaining,
        budget_used_ratio=target.budget.used_ratio(now),
        oldest_value=action.oldest if action else as_of,
        first_poll_ended=target.success is not None,
        last_error=target.last_error,
        last_error_at=target.last_error_at,
        next_poll=action.next_poll if action else None,
        paused_until=pause.until if pause else None,
        paused_reason=pause.reason if pause else "",
        problems=tuple(dict.fromkeys(backoff.message for backoff in target.backoffs.values())),
    )


def failing(target: Target, max_age: float, now: float) -> str:
    """Return why polling the target as a whole fails; "" while it succeeds, as far as known."""
    as_of, pause = target.knowledge.as_of, target.budget.paused(now)
    expires = None if as_of is None else as_of + max_age
    if target.success is False:
        longest = min(target.backoffs.values(), key=lambda each: each.failing_since, default=None)
        return longest.message if longest else target.last_error
    # Rejected credentials count at once, whichever request they failed: only the operator can fix them.
    refused = next((each for each in target.backoffs.values() if each.reason == Refused.reason), None)
    if refused:
        return refused.message
    if pause and expires is not None and pause.until > expires:
        return f"requests are paused ({pause.reason}) for longer than max_age: series are withdrawn meanwhile"
    if expires is not None and now > expires:
        return f"the oldest status is over {max_age:g} s old (max_age): series are withdrawn"
    # A single monitor or environment may fail for long without failing the target; a whole endpoint may not.
    for each in target.backoffs.values():
        if now - max(each.failing_since, target.endpoints.get(each.endpoint, 0.0)) > max_age:
            return each.message
    return ""
