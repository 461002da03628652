"""Compares sent events with BigPanda's listing: (sent events, listing) → confirmed, missed, resend, lost. Pure.

A 201 does not mean that an event was processed: BigPanda drops some later and reports it only in its diagnostics.
Neither listing is documented beyond its parameters, so both are read leniently.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.delivery.answers import parsed
from bridge.errors import Unreadable
from bridge.metrics import DIAGNOSTICS
from bridge.outbox.confirmations import SentEvent
from exporter.toolkit.lenient import time_of

LOOKS: Final = 2
"""Checks in which an event is missing after which it counts as not processed."""
RESENDS: Final = 3
"""How often such an event is resent, each time after two more checks: if one in twenty is dropped, so is one resent
event in twenty, and every event must arrive. The bytes are the same, so a late original is a harmless duplicate."""
MANY: Final = 10
"""Events to resend, at least one of which would be listed if the listing showed our events at all."""
_LISTS: Final = ("alerts", "items", "data", "results", "logs")
_INSIDE: Final = ("alert", "payload", "raw", "data", "event", "tags")
"""Members in which a listing may hold the alert as sent."""


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """An alert as listed by BigPanda; None for missing values."""

    key: str
    timestamp: int | None
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One entry of BigPanda's diagnostics about one of our app keys."""

    id: str
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result of a check. `resend`: missed in two checks since it was sent; `lost`: missed although resent.

    `blind`: app keys of which no event is listed, so their listing must be wrong, and nothing is resent.
    """

    confirmed: list[SentEvent] = field(default_factory=list)
    missed: list[SentEvent] = field(default_factory=list)
    resend: list[SentEvent] = field(default_factory=list)
    lost: list[SentEvent] = field(default_factory=list)
    blind: set[str] = field(default_factory=set)


def compare(sent: Sequence[SentEvent], listings: Mapping[str, Sequence[ListedAlert]]) -> Comparison:
    """Compare sent events with the complete listing of each of their app keys."""
    found = Comparison()
    for app_key, listed in listings.items():
        exact = {(alert.key, alert.timestamp) for alert in listed}
        timeless = {(alert.key, alert.status) for alert in listed if alert.timestamp is None}
        due: list[SentEvent] = []
        for event in (one for one in sent if one.app_key == app_key):
            # No two events of an alert have the same second, so the time identifies the event.
            if (event.key, event.timestamp) in exact or timeless & {(event.key, event.status), (event.key, None)}:
                found.confirmed.append(event)
            elif event.looks + 1 < LOOKS:
                found.missed.append(event)
            else:
                (due if event.resends < RESENDS else found.lost).append(event)
        if blind := not listed and len(due) >= MANY:
            found.blind.add(app_key)
        (found.missed if blind else found.resend).extend(due)
    return found


def read_alerts(answer: Any) -> list[ListedAlert]:
    """Return our alerts on one page of a listing. Raises Unreadable if it is not a list."""
    found = []
    for entry in entries(answer):
        members = list(_members(entry))
        # The object with the identity is the alert as sent; anything around it is BigPanda's.
        sent = [(one.get(name), one) for name in ("incident_identifier", "vendorwatch_key") for one in members]
        key, one = next(((key, one) for key, one in sent if isinstance(key, str) and key), ("", {}))
        if key:
            time, status = time_of(one.get("timestamp")), one.get("status")
            word = status.lower() if isinstance(status, str) else None
            found.append(ListedAlert(key, None if time is None else int(time), word))
    return found


def entries(answer: Any) -> list[Mapping[str, Any]]:
    """Return the objects of one page, whichever member lists them. Raises Unreadable if none does."""
    found = answer
    if isinstance(answer, dict):
        inner = answer["data"] if isinstance(answer.get("data"), dict) else answer
        others = (value for name, value in inner.items() if name != "errors")
        found = next((one for one in (*map(inner.get, _LISTS), *others) if isinstance(one, list)), None)
    if not isinstance(found, list):
        raise Unreadable("the response contains no list")
    return [entry for entry in found if isinstance(entry, dict)]


def _members(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield entry
    for name in _INSIDE:
        inside = entry.get(name)
        # The alert as sent may be its JSON as text.
        inside = parsed(inside) if isinstance(inside, str) else inside
        if isinstance(inside, dict):
            yield from _members(inside)
        elif isinstance(inside, list):
            # Tags as in BigPanda's incidents: [{"name": …, "value": …}].
            yield {str(tag.get("name")): tag.get("value") for tag in inside if isinstance(tag, dict)}


def read_diagnostics(answer: Any, app_keys: Iterable[str], sources: Iterable[str]) -> list[Diagnostic]:
    """Return the entries about our app keys on one page of the diagnostics. Raises Unreadable if it is not a list."""
    keys, prefixes = frozenset(app_keys), tuple(f"{source}:" for source in sources)
    found = []
    for entry in entries(answer):
        resource, members = str(entry.get("resource_id") or ""), list(_members(entry))
        named = {resource, resource.partition(".")[2], *(str(one.get("app_key")) for one in members)}
        identities = [str(one.get("incident_identifier") or "") for one in members]
        if not named.isdisjoint(keys) or any(identity.startswith(prefixes) for identity in identities):
            level = str(entry.get("level") or "").lower()
            message = str(entry.get("message") or entry.get("log_type") or "")
            number = str(entry.get("log_id") or entry.get("id") or f"{entry.get('timestamp')} {message}")
            found.append(Diagnostic(id=number, level=level if level in DIAGNOSTICS else "other", message=message))
    return found
