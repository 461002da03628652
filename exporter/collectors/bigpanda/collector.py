"""The requests to BigPanda, their order, and the metrics from its responses."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from urllib.parse import quote

from exporter.collectors.contract import UNSEEN, Figure, Get, Reason, Request, Response, confirmed
from exporter.collectors.parts import any_behind, keeping_up
from exporter.metrics.families import Family, gauge
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.text import counted

from .answers import Found, read_environments, read_plans, read_search
from .config import Settings
from .knowledge import (
    ACTIVE,
    FOLDERS,
    Folder,
    Knowledge,
    Plans,
    with_environment,
    with_environments,
    with_page,
    with_plans,
)

INCIDENTS = gauge("bigpanda_incidents", "Incidents in a folder of the environment.", "bigpanda_environment", "folder")
BY_SEVERITY = gauge(
    "bigpanda_active_incidents",
    "Active incidents by current status and by the worst status they ever had.",
    *("bigpanda_environment", "status", "severity"),
)
OLDEST = gauge(
    "bigpanda_oldest_active_incident_timestamp_seconds",
    "When the oldest active incident started, in seconds since the epoch; absent without one.",
    "bigpanda_environment",
)
PLANS = gauge("bigpanda_maintenance_plans", "Maintenance plans that are planned or running.", "status")

ENVIRONMENTS = "/resources/v2.0/environments"
SEARCH = "/resources/v2.0/environments/{id}/incidents"
LIST_EVERY = 3600.0
"""Seconds between two requests for the list of environments."""
LIST_AGAIN = 300.0
"""The same while an environment fails: it may have been deleted."""
MAINTENANCE = "/resources/v2.0/ordered-maintenance-plans"
PLAN_STATUSES = ("running", "planned")
PLANS_EVERY = 300.0
SEARCHES_SHARE = 0.9
"""Share of the budget for the searches; the rest is for plans and an environment left behind."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Reads the list of environments, then each environment's folder totals and active incidents."""

    settings: Settings

    metrics = (INCIDENTS, BY_SEVERITY, OLDEST, PLANS)
    start = Knowledge

    def requests(self, knowledge: Knowledge, now: float, failing: int = 0) -> Iterator[Request]:  # noqa: ARG002  all are yielded
        """Yield the list of environments and the searches of each; an environment left behind goes last."""
        regular = LIST_EVERY if knowledge.environments else self.settings.poll_interval
        every = LIST_AGAIN if any_behind(knowledge.environments) else regular
        at, wanted = knowledge.listed_at, self.settings.environments
        due = 0.0 if at is None or knowledge.wanted != wanted else at + every  # at once when others are configured
        due = confirmed(knowledge.emptied_at, every, due)
        yield Get(endpoint=ENVIRONMENTS, reason=Reason.STATUS, due=due, every=every, path=ENVIRONMENTS)
        yield from self._searches(knowledge, now)
        size = self.settings.page_size
        for status in PLAN_STATUSES if knowledge.as_of is not None and knowledge.environments else ():
            known = knowledge.plans.get(status)
            every = LIST_EVERY if known is not None and known.count is None else PLANS_EVERY
            listed = known.listed if known else 0
            due = 0.0 if known is None or listed else known.at + every
            yield Get(
                endpoint=MAINTENANCE,
                reason=Reason.OLDEST,
                due=confirmed(known.emptied_at if known else None, every, due),
                every=every,
                path=MAINTENANCE,
                params=(("status", status), ("per_page", str(size)), ("page", str(listed // size + 1))),
                expected_statuses=UNSEEN | {204},
            )

    def _searches(self, knowledge: Knowledge, now: float) -> Iterator[Get]:
        """Yield, for each environment, the next page of its active incidents and the total of each other folder."""
        active, size = (each.folders.get(ACTIVE) for each in knowledge.environments.values()), self.settings.page_size
        searches = sum(len(FOLDERS) - 1 + max(1, ceil(each.found / size) if each else 1) for each in active)
        per_minute = SEARCHES_SHARE * self.settings.requests_per_minute
        every = max(self.settings.poll_interval, searches * 60.0 / per_minute)
        first = keeping_up(knowledge.environments)
        for identity, environment in knowledge.environments.items():
            for folder in FOLDERS:
                known, page = environment.folders.get(folder), 1
                due = known.at + every if known else 0.0
                params = {"folder": folder}
                if folder == ACTIVE:
                    listing = environment.unfinished
                    # A listing that takes longer than `max_age` is abandoned.
                    if listing is not None and now - listing.began <= self.settings.max_age:
                        due, page = listing.began, listing.pages + 1
                    # Sorted by start, which never changes, so that incidents do not move between its pages.
                    params |= {"sort_by": "start", "page_size": str(size), "page": str(page)}
                else:
                    params["page_size"] = str(size if environment.listed else 1)
                yield Get(
                    endpoint=SEARCH,
                    reason=Reason.STATUS if identity in first else Reason.OLDEST,
                    due=confirmed(known.emptied_at if known else None, self.settings.poll_interval, due),
                    every=every,
                    path=f"{ENVIRONMENTS}/{quote(identity, safe='')}/incidents",
                    item=identity,
                    params=tuple(params.items()),
                    expected_statuses=frozenset({204, 404} if page > 1 else {204}),
                )

    def update(self, knowledge: Knowledge, request: Get, response: Response) -> Knowledge:
        """Return the knowledge after a response. Raises Malformed if it has neither a total nor incidents."""
        at, params, size = response.at, dict(request.params), self.settings.page_size
        if request.endpoint == ENVIRONMENTS:
            return with_environments(knowledge, read_environments(response.body), at, self.settings.environments)
        has_content = response.status == 200  # noqa: PLR2004  204: there are none; 404: the previous page was the last one
        if request.endpoint == MAINTENANCE:
            status, page = params["status"], int(params["page"])
            before = (page - 1) * size
            rows, total = read_plans(response.body) if has_content else (0, None)
            count = before + rows if total is None else total
            # 404: the previous page was the last one; of the first page, that the key may not see them.
            plans = Plans(at, None if response.status in UNSEEN and not before else count)
            if total is None and rows == size and page < self.settings.max_pages:  # others may follow
                plans = replace(knowledge.plans.get(status, Plans(at, None)), listed=count)
            return with_plans(knowledge, status, plans)
        environment = knowledge.environments.get(request.item)
        if environment is None:
            return knowledge
        page, known = int(params.get("page", "1")), environment.unfinished
        found = read_search(response.body) if has_content else Found(known.total if known and page > 1 else None, ())
        if params["folder"] == ACTIVE:
            changed = with_page(environment, found, page, at, self.settings)
        else:
            rows = int(params["page_size"])
            # Without a total, more incidents may follow on a full page.
            total = len(found.incidents) if found.total is None and len(found.incidents) != rows else found.total
            if total is None and rows == size:
                raise Malformed("total: missing")
            changed = replace(environment, listed=True)
            if total is not None:
                changed = environment.with_folder(params["folder"], Folder(at, total, total))
        return with_environment(knowledge, request.item, changed, at)

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield totals first, then counts and ages of the active incidents, each folder while it is fresh."""
        folders = [
            (environment.name, name, folder)
            for environment in knowledge.environments.values()
            for name in FOLDERS
            if (folder := environment.folders.get(name)) and self.settings.shows(folder.at, now)
        ]
        counts = (((place, *labels), count) for place, _, each in folders for *labels, count in each.counts)
        yield Family.of(INCIDENTS, (((place, name), each.total) for place, name, each in folders))
        yield Family.of(BY_SEVERITY, counts)
        yield Family.of(OLDEST, (((place,), each.oldest) for place, _, each in folders))
        plans = knowledge.plans.items()
        fresh = (((status,), each.count) for status, each in plans if self.settings.shows(each.at, now, PLANS_EVERY))
        yield Family.of(PLANS, fresh)

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active incidents by status, the number of environments, and the oldest incident."""
        listings = (each.folders.get(ACTIVE) for each in knowledge.environments.values())
        active = [each for each in listings if each and self.settings.shows(each.at, now)]
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
