"""The knowledge of each environment, and how responses change it.

A round is complete once every environment's folders have been read again, without those of an environment that is left
behind: BigPanda answers 500 for some.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.collectors.parts import Part, any_behind, furthest, keeping_up
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.text import LABEL_BYTES, cut_label

from .answers import Found, Incident
from .config import Settings

ACTIVE = "active"
FOLDERS = (ACTIVE, "unhandled", "shared", "snoozed", "maintenance")
"""`active` is counted by listing all of it, each of the others by a search of one row."""
REREADS = 2
"""How often a listing that shifted while being read is read again; after that it counts as is, truncated."""
LAST_INCIDENT = 10_000
"""The vendor lists no incident beyond this one."""
MOST_ENVIRONMENTS = 1_000
"""Of five searches each: at the vendor's own limit they would take 17 minutes."""


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
    """An incomplete listing of active incidents: when it began, the pages read, their incidents.

    `total`: as on its first page. `rereads`: how often it was restarted because the total changed.
    """

    began: float
    pages: int = 0
    incidents: tuple[Incident, ...] = ()
    total: int | None = None
    rereads: int = 0


@dataclass(frozen=True, slots=True)
class Environment(Part):
    """One environment. `round_ended`: when its last complete round ended."""

    name: str
    folders: dict[str, Folder] = field(default_factory=dict)
    unfinished: Listing | None = None
    round_ended: float = 0.0
    listed: bool = False
    """Whether its searches have no total, so that a folder is counted by listing it."""

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
    listed: int = 0
    """Those on the pages read so far, while further ones are to be read."""
    emptied_at: float | None = None
    """When there suddenly were none, or they could no longer be seen, until that is confirmed."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The knowledge of all environments, by id. `as_of`: the oldest folder; `plans`: maintenance plans by status."""

    as_of: float | None = None
    listed_at: float | None = None
    environments: dict[str, Environment] = field(default_factory=dict)
    round_at: float | None = None
    """Time as of which the last complete round is valid."""
    wanted: tuple[str, ...] | None = None
    """The configured environments when they were listed."""
    emptied_at: float | None = None
    """When the list of environments suddenly became empty, until that is confirmed."""
    plans: dict[str, Plans] = field(default_factory=dict)

    @property
    def truncated(self) -> bool:
        """Whether incidents are missing: by the page cap, the vendor's limit, or an environment that is left behind."""
        is_cut = any(folder.truncated for each in self.environments.values() for folder in each.folders.values())
        return is_cut or any_behind(self.environments)


def with_environments(
    knowledge: Knowledge, places: Mapping[str, str], at: float, wanted: tuple[str, ...] | None
) -> Knowledge:
    """Return the knowledge after the list of environments, names by id. If there are none, it completes the round.

    A configured one is found by its id or name, all that have the name; one not in the list is requested as configured.
    """
    if wanted is not None:
        places = {
            identity: places.get(identity, each)
            for each in wanted
            for identity in [one for one, name in places.items() if each in {one, name}] or [each]
        }
    if len(places) > MOST_ENVIRONMENTS:
        raise Malformed(f"more than {MOST_ENVIRONMENTS:,} environments: list those that matter in `environments`")
    if knowledge.environments and not places and knowledge.emptied_at is None:
        # A list that is suddenly empty must be confirmed by a second one.
        return replace(knowledge, emptied_at=at)
    # Cut before they are compared: two long names that begin alike must not become one label value.
    places = {identity: cut_label(place, LABEL_BYTES // 2) for identity, place in places.items()}
    names = Counter(name for identity, place in places.items() for name in (place, f"{place} ({identity})"))
    rounds, environments = furthest(knowledge.environments), {}
    for identity, place in places.items():
        # The name is a label value: two series must not share it.
        name = place if names[place] == 1 else f"{place} ({identity})"
        known = knowledge.environments.get(identity, Environment(name, rounds=rounds))
        environments[identity] = replace(known, name=name)
    listed = replace(knowledge, listed_at=at, environments=environments, wanted=wanted, emptied_at=None)
    return listed if places else replace(listed, as_of=at, round_at=at)


def with_plans(knowledge: Knowledge, status: str, plans: Plans) -> Knowledge:
    """Return the knowledge after the maintenance plans of a status. That there suddenly are none must be confirmed."""
    known = knowledge.plans.get(status)
    if known and known.count and not (plans.count or plans.listed) and known.emptied_at is None:
        plans = replace(known, emptied_at=plans.at)
    return replace(knowledge, plans={**knowledge.plans, status: plans})


def with_page(environment: Environment, found: Found, page: int, at: float, settings: Settings) -> Environment:
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
    grown = replace(listing, pages=page, incidents=(*listing.incidents, *found.incidents))
    rows = len(grown.incidents)
    # A vendor without paging repeats the same page for ever: a page with nothing new ends the listing.
    seen = {incident.id for incident in listing.incidents if incident.id}
    is_full = len(found.incidents) >= settings.page_size if found.total is None else rows < found.total
    more = is_full and any(incident.id not in seen for incident in found.incidents)
    if more and page < settings.max_pages and rows < LAST_INCIDENT:
        return replace(environment, unfinished=grown)
    whole = _whole(environment.folders.get(ACTIVE), grown, found.total, truncated=more or shifted)
    return replace(environment, unfinished=None).with_folder(ACTIVE, whole)


def _whole(before: Folder | None, listing: Listing, total: int | None, *, truncated: bool) -> Folder:
    """Count an incident that moved between pages once, as last listed; 0 for combinations seen before."""
    listed = {incident.id or f"unnamed {place}": incident for place, incident in enumerate(listing.incidents)}
    # In the place of one that is there twice another is missing.
    truncated = truncated or (total or 0) > len(listed)
    active = [incident for incident in listed.values() if incident.active]
    counts = Counter({(status, severity): 0 for status, severity, _ in before.counts} if before else {})
    counts.update((incident.status, incident.severity) for incident in active)
    return Folder(
        at=listing.began,
        total=total if total is not None or truncated else len(active),
        found=len(listing.incidents),
        counts=tuple((*key, count) for key, count in sorted(counts.items())),
        oldest=min((incident.start for incident in active if incident.start is not None), default=None),
        truncated=truncated,
    )


def with_environment(knowledge: Knowledge, identity: str, changed: Environment, at: float) -> Knowledge:
    """Return the knowledge with one environment changed, ending its round and the target's if they are complete."""
    times = [folder.at for folder in changed.folders.values()]
    if len(times) == len(FOLDERS) and min(times) > changed.round_ended:
        # All its folders have been read again since its last round ended.
        changed = replace(changed, round_ended=at, rounds=max(changed.rounds + 1, furthest(knowledge.environments)))
    environments = {**knowledge.environments, identity: changed}
    before, up = keeping_up(knowledge.environments).values(), keeping_up(environments).values()
    as_of = min((folder.at for each in up for folder in each.folders.values()), default=knowledge.as_of)
    ended = min(each.rounds for each in up) > min(each.rounds for each in before)
    round_at = as_of if ended else knowledge.round_at
    return replace(knowledge, environments=environments, as_of=as_of, round_at=round_at)
