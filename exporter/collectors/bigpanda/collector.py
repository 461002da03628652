"""The requests to BigPanda, their order, and the metrics from its responses."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from urllib.parse import quote, unquote

from exporter.collectors.contract import CONFIRM_AFTER, Certificate, Get, Reason, Request, Response
from exporter.collectors.figures import counted
from exporter.errors import Malformed
from exporter.metrics.families import Family, Sample, gauge
from exporter.metrics.health import Figure

from .answers import Found, read_environments, read_plans, read_search, read_total
from .config import Settings
from .knowledge import (
    PAGE_SIZE,
    Knowledge,
    Plans,
    with_environment,
    with_environments,
    with_page,
    with_total,
)

INCIDENTS = gauge(
    "bigpanda_incidents",
    "Incidents in a folder of the environment.",
    "bigpanda_environment",
    "folder",
)
ACTIVE = gauge(
    "bigpanda_active_incidents",
    "Active incidents by current status and by the worst status they ever had.",
    "bigpanda_environment",
    "status",
    "severity",
)
OLDEST = gauge(
    "bigpanda_oldest_active_incident_timestamp_seconds",
    "When the oldest active incident started, in seconds since the epoch; absent without one.",
    "bigpanda_environment",
)
PLANS = gauge("bigpanda_maintenance_plans", "Maintenance plans that are planned or running.", "status")

ENVIRONMENTS = "/resources/v2.0/environments"
SEARCH = "/resources/v2.0/environments/{id}/incidents"
FOLDERS = ("unhandled", "shared", "snoozed", "maintenance")
"""Folders counted by a search of one row each; `active` is counted by listing all of it."""
LIST_EVERY = 3600.0
"""Seconds between two requests for the list of environments."""
MAINTENANCE = "/resources/v2.0/ordered-maintenance-plans"
PLAN_STATUSES = ("running", "planned")
PLANS_EVERY = 300.0
SEARCHES_SHARE = 0.9
"""Share of the budget for the searches; the rest is for plans and an environment left behind."""
UNSEEN = frozenset({403, 404})
"""Statuses with which BigPanda answers if the key's role may not see plans, or the organisation has none."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Reads the list of environments, then each environment's folder totals and active incidents."""

    settings: Settings

    metrics = (INCIDENTS, ACTIVE, OLDEST, PLANS)
    start = Knowledge
    """The knowledge before the first response."""

    def requests(self, knowledge: Knowledge, now: float) -> Iterator[Request]:
        """Yield the list of environments and the searches of each; an environment left behind goes last."""
        every = LIST_EVERY if knowledge.environments else self.settings.poll_interval
        if knowledge.emptied_at is not None:
            due = knowledge.emptied_at + min(CONFIRM_AFTER, every)
        elif knowledge.listed_at is None or knowledge.wanted != self.settings.environments:
            due = 0.0  # the configured environments have changed
        else:
            due = knowledge.listed_at + every
        yield Get(endpoint=ENVIRONMENTS, reason=Reason.STATUS, due=due, every=every, path=ENVIRONMENTS)
        yield from self._searches(knowledge, now)
        for status in PLAN_STATUSES if knowledge.as_of is not None and knowledge.environments else ():
            known = knowledge.plans.get(status)
            every = LIST_EVERY if known is not None and known.count is None else PLANS_EVERY
            yield Get(
                endpoint=MAINTENANCE,
                reason=Reason.OLDEST,
                due=0.0 if known is None else known.at + every,
                every=every,
                path=MAINTENANCE,
                params=(("status", status),),
                expected_statuses=UNSEEN,
            )

    def _searches(self, knowledge: Knowledge, now: float) -> Iterator[Get]:
        """Yield, for each environment, the next page of its active incidents and the total of each other folder."""
        listed = (each.active.incidents() if each.active else 0 for each in knowledge.environments)
        searches = sum(len(FOLDERS) + max(1, ceil(incidents / PAGE_SIZE)) for incidents in listed)
        per_minute = SEARCHES_SHARE * self.settings.requests_per_minute
        every = max(self.settings.poll_interval, searches * 60.0 / per_minute)
        behind = knowledge.behind()
        for environment in knowledge.environments:
            listing, active = environment.unfinished, environment.active
            if listing is not None and now - listing.began <= self.settings.max_age:
                due, page = listing.began, listing.pages + 1
            else:  # a listing that takes longer than `max_age` is abandoned
                due, page = 0.0 if active is None else active.at + every, 1
            confirm_after = min(CONFIRM_AFTER, self.settings.poll_interval)
            if environment.emptied_at is not None:
                due = environment.emptied_at + confirm_after
            # Sorted by start, which never changes, so that incidents do not move between pages during a listing.
            searched = [(due, {"folder": "active", "sort_by": "start", "page_size": str(PAGE_SIZE), "page": str(page)})]
            for folder in FOLDERS:
                total = environment.folders.get(folder)
                rows = PAGE_SIZE if environment.listed else 1
                due = total.at + every if total else 0.0
                if total and total.emptied_at is not None:
                    due = total.emptied_at + confirm_after
                searched.append((due, {"folder": folder, "page_size": str(rows)}))
            for due, params in searched:
                yield Get(
                    endpoint=SEARCH,
                    reason=Reason.OLDEST if environment.id in behind else Reason.STATUS,
                    due=due,
                    every=every,
                    path=f"{ENVIRONMENTS}/{quote(environment.id, safe='')}/incidents",
                    params=tuple(params.items()),
                    expected_statuses=frozenset({404} if params.get("page", "1") != "1" else ()),
                )

    def update(self, knowledge: Knowledge, request: Request, response: Response | Certificate) -> Knowledge:
        """Return the knowledge after a response. Raises Malformed if it has neither a total nor incidents."""
        if isinstance(response, Certificate) or not isinstance(request, Get):
            raise Malformed("unexpected certificate")
        at, params = response.at, dict(request.params)
        if request.endpoint == ENVIRONMENTS:
            return with_environments(knowledge, read_environments(response.body), at, self.settings.environments)
        if request.endpoint == MAINTENANCE:
            count = None if response.status in UNSEEN else read_plans(response.body)
            return replace(knowledge, plans={**knowledge.plans, params["status"]: Plans(at, count)})
        identity = unquote(request.path.split("/")[4])
        environment = next((each for each in knowledge.environments if each.id == identity), None)
        if environment is None:
            return knowledge
        if params["folder"] == "active":
            known = environment.unfinished
            # 404: the previous page was the last one.
            found = Found(known.total if known else None, ()) if response.status == 404 else read_search(response.body)  # noqa: PLR2004
            changed = with_page(environment, found, int(params["page"]), at, self.settings.max_pages)
        else:
            rows = int(params["page_size"])
            total = read_total(response.body, rows)
            if total is None and rows == PAGE_SIZE:
                raise Malformed("total: missing")
            changed = with_total(environment, params["folder"], total, at)
        return with_environment(knowledge, changed, len(FOLDERS), at)

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield totals first, then counts and ages of the active incidents, each part while it is fresh."""
        oldest_shown = now - self.settings.max_age
        totals: list[Sample] = []
        counts: list[Sample] = []
        oldest: list[Sample] = []
        for environment in knowledge.environments:
            name, active = environment.name, environment.active
            if active is not None and active.at >= oldest_shown:
                totals += [((name, "active"), float(active.total))] if active.total is not None else []
                counts += [((name, status, severity), float(count)) for status, severity, count in active.counts]
                oldest += [((name,), active.oldest)] if active.oldest is not None else []
            folders = [(folder, environment.folders.get(folder)) for folder in FOLDERS]
            totals += [((name, folder), float(of.incidents)) for folder, of in folders if of and of.at >= oldest_shown]
        yield Family(INCIDENTS, totals)
        yield Family(ACTIVE, counts)
        yield Family(OLDEST, oldest)
        oldest_plans = now - max(self.settings.max_age, 3 * PLANS_EVERY)
        fresh = [(status, plans) for status, plans in knowledge.plans.items() if plans.at >= oldest_plans]
        yield Family(PLANS, [((status,), float(plans.count)) for status, plans in fresh if plans.count is not None])

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active incidents by status, the number of environments, and the oldest incident."""
        fresh = now - self.settings.max_age
        active = [each.active for each in knowledge.environments if each.active and each.active.at >= fresh]
        statuses = Counter[str]()
        for listing in active:
            for status, _, count in listing.counts:
                statuses[status] += count
        by_status = ", ".join(f"{count} {status}" for status, count in statuses.most_common(5) if count)
        where = counted(len(knowledge.environments), "environment")
        incidents = f"{counted(statuses.total(), 'active incident')} in {where}"
        yield Figure(f"{incidents}: {by_status}" if by_status else incidents, bad=statuses["critical"] > 0)
        oldest = min((each.oldest for each in active if each.oldest is not None), default=None)
        if oldest is not None:
            yield Figure(f"oldest active incident: since {datetime.fromtimestamp(oldest, UTC):%Y-%m-%d %H:%M}Z")
