"""The knowledge of each environment, and how responses change it.

A round is complete once every environment's folders have been read again. An environment that the others are several
rounds ahead of is failing (BigPanda answers 500 for some): it is left behind, so that the age of the target is that of
the environments that do answer.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from exporter.errors import Malformed

from .answers import Found, Incident, Place

ACTIVE = "active"
FOLDERS = (ACTIVE, "unhandled", "shared", "snoozed", "maintenance")
"""`active` is counted by listing all of it, each of the others by a search of one row."""
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
class Folder:
    """A folder as of `at`: its incidents as the vendor counts them, None if unknown, and those found.

    Of `active` also those by status and severity, with every combination ever seen, and when the oldest started.
    """

    at: float
    total: int | None
    found: int
    counts: tuple[tuple[str, str, int], ...] = ()
    oldest: float | None = None
    truncated: bool = False
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
class Environment:
    """One environment. `rounds`: the number of its complete rounds, the last of which ended at `round_ended`.

    `listed`: its searches have no total, so a folder is counted by listing it.
    """

    id: str
    name: str
    folders: dict[str, Folder] = field(default_factory=dict)
    unfinished: Listing | None = None
    round_ended: float = 0.0
    rounds: int = 0
    listed: bool = False

    def with_folder(self, name: str, folder: Folder) -> "Environment":
        """Return the environment after a folder was read."""
        known = self.folders.get(name)
        if known and known.found and not folder.found and known.emptied_at is None:
            # A folder that is suddenly empty must be confirmed: one bad response would end every incident.
            folder = replace(known, emptied_at=folder.at)
        return replace(self, folders={**self.folders, name: folder})


@dataclass(frozen=True, slots=True)
class Plans:
    """The number of maintenance plans, as of `at`; None if the API key may not see them."""

    at: float
    count: int | None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The knowledge of all environments. `as_of`: the oldest part; `plans`: maintenance plans by status."""

    as_of: float | None = None
    listed_at: float | None = None
    environments: tuple[Environment, ...] = ()
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
        return any(folder.truncated for environment in self.environments for folder in environment.folders.values())

    def rounds(self) -> int:
        """Return the number of rounds of the environment that is furthest ahead."""
        return max((environment.rounds for environment in self.environments), default=0)

    def keeping_up(self) -> list[Environment]:
        """Return the environments without those that the others went on without, which happens only while they fail."""
        furthest = self.rounds()
        return [each for each in self.environments if furthest - each.rounds < ROUNDS_BEHIND]


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
    rows, incidents = listing.rows + len(found.incidents), (*listing.incidents, *found.incidents)
    grown = replace(listing, pages=page, rows=rows, incidents=incidents)
    # A vendor without paging repeats the same page for ever: a page with nothing new ends the listing.
    seen = {incident.id for incident in listing.incidents if incident.id}
    is_full = len(found.incidents) >= PAGE_SIZE if found.total is None else rows < found.total
    more = is_full and any(incident.id not in seen for incident in found.incidents)
    if more and page < max_pages and rows < LAST_INCIDENT:
        return replace(environment, unfinished=grown)
    missing = shifted or (found.total is not None and found.total > rows)
    whole = _whole(environment.folders.get(ACTIVE), grown, found.total, truncated=more or missing)
    return replace(environment, unfinished=None).with_folder(ACTIVE, whole)


def _whole(before: Folder | None, listing: Listing, total: int | None, *, truncated: bool) -> Folder:
    """Count an incident that moved between pages once, as last listed; 0 for combinations seen before."""
    listed = {incident.id or f"unnamed {place}": incident for place, incident in enumerate(listing.incidents)}
    active = [incident for incident in listed.values() if incident.active]
    counts = Counter({(status, severity): 0 for status, severity, _ in before.counts} if before else {})
    counts.update((incident.status, incident.severity) for incident in active)
    return Folder(
        at=listing.began,
        total=total if total is not None or truncated else len(active),
        found=listing.rows,
        counts=tuple((*key, count) for key, count in sorted(counts.items())),
        oldest=min((incident.start for incident in active if incident.start is not None), default=None),
        truncated=truncated,
    )


def with_environment(knowledge: Knowledge, changed: Environment, at: float) -> Knowledge:
    """Return the knowledge with one environment changed, ending its round and the target's if they are complete."""
    times = [folder.at for folder in changed.folders.values()]
    if len(times) == len(FOLDERS) and min(times) > changed.round_ended:
        # All its folders have been read again since its last round ended.
        changed = replace(changed, round_ended=at, rounds=max(changed.rounds + 1, knowledge.rounds()))
    environments = tuple(changed if each.id == changed.id else each for each in knowledge.environments)
    after = replace(knowledge, environments=environments)
    up = after.keeping_up()
    as_of = min((folder.at for each in up for folder in each.folders.values()), default=knowledge.as_of)
    ended = min(each.rounds for each in up) > min(each.rounds for each in knowledge.keeping_up())
    return replace(after, as_of=as_of, round_at=as_of if ended else knowledge.round_at)
