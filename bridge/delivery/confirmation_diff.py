"""What BigPanda took in, compared with what was sent: (sent events, listing) → confirmed, missed, resend, lost. Pure.

201 is not arrival: BigPanda drops some events later and says so in its diagnostics only. Neither listing is documented
beyond its parameters, so both are read leniently.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.errors import Unreadable
from bridge.metrics import DIAGNOSTICS
from bridge.outbox.confirmations import SentEvent

LOOKS: Final = 2
"""Looks in which an event is not listed, after which it counts as not taken in."""
RESENDS: Final = 3
"""How often such an event is resent, each time after two looks without it: what drops one of twenty drops one resent
event of twenty too, and every one is to arrive. The same bytes: what was taken in late is a duplicate, and no harm."""
_LISTS: Final = ("alerts", "items", "data", "results", "logs")
_INSIDE: Final = ("alert", "payload", "raw", "data", "event", "tags")
"""Members in which a listing may hold the alert as it was sent."""
_MILLISECONDS: Final = 1e11


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """An alert as BigPanda lists it; None: it does not say."""

    key: str
    timestamp: int | None
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One entry of BigPanda's diagnostics about one of our app keys."""

    id: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a look leads to. `resend`: missed in two looks since it was sent; `lost`: however often it was resent."""

    confirmed: tuple[SentEvent, ...] = ()
    missed: tuple[SentEvent, ...] = ()
    resend: tuple[SentEvent, ...] = ()
    lost: tuple[SentEvent, ...] = ()


def compare(sent: Iterable[SentEvent], listed: Iterable[ListedAlert]) -> Comparison:
    """Compare what was sent with a whole listing."""
    exact, timeless = set(), set()
    for alert in listed:
        exact.add((alert.key, alert.timestamp))
        if alert.timestamp is None:
            timeless.add((alert.key, alert.status))
    outcomes: dict[str, list[SentEvent]] = {"confirmed": [], "missed": [], "resend": [], "lost": []}
    for event in sent:
        # No two events of an alert bear the same second, so the time tells which of them it is.
        if (event.key, event.timestamp) in exact or not timeless.isdisjoint(
            {(event.key, event.status), (event.key, None)}
        ):
            outcomes["confirmed"].append(event)
        elif event.looks + 1 < LOOKS:
            outcomes["missed"].append(event)
        elif event.resends < RESENDS:
            outcomes["resend"].append(event)
        else:
            outcomes["lost"].append(event)
    return Comparison(**{name: tuple(events) for name, events in outcomes.items()})


def read_alerts(answer: Any) -> list[ListedAlert]:
    """Return the alerts of one page of a listing that are ours. Unreadable when it is no list."""
    return [alert for entry in entries(answer) if (alert := _alert(entry)) is not None]


def entries(answer: Any) -> list[Mapping[str, Any]]:
    """Return the objects of one page, in whichever member they are listed. Unreadable when there is none."""
    found = answer
    if isinstance(answer, dict):
        found = next((answer[name] for name in _LISTS if isinstance(answer.get(name), list)), None)
    if not isinstance(found, list):
        raise Unreadable("the answer holds no list")
    return [entry for entry in found if isinstance(entry, dict)]


def _alert(entry: Mapping[str, Any]) -> ListedAlert | None:
    members = list(_members(entry))
    for name in ("incident_identifier", "vendorwatch_key"):
        for one in members:
            if isinstance(key := one.get(name), str) and key:
                # What holds the identity is the alert as it was sent; what is around it is BigPanda's own.
                status = one.get("status")
                return ListedAlert(
                    key, _time(one.get("timestamp")), status.lower() if isinstance(status, str) else None
                )
    return None


def _members(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield entry
    for name in _INSIDE:
        inside = entry.get(name)
        if isinstance(inside, dict):
            yield from _members(inside)
        elif isinstance(inside, list):
            # Tags as BigPanda's incidents list them: [{"name": …, "value": …}].
            yield {str(tag.get("name")): tag.get("value") for tag in inside if isinstance(tag, dict)}


def _time(value: Any) -> int | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(found) or isinstance(value, bool):
        return None
    return int(found / 1000 if found > _MILLISECONDS else found)


def read_diagnostics(answer: Any, app_keys: Iterable[str], sources: Iterable[str]) -> list[Diagnostic]:
    """Return the entries of one page of the diagnostics that are about our app keys. Unreadable when it is no list."""
    keys, prefixes = frozenset(app_keys), tuple(f"{source}:" for source in sources)
    found = []
    for entry in entries(answer):
        resource = str(entry.get("resource_id") or "")
        identities = [str(one.get("incident_identifier") or "") for one in _members(entry)]
        ours = (
            resource in keys
            or resource.partition(".")[2] in keys
            or any(one.get("app_key") in keys for one in _members(entry) if isinstance(one.get("app_key"), str))
            or any(identity.startswith(prefixes) for identity in identities if prefixes)
        )
        if ours:
            level = str(entry.get("level") or "").lower()
            message = str(entry.get("message") or entry.get("log_type") or "")
            number = str(entry.get("log_id") or entry.get("id") or f"{entry.get('timestamp')} {message}")
            found.append(Diagnostic(id=number, level=level if level in DIAGNOSTICS else "other", message=message))
    return found
