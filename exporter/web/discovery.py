"""Prometheus' http_sd: what the collectors know to probe, so that others can look at it from inside. Pure.

`/sd/<collector>` is about all accounts, `/sd/<collector>/<account>` about one.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from exporter.metrics.health import Endpoint
from exporter.metrics.page_cache import Source
from exporter.toolkit.text import cut_label

BELOW: Final = "/sd/"
"""What every path begins with."""


def named(path: str, sources: Iterable[Source]) -> list[Source]:
    """Return the targets that a path (as WSGI hands it on) is about, of those that know of anything to probe."""
    collector, slash, account = path.removeprefix(BELOW).encode("latin-1").decode("utf-8", "replace").partition("/")
    return [
        source
        for source in sources
        if source.discovers and source.identity[0] == collector and (not slash or source.identity[1] == account)
    ]


def document(found: Iterable[tuple[tuple[str, str], Sequence[Endpoint]]]) -> bytes:
    """Return the JSON: a group for each endpoint, of targets given by (collector, account)."""
    groups = []
    for (collector, account), endpoints in found:
        for endpoint in endpoints:
            told = (("account", account), *endpoint.labels)
            labels = {f"__meta_{collector}_{name}": cut_label(value) for name, value in told}
            groups.append({"targets": [endpoint.address], "labels": labels})
    return json.dumps(groups).encode()
