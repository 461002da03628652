"""The knowledge of each environment, and how responses change it.

A round is complete once every environment's folders and active incidents have been read again. An environment that the
others are several rounds ahead of is failing (BigPanda answers 500 for some): it is left behind, so that the age of the
target is that of the environments that do answer.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from exporter.errors import Malformed

from .answers import Found, Incident, Place

PAGE_SIZE = 100
REREADS = 2
"""How often a listing that shifted while being read is read again; after that it counts as is, truncated."""
LAST_INCIDENT = 10_000
"""The vendor lists no incident beyond this one."""
MOST_ENVIRONMENTS = 1_000
"""Of five searches each: at the vendor's own limit they would take 17 minutes."""
ROUNDS_BEHIND = 2
"""An environment this many rounds behind must be failing, because the longest overdue one is read first."""


@dataclass(frozen=True, slots=True)
class Total:
    """The number of incidents in a folder, as of `at`."""

    at: float
    incidents: int
    emptied_at: float | None = None
    """When it suddenly became empty, until that is confirmed."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An incomplete listing of active incidents: when it began, the pages read, their rows.

    `total`: as on its first page. `rereads`: how often it was restarted because the total changed.
    """

    began: float
    pages: int = 0
    rows: int = 0
    incidents: tuple[Incident, ...] = ()
    total: int | None = None
    rereads: int = 0


@dataclass(frozen=True, slots=True)
class Active:
    """The last complete listing: active incidents by status and severity, with every combination ever seen."""

    at: float
    total: int | None
    counts: tuple[tuple[str, str, int], ...]
    oldest: float | None
    truncated: bool

    def incidents(self) -> int:
        """Return the number of incidents listed."""
        return sum(count for *_, count in self.counts)


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment. `as_of`: its last complete round, which ended at `round_ended`; `rounds`: their number.

    `listed`: its searches have no total, so a folder is counted by listing it.
    """

    id: str
    name: str
    folders: dict[str, Total] = field(default_factory=dict)
    active: Active | None = None
    unfinished: Listing | None = None
    as_of: float | None = None
    round_ended: float = 0.0
    rounds: int = 0
    listed: bool = False
    emptied_at: float | None = None
    """When its active incidents suddenly were all gone, until that is confirmed."""

    def parts(self) -> list[float]:
        """Return the time as of which each part is valid."""
        return [*([] if self.active is None else [self.active.at]), *(total.at for total in self.folders.values())]


@dataclass(frozen=True, slots=True)
class Plans:
    """The number of maintenance plans, as of `at`; None if the API key may not see them."""

    at: float
    count: int | None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The knowledge of all environments. `round_ended`: when the last complete round ended.

    `plans`: maintenance plans by status.
    """

    as_of: float | None = None
    listed_at: float | None = None
    environments: tuple[Environment, ...] = ()
    round_ended: float = 0.0
    round_at: float | None = None
    """Time as of which the last complete round is valid."""
    wanted: tuple[str, ...] | None = None
    """The configured environments when they were listed."""
    emptied_at: float | None = None
    """When the list of environments suddenly became empty, until that is confirmed."""
    plans: dict[str, Plans] = field(default_factory=dict)

    @property
    def truncated(self) -> bool:
        """Whether an environment's active incidents were cut by the page cap or the vendor's limit on results."""
        return any(environment.active is not None and environment.active.truncated for environment in self.environments)

    def rounds(self) -> int:
        """Return the number of rounds of the environment that is furthest ahead."""
        return max((environment.rounds for environment in self.environments), default=0)

    def behind(self) -> set[str]:
        """Return the ids of environments that the others went on without, which happens only while these fail."""
        furthest = self.rounds()
        return {each.id for each in self.environments if furthest - each.rounds >= ROUNDS_BEHIND}


def with_environments(
    knowledge: Knowledge, places: tuple[Place, ...], at: float, wanted: tuple[str, ...] | None
) -> Knowledge:
    """Return the knowledge after the list of environments. If there are none, the list completes the round.

    A configured one is found by its id or name; one that is not in the list is requested as configured.
    """
    if wanted is not None:
        by_name = {place.name: place for place in places} | {place.id: place for place in places}
        chosen = [by_name.get(each, Place(each, each)) for each in wanted]
        places = tuple({place.id: place for place in chosen}.values())
    if len(places) > MOST_ENVIRONMENTS:
        raise Malformed(f"more than {MOST_ENVIRONMENTS:,} environments: list those that matter in `environments`")
    if knowledge.environments and not places and knowledge.emptied_at is None:
        # A list that is suddenly empty must be confirmed by a second one.
        return replace(knowledge, emptied_at=at)
    known = {environment.id: environment for environment in knowledge.environments}
    names = Counter(place.name for place in places)
    rounds, environments = knowledge.rounds(), []
    for place in places:
        # The name is a label value: two series must not share it.
        name = place.name if names[place.name] == 1 else f"{place.name} ({place.id})"
        environments.append(replace(known.get(place.id, Environment(place.id, name, rounds=rounds)), name=name))
    listed = replace(knowledge, listed_at=at, environments=tuple(environments), wanted=wanted, emptied_at=None)
    return listed if places else replace(listed, as_of=at, round_at=at)


def with_total(environment: Environment, folder: str, incidents: int | None, at: float) -> Environment:
    """Return the environment after the total of one folder; None: the vendor gives no total."""
    if incidents is None:
        return replace(environment, listed=True)
    known, total = environment.folders.get(folder), Total(at, incidents)
    if known and known.incidents and not incidents and known.emptied_at is None:
        total = replace(known, emptied_at=at)  # must be confirmed, like the active incidents
    return replace(environment, folders={**environment.folders, folder: total})


def with_page(environment: Environment, found: Found, page: int, at: float, max_pages: int) -> Environment:
    """Return the environment after a page of active incidents; only a complete listing replaces the old one."""
    before = environment.unfinished
    rereads = before.rereads if before is not None and before.pages == 0 else 0
    listing = Listing(at, total=found.total, rereads=rereads) if page == 1 else before
    if listing is None or page != listing.pages + 1:
        return environment  # a page of an abandoned listing
    # An incident that ends during a listing moves every later one up by a row, so that one slips between two pages.
    shifted = None not in (found.total, listing.total) and found.total != listing.total
    if shifted and listing.rereads < REREADS:
        return replace(environment, unfinished=Listing(at, rereads=listing.rereads + 1))
    grown = replace(
        listing,
        pages=page,
        rows=listing.rows + len(found.incidents),
        incidents=(*listing.incidents, *found.incidents),
    )
    # A vendor without paging repeats the same page for ever: a page with nothing new ends the listing.
    seen = {incident.id for incident in listing.incidents if incident.id}
    is_full = len(found.incidents) >= PAGE_SIZE if found.total is None else grown.rows < found.total
    more = is_full and any(incident.id not in seen for incident in found.incidents)
    if more and page < max_pages and grown.rows < LAST_INCIDENT:
        return replace(environment, unfinished=grown)
    missing = shifted or (found.total is not None and found.total > grown.rows)
    whole = _whole(environment.active, grown, found.total, truncated=more or missing)
    was_listed = environment.active is not None and environment.active.incidents() > 0
    if was_listed and not grown.rows and environment.emptied_at is None:
        # A listing that is suddenly empty must be confirmed: one bad response would end every incident.
        return replace(environment, unfinished=None, emptied_at=listing.began)
    return replace(environment, unfinished=None, active=whole, emptied_at=None)


def _whole(before: Active | None, listing: Listing, total: int | None, *, truncated: bool) -> Active:
    """Count an incident that moved between pages once, as last listed; 0 for combinations seen before."""
    listed = {incident.id or f"unnamed {place}": incident for place, incident in enumerate(listing.incidents)}
    active = [incident for incident in listed.values() if incident.active]
    counts = Counter({(status, severity): 0 for status, severity, _ in before.counts} if before else {})
    counts.update((incident.status, incident.severity) for incident in active)
    return Active(
        at=listing.began,
        total=total if total is not None or truncated else len(active),
        counts=tuple((*key, count) for key, count in sorted(counts.items())),
        oldest=min((incident.start for incident in active if incident.start is not None), default=None),
        truncated=truncated,
    )


def with_environment(knowledge: Knowledge, changed: Environment, folders: int, at: float) -> Knowledge:
    """Return the knowledge with one environment changed, ending its round and the target's if they are complete.

    `folders`: the number of folders counted by requests of their own.
    """
    parts = changed.parts()
    if changed.active is not None and len(changed.folders) >= folders and min(parts) > changed.round_ended:
        # All its parts have been read again since its last round ended.
        rounds = max(changed.rounds + 1, knowledge.rounds())
        changed = replace(changed, as_of=min(parts), round_ended=at, rounds=rounds)
    environments = tuple(changed if each.id == changed.id else each for each in knowledge.environments)
    after = replace(knowledge, environments=environments)
    behind = after.behind()
    keeping_up = [environment for environment in environments if environment.id not in behind]
    after = replace(after, as_of=min((part for each in keeping_up for part in each.parts()), default=knowledge.as_of))
    held = [each.as_of for each in keeping_up if each.as_of is not None]
    if len(held) < len(keeping_up) or min(held) <= knowledge.round_ended:
        return after
    return replace(after, round_at=min(held), round_ended=at)
