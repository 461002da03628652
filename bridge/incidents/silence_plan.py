"""Which silences there should be, and what to change so that there are: (incidents, what we made, now) → steps. Pure.

What we made is what Alertmanager lists as ours: an owner tag in the comment names our database and the alert. So
nothing is forgotten or doubled, whoever restarts at whatever moment, and nobody else's silence is touched.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.incident import IncidentRecord

CREATED_BY: Final = "vendorwatch-bridge"
_OWNER_TAG: Final = re.compile(r"\[vendorwatch (\S+) (.+)\]$")
_HOUR: Final = 3600.0
_SAME: Final = 1.0
"""Seconds that two ends may differ and be the same: Alertmanager and BigPanda do not write them alike."""
_LONGEST_NAME: Final = 128


class Verb(StrEnum):
    """What a step does; the metric's label."""

    CREATE = "created"
    UPDATE = "updated"
    EXPIRE = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One silence that there should be: for exactly one alert, until `ends_at` (epoch seconds).

    `matchers` are the alert's labels, each to be equal.
    """

    key: str
    matchers: tuple[tuple[str, str], ...]
    ends_at: float
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence of ours that Alertmanager has, active or pending. `starts_at`: as Alertmanager writes it.

    `matchers` None: not of the kind we make.
    """

    id: str
    key: str
    matchers: tuple[tuple[str, str], ...] | None
    starts_at: str
    ends_at: float
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, and why. `silence`: what is changed or ended; `wanted`: what is made or what it becomes."""

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
    """Return the silence of each alert whose incident is snoozed now, by the alert's key.

    `alerts`: what is known of the keys in them; only those of Alertmanagers, of these `sources` (None: all),
    are silenced there. An alert is in one incident only: the active one that BigPanda changed last.
    """
    homes: dict[str, IncidentRecord] = {}
    # What was merged into another incident is not reported by itself: the active one that changed last counts.
    for record in sorted(incidents, key=lambda one: (one.active, one.updated_at, one.heard_at)):
        homes |= dict.fromkeys(record.keys, record)
    # A snooze without an end is silenced for one to two hours, and again while it lasts.
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
    """Return what an operator reads beside the silence: which incident, and who. None of it looks like our tag."""
    who = f"; {record.who[:_LONGEST_NAME]}" if record.who else "; BigPanda does not say by whom"
    link = f"; {record.link}" if record.link else ""
    words = f"Snoozed in BigPanda: incident {record.id}{who}{link}. Wake it there to end this silence."
    return words.replace("[", "(").replace("]", ")")


def owner_tag(owner: str, key: str) -> str:
    """Return the tag by which our silence for an alert differs from everyone else's."""
    return f"[vendorwatch {owner} {key}]"


def tagged_key(created_by: str, comment: str, owner: str) -> str | None:
    """Return the key of the alert that a silence of ours is for; None for a silence that is not ours."""
    found = _OWNER_TAG.search(comment) if created_by == CREATED_BY else None
    return found[2] if found and found[1] == owner else None


def plan(should: Mapping[str, Wanted], ours: Collection[Silence]) -> Iterator[Step]:
    """Give the steps from the silences there are to those there should be; none when all is as it should be."""
    held: dict[str, Silence] = {}
    # Of several for one alert the one that is right is kept.
    wrong = {one.id for one in ours if one.key in should and _difference(one, should[one.key])}
    for silence in sorted(ours, key=lambda one: (one.id in wrong, one.id)):
        if silence.key not in should:
            reason = "its alert is in no snoozed incident any more"
            yield Step(verb=Verb.EXPIRE, key=silence.key, reason=reason, silence=silence)
        elif silence.key in held:
            yield Step(verb=Verb.EXPIRE, key=silence.key, reason="its alert has another one", silence=silence)
        else:
            held[silence.key] = silence
    for key, one in should.items():
        if key not in held:
            yield Step(verb=Verb.CREATE, key=key, reason="its incident is snoozed", wanted=one)
        elif found := _difference(held[key], one):
            yield Step(verb=Verb.UPDATE, key=key, reason=found, wanted=one, silence=held[key])


def _difference(silence: Silence, one: Wanted) -> str:
    if silence.matchers != one.matchers:
        return "it does not match its alert"
    if abs(silence.ends_at - one.ends_at) >= _SAME:
        return "the snooze ends at another time"
    return "" if silence.comment == one.comment else "the incident is another, or told otherwise"
