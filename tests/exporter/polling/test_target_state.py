from dataclasses import dataclass, field, replace

import pytest

from exporter.collectors.contract import Certificate, Get, Probe, Reason, Response, TlsEndpoint
from exporter.polling.rate_budget import Budget
from exporter.polling.scheduler import Backoff
from exporter.polling.target_state import (
    Target,
    begin,
    carried_over,
    collector_failed,
    credentials_changed,
    drop_future_state,
    next_action,
    refused,
    update,
)
from exporter.toolkit.http_errors import RateLimited, TimedOut

NOW = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False
    answers: tuple[str, ...] = field(default=())


def get(path, reason=Reason.OLDEST, due=NOW - 1):
    return Get(endpoint=f"/{{{path}}}", reason=reason, due=due, every=60.0, path=path)


def probe(name, due=NOW - 1):
    to = TlsEndpoint(name, name, name, 443)
    return Probe(endpoint="tls", reason=Reason.OLDEST, due=due, every=60.0, to=to)


STATUS = get("status", Reason.STATUS)
DETAIL = get("detail")


class Collector:
    """Wants what it is made with; a status is a round of two pages."""

    metrics = ()

    def __init__(self, *wanted):
        self.wanted = wanted

    def start(self):
        return Known()

    def requests(self, knowledge, now, failing):
        return self.wanted

    def update(self, knowledge, request, response):
        if request.reason is not Reason.STATUS:
            return knowledge
        answers = (*knowledge.answers, request.path)
        whole = len(answers) % 2 == 0
        at = response.at if whole else knowledge.round_at
        return replace(knowledge, answers=answers, as_of=at, round_at=at)

    def families(self, knowledge, now):
        return ()


def target(**more):
    return Target(**{"knowledge": Known(), "budget": Budget.start(60, NOW - 60), **more})


def after_response(before, request, response, now=NOW):
    return update(Collector(), begin(before, request, now), request, response, now)


def ok(now=NOW, status=200):
    return Response(now, status, b"{}", {})


@pytest.mark.parametrize(
    ("wanted", "more", "action"),
    [
        ([], {}, (None, None, 60)),
        ([get("a", due=NOW + 7)], {}, (None, None, 7)),
        ([get("a", due=NOW + 7), probe("p", due=NOW + 5)], {}, (None, None, 5)),
        ([DETAIL, STATUS, probe("p")], {}, (STATUS, probe("p"), 0)),
        ([probe("p"), probe("q")], {"probing": frozenset({probe("p").identity})}, (None, probe("q"), 0)),
        ([probe("p")], {"probing": frozenset(map(str, range(31)))}, (None, probe("p"), 0)),
        ([probe("p")], {"probing": frozenset(map(str, range(32)))}, (None, None, 60)),
        ([STATUS, probe("p")], {"budget": Budget.start(6, NOW).spend(NOW)}, (None, probe("p"), 0)),
        ([STATUS], {"budget": Budget.start(6, NOW).spend(NOW)}, (None, None, 10)),
        ([STATUS, probe("p")], {"budget": Budget.start(30, NOW).spend(NOW)}, (None, None, 2)),  # a breath, just waited
        ([STATUS, probe("p")], {"budget": Budget.start(29, NOW).spend(NOW)}, (None, probe("p"), 0)),
    ],
)
def test_next_action_follows_from_wanted_requests_and_budget(wanted, more, action):
    """The budget delays requests, never probes; without work the next action is to wait."""
    decided = next_action(Collector(*wanted), target(**more), NOW)
    assert (decided.get, decided.probe, decided.wait) == (*action[:2], pytest.approx(action[2]))


@pytest.mark.parametrize("budget", [Budget.start(60, NOW), Budget.start(60, NOW).spend(NOW)])
def test_beside_a_request_only_probes_are_next(budget):
    """However much of the budget is left."""
    decided = next_action(Collector(STATUS, probe("p")), target(budget=budget), NOW, getting=False)
    assert (decided.get, decided.probe) == (None, probe("p"))


@pytest.mark.parametrize(
    ("wanted", "next_poll"),
    [
        ([], None),
        ([get("a", due=NOW + 7), probe("p", due=NOW + 5)], NOW + 7),
        ([probe("p", due=NOW + 5), probe("q", due=NOW + 9)], NOW + 5),
    ],
)
def test_the_next_poll_is_a_request_or_else_a_probe(wanted, next_poll):
    """A target with only TLS probes has a next poll too."""
    assert next_action(Collector(*wanted), target(), NOW).next_poll == next_poll
    spent = target(budget=Budget.start(60, NOW).spend(NOW))
    assert next_action(Collector(*wanted), spent, NOW).next_poll - NOW == pytest.approx(1.0)


class Rolling(Collector):
    """A collector whose pages take effect one by one; every second one ends a round."""

    def update(self, knowledge, request, response):
        after = super().update(knowledge, request, response)
        whole = len(after.answers) % 2 == 0
        return replace(after, as_of=response.at, round_at=response.at if whole else knowledge.round_at)


def test_round_published_page_by_page_ends_with_the_last_page():
    """The age advances with every page; success and duration are those of the whole round."""
    before, seen = target(knowledge=Known(as_of=NOW - 60)), []
    for at in (NOW, NOW + 3, NOW + 6, NOW + 8):
        before = update(Rolling(), begin(before, STATUS, at), STATUS, ok(at), at + 1).target
        seen.append((before.knowledge.as_of, before.success, before.duration))
    assert seen == [(NOW, None, None), (NOW + 3, True, 4), (NOW + 6, True, 4), (NOW + 8, True, 3)]


def test_round_succeeds_when_it_is_complete():
    """Its duration counts from its first request; a failure in between ends success at once."""
    first = after_response(target(), STATUS, ok()).target
    assert (first.success, first.duration) == (None, None)
    whole = update(Collector(), begin(first, STATUS, NOW + 3), STATUS, ok(NOW + 3), NOW + 4).target
    assert (whole.success, whole.duration) == (True, 4)
    failed = after_response(whole, STATUS, TimedOut("late"), NOW + 9).target
    assert (failed.success, failed.duration, failed.last_error) == (False, 4, "/{status}: timeout: late")
    assert [begin(target(), request, NOW).round_began for request in (STATUS, DETAIL)] == [NOW, None]


@pytest.mark.parametrize(
    ("wanted", "response", "success", "paused"),
    [
        (STATUS, ok(status=401), False, "auth"),
        (STATUS, ok(status=403), False, ""),
        (STATUS, ok(status=429), False, "rate_limited"),
        (STATUS, ok(status=404), False, ""),
        (DETAIL, ok(status=401), True, "auth"),
        (DETAIL, ok(status=403), True, ""),
        (DETAIL, ok(status=404), True, ""),
        (DETAIL, TimedOut("late"), True, ""),
        (probe("p"), Certificate(NOW, None, None, "refused"), True, ""),
    ],
)
def test_failure_affects_only_its_subject(wanted, response, success, paused):
    """Statuses decide success; rejected credentials or a limit pause the target, except for a 403 on one thing."""
    after = after_response(target(success=True), wanted, response).target
    pause = after.budget.paused(NOW)
    assert (after.success, pause.reason if pause else "") == (success, paused)
    assert after.probing == frozenset()
    assert after.knowledge == Known()


def test_forbidden_request_waits_for_new_credentials():
    """A 403 is retried after minutes, or at once with changed credentials; other requests continue."""
    after = after_response(target(), STATUS, ok(status=403)).target
    both = Collector(STATUS, DETAIL)
    assert next_action(both, after, NOW + 20).get == DETAIL
    assert refused(after, NOW + 20)

    changed = credentials_changed(after, NOW + 20)
    assert not refused(changed, NOW + 20)
    assert next_action(both, changed, NOW + 20).get == STATUS


def test_log_says_what_became_of_new_credentials():
    """That they are accepted, or rejected too."""
    changed = credentials_changed(after_response(target(), STATUS, ok(status=401)).target, NOW)
    assert after_response(changed, STATUS, ok()).notice == "/{status}: answered again"
    assert after_response(changed, STATUS, ok(status=401)).warning.startswith("/{status}: auth: ")


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (Certificate(NOW, NOW, valid=True), "ok"),
        (Certificate(NOW, NOW, valid=False, reason="expired"), "ok"),
        (Certificate(NOW, None, None, "timeout"), "timeout"),
        (Certificate(NOW, None, None, "tls"), "tls"),
        (Certificate(NOW, None, None, "connect"), "connect"),
        (Certificate(NOW, None, None, "dns"), "connect"),
        (Certificate(NOW, NOW, None, "untrusted"), "ok"),
    ],
)
def test_probe_is_counted_by_its_outcome(response, outcome):
    """A certificate that was read is `ok`, even if it is invalid."""
    assert after_response(target(), probe("p"), response).target.requests == {("tls", outcome): 1}


def test_equal_failures_are_logged_once():
    """By endpoint and reason; the end is logged when the last of them succeeds."""
    one, other = get("detail"), replace(get("other"), endpoint=DETAIL.endpoint)
    first = after_response(target(), one, TimedOut("late"))
    second = after_response(first.target, other, TimedOut("late"))
    third = after_response(second.target, other, ok(status=404))
    assert (first.warning, second.warning, third.warning) == (
        "/{detail}: timeout: late",
        "",
        "/{detail}: client_error: 404",
    )
    fourth = after_response(third.target, one, ok())
    fifth = after_response(fourth.target, other, ok())
    assert (fourth.notice, fifth.notice) == ("", "/{detail}: answered again")


def test_the_oldest_value_is_that_of_the_rotation():
    """Of values still wanted and read; none before the first round."""
    known = Known(as_of=NOW - 5)
    collector = Collector(STATUS, DETAIL, get("never response"))
    assert next_action(collector, target(), NOW).oldest is None
    assert next_action(collector, target(knowledge=known), NOW).oldest == NOW - 5
    after = after_response(target(knowledge=known), DETAIL, ok(NOW - 90)).target
    assert next_action(collector, replace(after, budget=Budget.start(60, NOW)), NOW).oldest == NOW - 90
    assert next_action(Collector(STATUS), replace(after, budget=Budget.start(60, NOW)), NOW).oldest == NOW - 5


@pytest.mark.parametrize(
    ("reason", "oldest"),
    [(Reason.STATUS, NOW - 5), (Reason.CHANGED, NOW - 5), (Reason.LISTING, NOW - 90), (Reason.OLDEST, NOW - 90)],
)
def test_age_of_a_status_is_not_that_of_a_rotation(reason, oldest):
    """An environment that was left behind, and so in the rotation, has its age in `as_of` once it answers again."""
    state = target(knowledge=Known(as_of=NOW - 5), answered_at={DETAIL.identity: NOW - 90})
    assert next_action(Collector(replace(DETAIL, reason=reason)), state, NOW).oldest == oldest


def test_duration_of_a_round_begins_after_the_last_failure():
    """Otherwise the first round after an outage would have taken as long as the outage."""
    failed = after_response(target(), STATUS, TimedOut("late")).target
    half = after_response(failed, STATUS, ok(NOW + 100), NOW + 100).target
    assert after_response(half, STATUS, ok(NOW + 102), NOW + 102).target.duration == 2.0
    assert after_response(half, STATUS, ok(NOW + 95), NOW + 95).target.duration == 0.0  # the clock was corrected


def test_probes_that_fail_do_not_pause_requests():
    """The vendor is another host; nor do they change what it last said of its limit."""
    before = target(budget=replace(Budget.start(60, NOW), remaining=7.0))
    after = before
    for _ in range(5):
        after = after_response(after, probe("p"), TimedOut("late")).target
    assert after.budget == before.budget


def test_a_collectors_own_failure_fails_the_target():
    """Until its next round: what it cannot show is missing."""
    after = collector_failed(target(success=True), "families", "families: unforeseen KeyError", NOW)
    assert (after.success, after.last_error, after.last_error_at) == (False, "families: unforeseen KeyError", NOW)
    assert after.requests == {("families", "malformed"): 1}


def test_probe_failures_are_logged_once_per_change():
    """By endpoint and reason, and again when they are over (E6)."""
    found = [("expired", "since May"), ("expired", "since June"), ("timeout", "no answer in time"), ("", ""), ("", "")]
    before, response = target(), []
    for reason, detail in found:
        outcome = after_response(before, probe("a.example"), Certificate(NOW, None, None, reason, detail))
        before = outcome.target
        response.append(outcome.warning or outcome.notice)
    assert response == [
        "probe of a.example failed: expired: since May",
        "",
        "probe of a.example failed: timeout: no answer in time",
        "probe of a.example succeeds again",
        "",
    ]


def test_probe_failures_of_endpoints_that_are_gone_are_forgotten():
    """Two days after their last probe, and at once when a probe succeeds: endpoints may come and go for years."""
    state = target()
    for name, reason, later in (("gone", "dns", 0), ("mended", "dns", 0), ("mended", "", 1), ("down", "dns", 86400)):
        certificate = Certificate(NOW + later, None, None, reason)
        state = update(Collector(), state, probe(name), certificate, NOW + later).target
    assert set(state.probe_failures) == {probe("gone").identity, probe("down").identity}
    again = update(Collector(), state, probe("down"), Certificate(NOW, None, None, "dns"), NOW + 172801)
    assert (set(again.target.probe_failures), again.warning) == ({probe("down").identity}, "")


def test_ages_of_what_is_wanted_no_more_are_forgotten():
    """At the end of a round, two days after the last response."""
    ages = {("kept",): NOW - 172800, ("gone",): NOW - 172801}
    half = after_response(target(answered_at=ages), STATUS, ok()).target
    whole = after_response(half, STATUS, ok()).target
    assert [set(state.answered_at) for state in (half, whole)] == [{("kept",), ("gone",)}, {("kept",)}]


def test_backoffs_of_what_is_wanted_no_more_are_forgotten():
    """An hour after it might have been requested again, with the next failure."""
    kept, gone = Backoff(NOW - 10, 1, "/x", "timeout"), Backoff(NOW - 3600, 1, "/x", "timeout")
    before = target(backoffs={("kept",): kept, ("gone",): gone})
    assert set(after_response(before, DETAIL, TimedOut("late")).target.backoffs) == {("kept",), DETAIL.identity}


def test_knowledge_survives_a_change_of_settings():
    """With its counts and budget; requests in flight are dropped, and failed ones retried at once."""
    before = after_response(target(), STATUS, ok()).target
    before = begin(after_response(before, DETAIL, TimedOut("late")).target, probe("p"), NOW)
    after = carried_over(before, 30.0)
    assert (after.knowledge, after.requests, after.budget.rate) == (before.knowledge, before.requests, 30.0)
    assert (after.probing, dict(after.backoffs), after.round_began) == (frozenset(), {}, None)
    assert not carried_over(target(), 30.0).budget.settled  # it may be killed after its next request


def test_clock_set_back_drops_future_times():
    """Even if the oldest value is older: otherwise the others would not be due for as long."""
    known = after_response(target(knowledge=Known(as_of=NOW - 30), success=True), DETAIL, TimedOut("late"), NOW + 3600)
    known = after_response(known.target, get("other"), ok(NOW + 3600), NOW + 3600)
    later = begin(known.target, STATUS, NOW + 3600)
    assert drop_future_state(Collector(), later, NOW + 3590) is later
    dropped = drop_future_state(Collector(), later, NOW)
    logged = {name: getattr(later, name) for name in ("requests", "last_error", "last_error_at")}
    assert dropped == Target(knowledge=Known(), budget=Budget.start(60, NOW), latest=NOW, **logged)
    assert drop_future_state(Collector(), dropped, NOW) is dropped


def test_a_clock_set_back_ends_pauses_and_backoffs():
    """An hour back: neither the bucket, nor the window, nor a pause or backoff lasts longer than it should."""
    budget, back = Budget.start(1, NOW).spend(NOW).failed(RateLimited("429", 600), NOW), NOW - 3600
    failed = after_response(target(budget=budget), DETAIL, ok(status=404)).target
    dropped = drop_future_state(Collector(), failed, back)
    assert dropped.budget.wait(back) == 0
    assert dropped.budget.spend(back).wait(back) == pytest.approx(60)
    assert dropped.budget.spend(back).wait(back + 60) == 0
    assert next_action(Collector(replace(DETAIL, due=back)), dropped, back).get is not None


def test_clock_set_back_during_a_request_does_not_date_its_response_ahead():
    """It would look fresh, and not be due again, until that time has come."""
    begun = drop_future_state(Collector(), begin(target(), probe("p"), NOW + 3600), NOW)
    seen = Certificate(NOW + 3600, NOW, valid=True)
    assert update(Collector(), begun, probe("p"), seen, NOW).target.answered_at == {probe("p").identity: NOW}


@pytest.mark.parametrize(("ahead", "kept"), [(-9999, True), (0, True), (60, True), (61, False)])
def test_knowledge_of_the_future_is_dropped(ahead, kept):
    """After the clock was set back it would look fresh for as long."""
    known = target(knowledge=Known(as_of=NOW + ahead))
    assert (drop_future_state(Collector(), known, NOW).knowledge.as_of is not None) is kept
