"""Routing and authentication of a request by its path and headers alone. Pure."""

import hmac
from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qs

from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit import management
from exporter.toolkit.front import Lane, Route, only
from exporter.toolkit.wsgi import Headers


def route(path: str, receivers: Mapping[tuple[str, str], ReceiverSettings], max_body: int) -> Route:
    """Return how a path is served. Some senders' paths have a slash too many."""
    match parts := [part for part in path.split("/") if part]:
        case ["webhooks", receiver, source]:
            rest = ""
        case ["webhooks", "alerts_api" as receiver, source, "data", "v2", "alerts"]:
            rest = "/data/v2/alerts"
        case ["webhooks", *_]:
            return Route(path=path, missing="not found")
        case ["-", "reload"] if path != "/-/reload":  # which a proxy may forbid, and let this one pass
            return Route(path=path, missing="not found")
        case _:
            return management.route(f"/{'/'.join(parts)}", Lane.SIDE) or Route(path=path)
    settings = receivers.get((receiver, source))
    if settings is None:
        return Route(path=path, missing=f"no such receiver: {receiver}/{source}")
    return Route(
        path=f"/webhooks/{receiver}/{source}{rest}",
        lane=Lane.BRIEF,
        methods=("POST",),
        # a path without credentials of its own is subject to the web config's users, if any
        admits=partial(authenticated, settings) if settings.credentials() else None,
        max_body=max_body,
        receiver=f"{receiver}/{source}",
    )


def authenticated(settings: ReceiverSettings, headers: Headers, query: bytes = b"") -> bool:
    """Return whether a request has one of the receiver's credentials, or all of them if it needs all."""
    if settings.receiver == "alerts_api" and only(headers, b"authorization") is None:
        # BigPanda takes the token in the query too, from clients that cannot set headers.
        tokens = parse_qs(query.decode("latin-1")).get("access_token", [])
        headers = [*headers, *((b"authorization", b"Bearer " + one.encode("utf-8", "replace")) for one in tokens[:1])]
    matches = []
    for name, value in settings.credentials():
        given, wanted = only(headers, name.lower().encode()) or b"", value.encode()
        if name.lower() == "authorization":  # the scheme is case-insensitive
            given, wanted = _with_scheme(given), _with_scheme(wanted)
        matches.append(hmac.compare_digest(given, wanted))
    return all(matches) if settings.needs_all else any(matches)


def _with_scheme(value: bytes) -> bytes:
    scheme, space, rest = value.partition(b" ")
    return scheme.lower() + space + rest.strip() if space else value
