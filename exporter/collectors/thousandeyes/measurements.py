"""The results of one test's latest round over all its agents, as numbers by name.

Several agents or BGP monitors measure the same thing: shares and means cover all of them, `max` is the worst.
"""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Final

from exporter.collectors.lenient_json import number_of, read_object, text_of, time_of

from .answers import read_rows

_OF_NUMBERS: Final[Mapping[str, tuple[tuple[str, str, Callable[[list[float]], float], float], ...]]] = {
    "network": (
        ("loss mean", "loss", fmean, 100),
        ("loss max", "loss", max, 100),
        ("latency mean", "avgLatency", fmean, 1000),
        ("latency max", "avgLatency", max, 1000),
        ("jitter mean", "jitter", fmean, 1000),
        ("jitter max", "jitter", max, 1000),
    ),
    "bgp": (
        ("bgp reachability", "reachability", fmean, 100),
        ("bgp updates", "updates", sum, 1),
        ("bgp path changes", "pathChanges", sum, 1),
    ),
}
"""By kind: our name, the vendor's member, the aggregation over the rows, and the factor to our unit.

The vendor uses percent and milliseconds, Prometheus ratios and seconds.
"""


def read_results(kind: str, body: bytes) -> dict[str, float]:
    """Read `/test-results/{id}/{kind}`; the latest of several rounds counts. Missing measurements are left out."""
    listed = read_rows(read_object(body), "results")
    rounds = [number_of(row.get("roundId")) or number_of(row.get("startTime")) for row in listed]
    latest = max((each for each in rounds if each is not None), default=None)
    rows = [row for row, each in zip(listed, rounds, strict=True) if each == latest]
    measured: dict[str, float] = {}
    for name, member, over, part in _OF_NUMBERS.get(kind, ()):
        numbers = [number for row in rows if (number := number_of(row.get(member))) is not None]
        if numbers:
            measured[name] = over(numbers) / part
    if kind == "http-server":
        errors = [error.lower() for row in rows if (error := text_of(row.get("errorType")))]
        if errors:
            measured["availability"] = errors.count("none") / len(errors)
        # The server's own certificate comes first in the chain; the vendor calls its expiry `validBefore`.
        chains = [chain for row in rows if isinstance(chain := row.get("sslCertificates"), list)]
        ends = [time_of(chain[0].get("validBefore")) for chain in chains if chain and isinstance(chain[0], dict)]
        if expiries := [end for end in ends if end is not None]:
            measured["expires"] = min(expiries)
    if kind == "dns-server" and rows:
        # A successful query has a resolution time and no error; a row with neither got no answer.
        answered = [number_of(row.get("resolutionTime")) is not None and not row.get("errorDetails") for row in rows]
        measured["dns availability"] = sum(answered) / len(answered)
    return measured
