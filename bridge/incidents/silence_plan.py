"""The wanted silences, and the steps to get there: (incidents, our silences, now) → steps. Pure.

Our silences are those that Alertmanager lists with our owner tag in the comment, which names our database and the
alert. So nothing is forgotten or duplicated after a restart, and other people's silences are never touched.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.incident import IncidentRecord
from bridge.receivers.bigpanda import CREATED_BY

_OWNER_TAG: Final = re.compile(r"\[vendorwatch (\S+) (.+)\]$")
_HOUR: Final = 3600.0
_SAME: Final = 1.0
"""Seconds by which two equal ends may differ: Alertmanager and BigPanda format them differently."""
_LONGEST_NAME: Final = 128


class Verb(StrEnum):
    """The action of a step; the metric's label."""

    CREATE = "created"
    UPDATE = "updated"
    EXPIRE = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A silence for one alert until `ends_at` (epoch seconds). `matchers`: its labels, matched for equality.

    It also matches an alert with these labels and further ones.
    """

    key: str
    matchers: tuple[tuple[str, str], ...]
    ends_at: float
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence(Wanted):
    """One of our silences in Alertmanager, active or pending. `starts_at`: as Alertmanager writes it.

    `matchers` empty: not of the kind that we create.
    """

    id: str
    starts_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step and its reason. `silence`: to be changed or expired; `wanted`: to be created or changed into."""

    verb: Verb
    key: str
    reason: str
    wanted: Wanted | None = None
    silence: Silence | None = None


def wanted(
    incidents: Iterable[IncidentRecord],
    alerts: Mapping[str, Alert],
    now: float,
    owner: str,
    sources: Collection[str] | None,
) -> dict[str, Wanted]:
    """Return the silence of each alert whose incident is snoozed now, by alert key.

    `alerts`: the known states of their keys; only Alertmanager alerts of these `sources` (None: all) are silenced. An
    alert belongs to one incident only: the active one that BigPanda changed last.
    """
    homes: dict[str, IncidentRecord] = {}
    # BigPanda does not report a merged incident: the active one that changed last counts.
    for record in sorted(incidents, key=lambda one: (one.active, one.updated_at, one.heard_at)):
        homes |= dict.fromkeys(record.keys, record)
    # A snooze without an end is silenced for one to two hours, and renewed while it lasts.
    endless = (math.floor(now / _HOUR) + 2) * _HOUR
    found = {}
    for key, record in homes.items():
        alert, ends_at = alerts.get(key), endless if record.snoozed_until is None else record.snoozed_until
        snoozed = record.active and record.snoozed and ends_at > now
        if not snoozed or alert is None or alert.receiver != "alertmanager":
            continue
        matchers = tuple(sorted((name, value) for name, value in alert.labels.items() if value))
        if matchers and (sources is None or alert.source in sources):
            words = f"{comment(record)} {owner_tag(owner, key)}"
            found[key] = Wanted(key=key, matchers=matchers, ends_at=ends_at, comment=words)
    return found


def comment(record: IncidentRecord) -> str:
    """Return the comment of a silence for the operator: which incident, and who. No part of it looks like our tag."""
    who = f"; {record.who[:_LONGEST_NAME]}" if record.who else "; by an unknown user"
    link = f"; {record.link}" if record.link else ""
    words = f"Snoozed in BigPanda: incident {record.id}{who}{link}. Wake it there to end this silence."
    return words.replace("[", "(").replace("]", ")")


def owner_tag(owner: str, key: str) -> str:
    """Return the tag that marks a silence for an alert as ours."""
    return f"[vendorwatch {owner} {key}]"


def tagged_key(created_by: str, comment: str, owner: str) -> str | None:
    """Return the alert key of one of our silences; None for other silences."""
    found = _OWNER_TAG.search(comment) if created_by == CREATED_BY else None
    return found[2] if found and found[1] == owner else None


def plan(should: Mapping[str, Wanted], ours: Collection[Silence]) -> Iterator[Step]:
    """Yield the steps from the existing silences to the wanted ones."""
    held: dict[str, Silence] = {}
    # Of several for one alert, keep a correct one.
    wrong = {one.id for one in ours if one.key in should and _difference(one, should[one.key])}
    for silence in sorted(ours, key=lambda one: (one.id in wrong, one.id)):
        if silence.key not in should:
            reason = "its alert is no longer in a snoozed incident"
            yield Step(verb=Verb.EXPIRE, key=silence.key, reason=reason, silence=silence)
        elif silence.key in held:
            yield Step(verb=Verb.EXPIRE, key=silence.key, reason="its alert has another silence", silence=silence)
        else:
            held[silence.key] = silence
    for key, one in should.items():
        if key not in held:
            yield Step(verb=Verb.CREATE, key=key, reason="its incident is snoozed", wanted=one)
        elif found := _difference(held[key], one):
            yield Step(verb=Verb.UPDATE, key=key, reason=found, wanted=one, silence=held[key])


def _difference(silence: Silence, one: Wanted) -> str:
    if silence.matchers != one.matchers:
        return "its matchers differ from its alert's labels"
    if abs(silence.ends_at - one.ends_at) >= _SAME:
        return "the end of the snooze has changed"
    return "" if silence.comment == one.comment else "the incident or its comment has changed"
