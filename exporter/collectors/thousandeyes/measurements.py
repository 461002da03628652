"""The results of one test's latest round, over all its agents, as numbers by name.

Several agents or BGP monitors measure the same thing: shares and means speak for all of them, `max` for the worst.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

from .answers import number_of, read_document, read_rows, text_of, time_of

Rows = list[dict[str, Any]]


def read_results(kind: str, body: bytes) -> dict[str, float]:
    """Read `/test-results/{id}/{kind}`; of several rounds the latest counts. What nobody measured is left out."""
    rows = list(read_rows(read_document(body), "results"))
    rounds = [number_of(row.get("roundId")) or number_of(row.get("startTime")) for row in rows]
    latest = max((each for each in rounds if each is not None), default=None)
    return dict(READERS[kind]([row for row, each in zip(rows, rounds, strict=True) if each == latest]))


def _http(rows: Rows) -> Iterator[tuple[str, float]]:
    errors = [error.lower() for row in rows if (error := text_of(row.get("errorType")))]
    if errors:
        yield "availability", errors.count("none") / len(errors)
    expiries = [expires for row in rows if (expires := _expiry(row)) is not None]
    if expiries:
        yield "expires", min(expiries)


def _expiry(row: dict[str, Any]) -> float | None:
    """Return when the server's own certificate, the first of the chain, ends: the vendor calls it `validBefore`."""
    chain = row.get("sslCertificates")
    leaf = chain[0] if isinstance(chain, list) and chain else None
    return time_of(leaf.get("validBefore")) if isinstance(leaf, dict) else None


def _network(rows: Rows) -> Iterator[tuple[str, float]]:
    # The vendor tells percent and milliseconds, Prometheus wants ratios and seconds.
    for name, member, unit in (("loss", "loss", 100), ("latency", "avgLatency", 1000), ("jitter", "jitter", 1000)):
        found = [number / unit for number in _numbers(rows, member)]
        if found:
            yield f"{name} mean", fmean(found)
            yield f"{name} max", max(found)


def _bgp(rows: Rows) -> Iterator[tuple[str, float]]:
    if reached := list(_numbers(rows, "reachability")):
        yield "bgp reachability", fmean(reached) / 100
    for name, member in (("bgp updates", "updates"), ("bgp path changes", "pathChanges")):
        if found := list(_numbers(rows, member)):
            yield name, sum(found)


def _dns(rows: Rows) -> Iterator[tuple[str, float]]:
    if rows:
        # An answer has a resolution time and no error; what has neither answered nothing.
        answered = [number_of(row.get("resolutionTime")) is not None and not row.get("errorDetails") for row in rows]
        yield "dns availability", sum(answered) / len(answered)


def _numbers(rows: Iterable[Mapping[str, Any]], member: str) -> Iterator[float]:
    return (number for row in rows if (number := number_of(row.get(member))) is not None)


READERS: Mapping[str, Callable[[Rows], Iterator[tuple[str, float]]]] = {
    "http-server": _http,
    "network": _network,
    "bgp": _bgp,
    "dns-server": _dns,
}
