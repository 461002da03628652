"""What is read beside the alerts: the results of tests, agents, their local problems, plan usage and outages.

Several agents or BGP monitors measure the same thing: shares and means cover all of them, `max` is the worst.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean
from typing import Any, Final

from exporter.collectors.lenient_json import amount_of, percent_of, read_object, text_of
from exporter.toolkit.lenient import flag_of, number_of, object_of, objects_of, time_of

from .answers import UNKNOWN, read_rows

Value = tuple[str, tuple[str, ...], float]
"""The metric's name without `thousandeyes_`, its label values after the account group, and the value."""
RESULTS: Final = {"http": "http-server", "network": "network", "bgp": "bgp", "dns": "dns-server"}
"""The kinds of results in `result_types`, and the vendor's names for them."""
_ONLINE: Final = {"online": 1.0, "offline": 0.0}
"""A disabled agent, or one in an undocumented state, is neither."""
_PERCENT: Final = 100
_OF_NUMBERS: Final[Mapping[str, tuple[tuple[str, str, str, Callable[[list[float]], float], float], ...]]] = {
    "network": (
        ("test_loss_ratio", "mean", "loss", fmean, _PERCENT),
        ("test_loss_ratio", "max", "loss", max, _PERCENT),
        ("test_latency_seconds", "mean", "avgLatency", fmean, 1000),
        ("test_latency_seconds", "max", "avgLatency", max, 1000),
        ("test_jitter_seconds", "mean", "jitter", fmean, 1000),
        ("test_jitter_seconds", "max", "jitter", max, 1000),
    ),
    "bgp": (
        ("test_bgp_reachability_ratio", "", "reachability", fmean, _PERCENT),
        ("test_bgp_updates", "", "updates", sum, 1),
        ("test_bgp_path_changes", "", "pathChanges", sum, 1),
    ),
}
"""By kind: our name and `stat`, the vendor's member, the aggregation over the rows, and the factor to our unit.

The vendor uses percent and milliseconds, Prometheus ratios and seconds.
"""


def read_results(test: str, kind: str, body: bytes, oldest: float = 0.0) -> Iterator[Value]:
    """Read `/test-results/{id}/{kind}`; the latest of several rounds counts, unless it was before `oldest`.

    Missing and impossible measurements, such as a negative latency, are left out.
    """
    listed = read_rows(read_object(body), "results")
    rounds = [number_of(row.get("roundId")) or number_of(row.get("startTime")) for row in listed]
    latest = max((each for each in rounds if each is not None), default=None)
    if (began := time_of(latest)) is not None and began < oldest:
        return  # the vendor keeps the last round of a test that no longer runs
    rows = [row for row, each in zip(listed, rounds, strict=True) if each == latest]
    for name, stat, member, over, part in _OF_NUMBERS.get(kind, ()):
        read = percent_of if part == _PERCENT else amount_of
        if numbers := [number for row in rows if (number := read(row.get(member))) is not None]:
            yield name, (test, stat) if stat else (test,), over(numbers) / part
    if kind == "http-server":
        if errors := [error for row in rows if (error := _error_of(row))]:
            yield "test_availability_ratio", (test,), errors.count("none") / len(errors)
        # The server's own certificate comes first in the chain; the vendor calls its expiry `validBefore`.
        chains = [chain for row in rows if isinstance(chain := row.get("sslCertificates"), list)]
        ends = [time_of(object_of(chain[0]).get("validBefore")) for chain in chains if chain]
        if expiries := [end for end in ends if end is not None]:
            yield "certificate_expiry_timestamp_seconds", (test,), min(expiries)
    if kind == "dns-server" and rows:
        # A successful query has a resolution time and no error; a row with neither got no answer.
        answered = [number_of(row.get("resolutionTime")) is not None and not row.get("errorDetails") for row in rows]
        yield "test_dns_availability_ratio", (test,), sum(answered) / len(answered)


def _error_of(row: dict[str, Any]) -> str:
    """Return an agent's error in lower case, `none` also for a successful response without one; "" if unknown."""
    was_answered = 0 < (number_of(row.get("responseCode")) or 0.0) < 400  # noqa: PLR2004  4xx, 5xx
    return text_of(row.get("errorType")).strip().lower() or ("none" if was_answered else "")


def read_agents(document: dict[str, Any]) -> Iterator[Value]:
    """Read `/agents` and the members of clusters, without the vendor's own cloud agents and any agent without an id."""
    rows = [row for row in read_rows(document, "agents") if row.get("agentType") != "cloud"]
    for row in rows[:]:
        for member in objects_of(row.get("clusterMembers")):
            name = f"{text_of(row.get('agentName'))}/{text_of(member.get('name'))}"
            of_cluster = {"agentType": "cluster-member", "location": row.get("location")}
            rows.append({**member, **of_cluster, "agentId": member.get("memberId"), "agentName": name})
    for agent, row in {text_of(row.get("agentId")): row for row in rows}.items():
        load, errors = amount_of(row.get("utilization")), row.get("errorDetails")
        values = {
            "agent_online": _ONLINE.get(text_of(row.get("agentState")).strip().lower()),
            "agent_last_seen_timestamp_seconds": time_of(row.get("lastSeen")),
            "agent_utilization_ratio": None if load is None else load / 100,
            "agent_errors": float(len(errors) if isinstance(errors, list) else 0),
        }
        if agent:
            yield from ((name, (agent,), value) for name, value in values.items() if value is not None)
            about = (text_of(row.get(name)) for name in ("agentName", "agentType", "location"))
            yield "agent_info", (agent, *about), 1.0


def read_local_problems(document: dict[str, Any]) -> Iterator[Value]:
    """Read `/agents/local-problems` as the cloud agents that have active ones, and the number of each."""
    active: Counter[str] = Counter()
    about: dict[str, tuple[str, ...]] = {}
    for row in read_rows(document, "localProblems"):
        agent = object_of(row.get("agent"))
        if flag_of(row.get("active")) and (name := text_of(agent.get("agentId"))):
            active[name] += 1
            about[name] = (text_of(agent.get("agentName")), "cloud", text_of(agent.get("location")))
    yield from (("agent_local_problems", (agent,), float(count)) for agent, count in active.items())
    yield from (("agent_info", (agent, *labels), 1.0) for agent, labels in about.items())


def read_usage(document: dict[str, Any]) -> Iterator[Value]:
    """Read `/usage`: the units used so far, for cloud and enterprise together, and those that the plan includes.

    A plan without metered billing has no enterprise units: the cloud's are then the total.
    """
    usage = object_of(document.get("usage"))
    units = [amount_of(usage.get(name)) for name in ("cloudUnitsUsed", "enterpriseUnitsUsed")]
    if known := [each for each in units if each is not None]:
        yield "units_used", (), sum(known)
    included = amount_of(object_of(usage.get("quota")).get("cloudUnitsIncluded"))
    if included is not None:
        yield "units_included", (), included


def read_outages(document: dict[str, Any]) -> Iterator[Value]:
    """Read `/internet-insights/outages/filter` as the number of ongoing outages by type (`app`, `net`)."""
    rows = read_rows(document, "outages")
    going_on = [row for row in rows if not row.get("endDate") and not row.get("endRoundId")]
    counts = {"app": 0, "net": 0} | Counter(text_of(row.get("type")).lower() or UNKNOWN for row in going_on)
    return (("outages", (kind,), float(count)) for kind, count in counts.items())


LISTS: Final[Mapping[str, tuple[str, Callable[[dict[str, Any]], Iterator[Value]]]]] = {
    "agents": ("/agents", read_agents),
    "local_problems": ("/agents/local-problems", read_local_problems),
    "usage": ("/usage", read_usage),
    "outages": ("/internet-insights/outages/filter", read_outages),
}
"""The endpoint of each kind of list, and how its response is read."""
