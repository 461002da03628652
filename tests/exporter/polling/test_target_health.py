"""Whether a target is polled as a whole, and if not why."""

from dataclasses import dataclass

import pytest

from exporter.collectors.settings import ApiSettings
from exporter.metrics.health import Health
from exporter.polling.rate_budget import Budget, Pause
from exporter.polling.scheduler import Backoff
from exporter.polling.target_health import failing, health
from exporter.polling.target_state import NextAction, Target

NOW = 1_800_000_000.0
MAX_AGE = 300.0
SETTINGS = ApiSettings(collector="c", account="a", base_url="http://v", token="t")


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = NOW - 10
    round_at: float | None = NOW - 10
    truncated: bool = False


def target(*, backoffs=(), pause=None, **more):
    budget = Budget(rate=60.0, tokens=1.0, updated=NOW, pause=pause)
    named = {(str(place),): backoff for place, backoff in enumerate(backoffs)}
    return Target(**{"knowledge": Known(), "budget": budget, "backoffs": named, "success": True, **more})


def backoff(reason, since, message="/x: it fails"):
    return Backoff(NOW + 60, 3, "/x", reason, failing_since=since, message=message)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (target(), ""),
        (target(success=None, knowledge=Known(None, None)), ""),
        (target(success=None, knowledge=Known(None, None), pause=Pause(NOW + 900, "rate_limited")), ""),
        (target(success=False, backoffs=[backoff("timeout", NOW - 5)]), "/x: it fails"),
        (
            target(success=False, backoffs=[backoff("timeout", NOW - 5, "/y"), backoff("timeout", NOW - 9)]),
            "/x: it fails",
        ),
        (target(success=False, last_error="families: unforeseen KeyError"), "families: unforeseen KeyError"),
        (target(backoffs=[backoff("auth", NOW - 1)]), "/x: it fails"),
        (target(backoffs=[backoff("server_error", NOW - 300)]), ""),
        (target(backoffs=[backoff("server_error", NOW - 301)]), "/x: it fails"),
        (target(backoffs=[backoff("server_error", NOW - 999)], endpoints={"/x": NOW - 300}), ""),
        (target(backoffs=[backoff("server_error", NOW - 999)], endpoints={"/x": NOW - 301}), "/x: it fails"),
        (target(backoffs=[backoff("server_error", NOW - 5)], endpoints={"/x": NOW - 3600}), ""),
        (target(pause=Pause(NOW + 290, "rate_limited")), ""),
        (
            target(pause=Pause(NOW + 291, "rate_limited")),
            "requests are paused (rate_limited) for longer than max_age: series are withdrawn meanwhile",
        ),
        (target(pause=Pause(NOW, "rate_limited")), ""),
        (target(knowledge=Known(as_of=NOW - 300)), ""),
        (
            target(knowledge=Known(as_of=NOW - 301)),
            "the oldest status is over 300 s old (max_age): series are withdrawn",
        ),
    ],
    ids=[
        "well",
        "not polled yet",
        "paused before anything is known",
        "a status fails",
        "two fail, one of them for longer",
        "the collector fails",
        "refused for one thing",
        "the rotation fails for a while",
        "the rotation fails for longer than max_age",
        "one of the rotation fails, others are answered",
        "an endpoint answers nobody any more",
        "what is asked every hour fails for the first time",
        "a pause as long as max_age",
        "a pause that outlives max_age",
        "a pause that is over",
        "as old as max_age",
        "withdrawn by age",
    ],
)
def test_success_is_about_the_whole_target(state, reason):
    """Not only its statuses: rejected credentials, and anything that withdraws series, are failures with a reason."""
    assert failing(state, MAX_AGE, NOW) == reason
    found = health(SETTINGS, state, None, (7, False), NOW)
    assert (found.success, found.reason) == (False if reason else state.success, reason)


def test_health_is_that_of_the_target_its_budget_and_its_next_action():
    """Before an action was decided, the oldest value is a status."""
    budget = Budget(60.0, 1.0, NOW, sent=(NOW - 61, NOW - 1), remaining=7.0, pause=Pause(NOW + 60, "reserve"))
    counts = {("/x", "ok"): 3}
    state = target(
        backoffs=[backoff("timeout", NOW - 5)],
        budget=budget,
        requests=counts,
        counting_since=NOW - 900,
        duration=4.0,
        last_error="/y: late",
        last_error_at=NOW - 9,
    )
    found = health(SETTINGS, state, NextAction(None, None, 5.0, NOW + 7, NOW - 90), (7, False), NOW)
    assert found == Health(
        collector="c",
        account="a",
        success=True,
        last_success=NOW - 10,
        duration=4.0,
        truncated=False,
        series=7,
        requests=counts,
        counting_since=NOW - 900,
        rate_limit_remaining=7.0,
        budget_used_ratio=1 / 60,
        oldest_value=NOW - 90,
        first_poll_ended=True,
        last_error="/y: late",
        last_error_at=NOW - 9,
        next_poll=NOW + 7,
        paused_until=NOW + 60,
        paused_reason="reserve",
        problems=("/x: it fails",),
    )
    before = health(SETTINGS, target(success=None), None, (0, False), NOW)
    assert (before.oldest_value, before.next_poll, before.first_poll_ended) == (NOW - 10, None, False)
    assert health(SETTINGS, target(knowledge=Known(truncated=True)), None, (0, False), NOW).truncated


def test_withdrawn_families_count_no_series():
    """Each kind of failure is logged once."""
    state = target(knowledge=Known(as_of=NOW - 301), backoffs=[backoff("timeout", NOW)] * 3)
    found = health(SETTINGS, state, None, (7, True), NOW)
    assert (found.series, found.truncated, found.problems) == (0, False, ("/x: it fails",))
    fresh = health(SETTINGS, target(knowledge=Known(as_of=NOW - 300)), None, (7, True), NOW)
    assert (fresh.series, fresh.truncated) == (7, True)
