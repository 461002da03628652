"""The next request, and the age that an uptime may reach: the arithmetic of README.md."""

from collections.abc import Iterator, Mapping
from heapq import nsmallest
from itertools import islice
from urllib.parse import quote

from exporter.collectors.contract import UNSEEN, Get, Probe, Reason, TlsEndpoint, confirmed

from .answers import History
from .config import Settings
from .knowledge import Known, Uptime, unasked, unsettled

LISTING = "/monitors"
DETAIL = "/monitors/{id}"
INCIDENTS = "/monitors/{id}/incidents"

MOST = 50
"""Requests of a kind to offer at a time, besides those that back off."""
TROUBLED_SHARE = 0.5
"""Largest share of the budget left by statuses for the incidents of monitors that stay down."""
STALLED = 2.0
"""Turns after which a round whose next page keeps failing is restarted: its earlier pages expire too."""
CORRECTED = 60.0
"""Seconds by which the clock may be set back during a round."""


def round_every(settings: Settings, pages: int) -> float:
    """Return the seconds between two requests for the same page of statuses, of `pages` in all."""
    return max(settings.poll_interval, pages * 60.0 / (settings.requests_per_minute * settings.status_share))


def left(settings: Settings, known: Known) -> float:
    """Return the requests per minute that the statuses leave for the rest."""
    return settings.requests_per_minute - known.pages * 60.0 / round_every(settings, known.pages)


def rotation(settings: Settings, known: Known) -> float:
    """Return the seconds between two uptimes of one monitor, as the budget besides the statuses allows."""
    return max(settings.uptime_interval, len(known.monitors) * 60.0 / left(settings, known))


def trouble_every(settings: Settings, known: Known, troubled: int) -> float:
    """Return the seconds between two requests for the incidents of a monitor that is down, of `troubled` in all."""
    return max(settings.down_interval, troubled * 60.0 / (left(settings, known) * TROUBLED_SHARE))


def gets(settings: Settings, known: Known, now: float, most: int) -> Iterator[Get]:
    """Yield the `most` urgent requests of each kind, due or not."""
    changed = [(at, one, what) for one, at in known.changed.items() if any(what := unsettled(known, one))]
    # Due one whole turn ago counts as overdue by it: a changed monitor goes before the regular rotation.
    for at, identity, (incidents, _) in changed:
        if incidents and known.listing and at == known.listing.told_at and identity in known.listing.urgent:
            yield _get(INCIDENTS, identity, Reason.STATUS, at - settings.poll_interval, settings.poll_interval)
    yield _page(settings, known, now)
    every = trouble_every(settings, known, len(changed))
    for at, identity in nsmallest(most, ((at, identity) for at, identity, (incidents, _) in changed if incidents)):
        yield _get(INCIDENTS, identity, Reason.CHANGED, at - every, every)
    for at, identity in nsmallest(most, ((at, identity) for at, identity, (_, due) in changed if due)):
        yield _get(DETAIL, identity, Reason.CHANGED, at, every)
    for identity, at in islice(unasked(known), most):
        yield _get(DETAIL, identity, Reason.CHANGED, at, settings.uptime_interval)
    every = trouble_every(settings, known, len(known.troubled))
    troubled = ((known.incidents[one].at + every, one) for one in known.troubled if one in known.incidents)
    for at, identity in nsmallest(most, troubled):
        yield _get(INCIDENTS, identity, Reason.CHANGED, at, every)
    for at, identity in islice(_turns(known, known.uptimes, settings.uptime_interval), most):
        yield _get(DETAIL, identity, Reason.OLDEST, at, settings.uptime_interval)
    for at, identity in islice(_turns(known, known.incidents, settings.incidents_interval), most):
        yield _get(INCIDENTS, identity, Reason.OLDEST, at, settings.incidents_interval)


def _turns(
    known: Known, read: Mapping[str, Uptime] | Mapping[str, History], every: float
) -> Iterator[tuple[float, str]]:
    """Yield when each monitor has its turn: first those never read, then the one read the longest ago."""
    yield from ((one.found, identity) for identity, one in known.monitors.items() if identity not in read)
    yield from ((each.at + every, identity) for identity, each in read.items())


def probes(settings: Settings, known: Known) -> Iterator[Probe]:
    """Yield the most urgent probes, one for all monitors of the same host and port."""
    every, retry = settings.certificate_interval, settings.certificate_retry_interval
    places = {one.place: one.found for one in known.monitors.values()}
    unprobed = ((at, place) for place, at in places.items() if place and place not in known.observations)
    again = ((seen.due(every, min(retry, every)), place) for place, seen in known.observations.items())
    for due, place in (*islice(unprobed, MOST), *nsmallest(MOST, again)):
        host, _, port = place.rpartition(":")
        to = TlsEndpoint(place, host, host, int(port))
        yield Probe(endpoint="tls", reason=Reason.OLDEST, due=due, every=every, to=to)


def _page(settings: Settings, known: Known, now: float) -> Get:
    """Return the request for the next page. A round that stalled, or is from the future, is restarted."""
    every = round_every(settings, known.pages)
    listing = known.listing
    if listing and -CORRECTED <= now - listing.told_at <= min(settings.max_age, STALLED * every):
        number, due = len(listing.firsts) + 1, listing.told_at
    else:
        number, due = 1, 0.0 if known.round_at is None else known.round_at + every
    params = () if number == 1 else ((settings.page_parameter, str(number)),)
    return Get(
        endpoint=LISTING,
        reason=Reason.STATUS,
        due=confirmed(known.emptied_at, every, due),
        every=every,
        path=LISTING,
        params=params,
        expected_statuses=frozenset({404} if number > 1 else ()),
    )


def _get(endpoint: str, identity: str, reason: Reason, due: float, every: float) -> Get:
    """Return a request about one monitor. That it is gone or not ours is expected and must not stop the rotation."""
    # Quoting what needs no quotes was a fifth of every decision.
    plain = identity.isalnum() and identity.isascii()
    path = endpoint.replace("{id}", identity if plain else quote(identity, safe=""))
    return Get(
        endpoint=endpoint, reason=reason, due=due, every=every, path=path, item=identity, expected_statuses=UNSEEN
    )
