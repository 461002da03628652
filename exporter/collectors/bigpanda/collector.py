"""What to ask BigPanda, in which order, and what its answers mean."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from urllib.parse import quote, unquote

from exporter.collectors.contract import CONFIRM_AFTER, Certificate, Get, Reason, Request, Response
from exporter.collectors.figures import counted
from exporter.errors import Malformed
from exporter.metrics.families import Family, Metric, Sample, gauge
from exporter.metrics.health import Figure

from .answers import Place, read_environments, read_plans, read_search, read_total
from .config import Settings
from .knowledge import (
    PAGE_SIZE,
    Environment,
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
"""Counted by a search of one row each; `active` is listed whole, and counted by that."""
LIST_EVERY = 3600.0
"""Seconds between two readings of which environments there are."""
MAINTENANCE = "/resources/v2.0/ordered-maintenance-plans"
PLAN_STATUSES = ("running", "planned")
PLANS_EVERY = 300.0
SEARCHES_SHARE = 0.9
"""Of the budget, what the searches may take: the plans and an environment left behind must have their turn."""
UNSEEN = frozenset({403, 404})
"""What BigPanda says where the key's role may not see plans, or the organisation has none of that kind."""


class Collector:
    """Which environments there are; then, of each, the totals of its folders and its active incidents."""

    metrics: tuple[Metric, ...] = (INCIDENTS, ACTIVE, OLDEST, PLANS)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> Knowledge:
        """Return what is known before the first answer."""
        return Knowledge()

    def requests(self, knowledge: Knowledge, now: float) -> Iterator[Request]:
        """Yield the list of environments and what is wanted of each; one that is left behind goes last."""
        yield self._list_request(knowledge)
        every = self._searched_every(knowledge)
        for environment in knowledge.environments:
            reason = Reason.OLDEST if knowledge.is_behind(environment) else Reason.STATUS
            yield self._active_request(environment, reason, every, now)
            rows = PAGE_SIZE if environment.listed else 1
            for folder in FOLDERS:
                total = environment.folders.get(folder)
                due = 0.0 if total is None else total.at + every
                yield self._search(environment, reason, due, every, folder, page_size=str(rows))
        for status in PLAN_STATUSES if knowledge.as_of is not None and knowledge.environments else ():
            yield _plans_request(status, knowledge.plans.get(status))

    def _list_request(self, knowledge: Knowledge) -> Get:
        every = LIST_EVERY if knowledge.environments else self._settings.poll_interval
        if knowledge.emptied_at is not None:
            due = knowledge.emptied_at + min(CONFIRM_AFTER, every)
        elif knowledge.listed_at is None or knowledge.wanted != self._settings.environments:
            due = 0.0  # other environments were configured since
        else:
            due = knowledge.listed_at + every
        return Get(endpoint=ENVIRONMENTS, reason=Reason.STATUS, due=due, every=every, path=ENVIRONMENTS)

    def _searched_every(self, knowledge: Knowledge) -> float:
        """Return the seconds between two readings of a search: longer than configured where the budget is short."""
        listed = (each.active.incidents() if each.active else 0 for each in knowledge.environments)
        searches = sum(len(FOLDERS) + max(1, ceil(incidents / PAGE_SIZE)) for incidents in listed)
        return max(
            self._settings.poll_interval, searches * 60.0 / (SEARCHES_SHARE * self._settings.requests_per_minute)
        )

    def _active_request(self, environment: Environment, reason: Reason, every: float, now: float) -> Get:
        """Go on with a listing, or begin one. One that drags on past `max_age` is given up.

        Sorted by start, which never changes, so that incidents do not move between pages while they are read.
        """
        listing, active = environment.unfinished, environment.active
        if listing is not None and now - listing.began <= self._settings.max_age:
            due, page = listing.began, listing.pages + 1
        else:
            due, page = 0.0 if active is None else active.at + every, 1
        if environment.emptied_at is not None:
            due = environment.emptied_at + min(CONFIRM_AFTER, self._settings.poll_interval)
        members = {"sort_by": "start", "page_size": str(PAGE_SIZE), "page": str(page)}
        return self._search(environment, reason, due, every, "active", **members)

    def _search(
        self, environment: Environment, reason: Reason, due: float, every: float, folder: str, **params: str
    ) -> Get:
        return Get(
            endpoint=SEARCH,
            reason=reason,
            due=due,
            every=every,
            path=f"{ENVIRONMENTS}/{quote(environment.id, safe='')}/incidents",
            params=(("folder", folder), *params.items()),
        )

    def update(self, knowledge: Knowledge, request: Request, response: Response | Certificate) -> Knowledge:
        """Return the knowledge after an answer; `Malformed` when it holds neither a total nor incidents."""
        if isinstance(response, Certificate) or not isinstance(request, Get):
            raise Malformed("a certificate was not asked for")
        if request.endpoint == ENVIRONMENTS:
            places = self._chosen(read_environments(response.body))
            return with_environments(knowledge, places, response.at, self._settings.environments)
        if request.endpoint == MAINTENANCE:
            count = None if response.status in UNSEEN else read_plans(response.body)
            plans = {**knowledge.plans, dict(request.params)["status"]: Plans(response.at, count)}
            return replace(knowledge, plans=plans)
        identity = unquote(request.path.split("/")[4])
        environment = next((each for each in knowledge.environments if each.id == identity), None)
        if environment is None:
            return knowledge
        changed = self._changed(environment, dict(request.params), response)
        return with_environment(knowledge, changed, len(FOLDERS), response.at)

    def _changed(self, environment: Environment, params: dict[str, str], response: Response) -> Environment:
        if params["folder"] == "active":
            found, page = read_search(response.body), int(params["page"])
            return with_page(environment, found, page, response.at, self._settings.max_pages)
        rows = int(params["page_size"])
        total = read_total(response.body, rows)
        if total is None and rows == PAGE_SIZE:
            raise Malformed("total: missing")
        return with_total(environment, params["folder"], total, response.at)

    def _chosen(self, places: tuple[Place, ...]) -> tuple[Place, ...]:
        """Return the environments to ask for, with names that are unique.

        A configured one is found by its id or its name; one that the list does not have is asked for as it is.
        """
        wanted = self._settings.environments
        if wanted is not None:
            by_name = {place.name: place for place in places} | {place.id: place for place in places}
            chosen = [by_name.get(each, Place(each, each)) for each in wanted]
            places = tuple({place.id: place for place in chosen}.values())
        names = [place.name for place in places]
        return tuple(
            place if names.count(place.name) == 1 else Place(place.id, f"{place.name} ({place.id})") for place in places
        )

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield totals first, then counts and ages of the active incidents; each part while it is fresh."""
        oldest_shown = now - self._settings.max_age
        for metric, samples in ((INCIDENTS, _totals), (ACTIVE, _counts), (OLDEST, _oldest)):
            yield Family(metric, _all(knowledge, samples, oldest_shown))
        oldest_plans = now - max(self._settings.max_age, 3 * PLANS_EVERY)
        told = [(status, plans) for status, plans in knowledge.plans.items() if plans.at >= oldest_plans]
        yield Family(PLANS, [((status,), float(plans.count)) for status, plans in told if plans.count is not None])

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active incidents by status, the oldest of them, and how many environments they are in."""
        fresh = now - self._settings.max_age
        active = [each.active for each in knowledge.environments if each.active and each.active.at >= fresh]
        statuses = Counter[str]()
        for listing in active:
            for status, _, count in listing.counts:
                statuses[status] += count
        told = ", ".join(f"{count} {status}" for status, count in statuses.most_common(5) if count)
        where = counted(len(knowledge.environments), "environment")
        incidents = f"{counted(statuses.total(), 'active incident')} in {where}"
        yield Figure(f"{incidents}: {told}" if told else incidents, bad=statuses["critical"] > 0)
        oldest = min((each.oldest for each in active if each.oldest is not None), default=None)
        if oldest is not None:
            yield Figure(f"oldest active incident: since {datetime.fromtimestamp(oldest, UTC):%Y-%m-%d %H:%M}Z")


def _plans_request(status: str, known: Plans | None) -> Get:
    every = LIST_EVERY if known is not None and known.count is None else PLANS_EVERY
    return Get(
        endpoint=MAINTENANCE,
        reason=Reason.OLDEST,
        due=0.0 if known is None else known.at + every,
        every=every,
        path=MAINTENANCE,
        params=(("status", status),),
        expected_statuses=UNSEEN,
    )


def _all(
    knowledge: Knowledge, samples: Callable[[Environment, float], Iterator[Sample]], oldest_shown: float
) -> list[Sample]:
    return [sample for environment in knowledge.environments for sample in samples(environment, oldest_shown)]


def _totals(environment: Environment, oldest_shown: float) -> Iterator[Sample]:
    active = environment.active
    if active is not None and active.total is not None and active.at >= oldest_shown:
        yield (environment.name, "active"), float(active.total)
    for folder in FOLDERS:
        total = environment.folders.get(folder)
        if total is not None and total.at >= oldest_shown:
            yield (environment.name, folder), float(total.incidents)


def _counts(environment: Environment, oldest_shown: float) -> Iterator[Sample]:
    active = environment.active
    if active is not None and active.at >= oldest_shown:
        yield from (((environment.name, status, severity), float(count)) for status, severity, count in active.counts)


def _oldest(environment: Environment, oldest_shown: float) -> Iterator[Sample]:
    active = environment.active
    if active is not None and active.oldest is not None and active.at >= oldest_shown:
        yield (environment.name,), active.oldest
