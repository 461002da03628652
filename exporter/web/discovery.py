"""Prometheus's http_sd: the endpoints that collectors know, so that others can probe them from inside. Pure.

`/sd/<collector>` lists all accounts, `/sd/<collector>/<account>` one.
"""

import json
from collections.abc import Iterable
from typing import Final

from exporter.polling.poller import Poller
from exporter.toolkit.text import cut_label
from exporter.toolkit.wsgi import Answer, plain

BELOW: Final = "/sd/"
"""The prefix of every path."""


def answer(path: str, pollers: Iterable[Poller]) -> Answer:
    """Answer the request for a path, as given by WSGI: JSON, one group for each endpoint."""
    collector, slash, account = path.removeprefix(BELOW).encode("latin-1").decode("utf-8", "replace").partition("/")
    named = [
        poller
        for poller in pollers
        if poller.discovers and poller.identity[0] == collector and (not slash or poller.identity[1] == account)
    ]
    if not named:
        return plain(404, "No target of that name supports service discovery.")
    found = [(poller.identity, poller.endpoints()) for poller in named]
    waiting = [" ".join(identity) for identity, endpoints in found if endpoints is None]
    if waiting:
        return plain(503, f"Endpoints not known yet, keep the previous targets: {', '.join(waiting)}")
    groups = []
    for (_, account), endpoints in found:
        for endpoint in endpoints or ():
            labelled = (("account", account), *endpoint.labels)
            labels = {f"__meta_{collector}_{name}": cut_label(value) for name, value in labelled}
            groups.append({"targets": [endpoint.address], "labels": labels})
    return Answer(200, [(b"content-type", b"application/json")], [json.dumps(groups).encode()])
