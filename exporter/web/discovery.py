"""Prometheus's http_sd: the endpoints that collectors know, so that others can probe them from inside. Pure.

`/sd/<collector>` lists all accounts, `/sd/<collector>/<account>` one.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from exporter.metrics.health import Endpoint
from exporter.metrics.page_cache import Source
from exporter.toolkit.text import cut_label

BELOW: Final = "/sd/"
"""The prefix of every path."""


def named(path: str, sources: Iterable[Source]) -> list[Source]:
    """Return the targets that a path (as given by WSGI) names, of those whose collector supports discovery."""
    collector, slash, account = path.removeprefix(BELOW).encode("latin-1").decode("utf-8", "replace").partition("/")
    return [
        source
        for source in sources
        if source.discovers and source.identity[0] == collector and (not slash or source.identity[1] == account)
    ]


def document(found: Iterable[tuple[tuple[str, str], Sequence[Endpoint]]]) -> bytes:
    """Return the JSON: one group for each endpoint, given by target identity (collector, account)."""
    groups = []
    for (collector, account), endpoints in found:
        for endpoint in endpoints:
            labelled = (("account", account), *endpoint.labels)
            labels = {f"__meta_{collector}_{name}": cut_label(value) for name, value in labelled}
            groups.append({"targets": [endpoint.address], "labels": labels})
    return json.dumps(groups).encode()
