"""An account group's inventory besides alerts and tests: agents, their local problems, plan usage, outages."""

from collections import Counter
from dataclasses import dataclass

from exporter.collectors.lenient_json import number_of, read_object, text_of, time_of

from .answers import read_rows

STATES = {"online": True, "offline": False}
"""A disabled agent, or one in an undocumented state, is neither."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One enterprise agent or cluster; None for missing values. `seen`: epoch seconds, `load`: 0 to 1."""

    id: str
    name: str
    type: str
    location: str
    online: bool | None
    seen: float | None
    load: float | None
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Units of the plan in the current period: used so far, for cloud and enterprise together, and included."""

    used: float | None = None
    included: float | None = None


def read_agents(body: bytes) -> tuple[Agent, ...]:
    """Read `/agents`, leaving out cloud agents, which the vendor runs, and agents without an id."""
    agents = {}
    for row in read_rows(read_object(body), "agents"):
        identity, kind = text_of(row.get("agentId")), text_of(row.get("agentType"))
        if kind == "cloud" or not identity:
            continue
        load, errors = number_of(row.get("utilization")), row.get("errorDetails")
        agents[identity] = Agent(
            id=identity,
            name=text_of(row.get("agentName")),
            type=kind,
            location=text_of(row.get("location")),
            online=STATES.get(text_of(row.get("agentState")).lower()),
            seen=time_of(row.get("lastSeen")),
            load=None if load is None else load / 100,
            errors=len(errors) if isinstance(errors, list) else 0,
        )
    return tuple(agents.values())


def read_local_problems(body: bytes) -> dict[str, int]:
    """Read `/agents/local-problems` as the number of active ones by agent id."""
    active: Counter[str] = Counter()
    for row in read_rows(read_object(body), "localProblems"):
        agent = row.get("agent")
        if row.get("active") is True and isinstance(agent, dict) and (name := text_of(agent.get("agentId"))):
            active[name] += 1
    return dict(active)


def read_usage(body: bytes) -> Usage:
    """Read `/usage`. A plan without metered billing has no enterprise units: the cloud's are then the total."""
    document = read_object(body)
    found = document.get("usage")
    usage = found if isinstance(found, dict) else {}
    quota = usage.get("quota")
    units = [number_of(usage.get(name)) for name in ("cloudUnitsUsed", "enterpriseUnitsUsed")]
    known = [each for each in units if each is not None]
    included = number_of(quota.get("cloudUnitsIncluded")) if isinstance(quota, dict) else None
    return Usage(sum(known) if known else None, included)


def read_outages(body: bytes) -> dict[str, int]:
    """Read `/internet-insights/outages/filter` as the number of ongoing outages by type (`app`, `net`)."""
    rows = read_rows(read_object(body), "outages")
    going_on = [row for row in rows if not row.get("endDate") and not row.get("endRoundId")]
    return {"app": 0, "net": 0} | Counter(text_of(row.get("type")).lower() or "unknown" for row in going_on)
