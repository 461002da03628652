"""The mapping of an Alert to a BigPanda event: identity, status, and BigPanda's limits. Pure.

Whatever the labels contain, the event respects the limits of BigPanda's Alerts API and tags.
"""

import hashlib
import re
import unicodedata
from collections import abc
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import msgspec

from bridge.domain.alert import Alert
from exporter.toolkit.text import valid

LONGEST_NAME = 64
LONGEST_VALUE = 512
LONGEST_DESCRIPTION = 2048
MEMBERS = frozenset({
    "alerts", "app_key", "check", "description", "incident_identifier", "incident_key", "primary_property",
    "secondary_property", "status", "timestamp", "vendorwatch_key", "generator_url", "alertmanager_url", "runbook_url",
    "dashboard_url", "permalink", "panel_url", "silence_url",
})  # fmt: skip
"""Reserved names, with a meaning to BigPanda or to us: no label may take them."""
_REPLICA_LINKS = ("generator_url", "alertmanager_url")
"""Links that differ between replicas of the sender: a change of these alone is no update."""
_DESCRIBING = ("description", "summary", "message")
"""Annotations for the description; the first non-empty one is used."""
_OWN_MEMBER = frozenset({"description", "runbook_url", "dashboard_url"})
_json = msgspec.json.Encoder(order="sorted").encode
_REMEMBERED = 2000
"""Most characters of an alert's names that are cached."""
_UNFIT = re.compile(r"[^a-z0-9_-]")


class Status(StrEnum):
    """BigPanda's alert statuses."""

    OK = "ok"
    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    ACKNOWLEDGED = "acknowledged"


NONE = "none"
"""The mapping of a severity whose alerts are not sent."""
DEFAULT_STATUSES: dict[str, str] = {
    **dict.fromkeys(("critical", "page", "emergency", "fatal", "error", "disaster"), Status.CRITICAL),
    **dict.fromkeys(("warning", "warn", "major", "minor", "average", "info", "information", "notice"), Status.WARNING),
    NONE: NONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMapping:
    """A receiver's mapping of alerts to events: app key, statuses, properties.

    `statuses` maps a lower-case severity to a status or to `NONE`.
    """

    app_key: str
    statuses: abc.Mapping[str, str]
    primary_property: tuple[str, ...]


def status_of(alert: Alert, mapping: EventMapping) -> tuple[Status | None, bool]:
    """Return the status for BigPanda (None: not sent), and whether the severity was known."""
    found = mapping.statuses.get(alert.severity.strip().lower())
    if found == NONE:
        return None, True
    if not alert.firing:
        return Status.OK, True
    if alert.silence:
        return Status.ACKNOWLEDGED, True
    return (Status.WARNING, False) if found is None else (Status(found), True)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event without its timestamp. `content_hash`: of its content as shown in BigPanda."""

    text: str
    content_hash: str

    def freeze(self, timestamp: int) -> str:
        """Return the event as JSON, the same bytes for every attempt."""
        return f'{{"timestamp":{timestamp},{self.text[1:]}'


def draft(alert: Alert, status: Status, mapping: EventMapping) -> Draft:
    """Return the event without its timestamp."""
    members = _members(alert, status, mapping)
    shown = _json(members)
    unhashed = {name: alert.links[name] for name in _REPLICA_LINKS if name in alert.links}
    for name, value in alert.volatile.items():
        unhashed.setdefault(_fold(name, "value_"), value)
    rest = {name: _value(value) for name, value in unhashed.items() if name not in members}
    text = b"%s,%s" % (shown[:-1], _json(rest)[1:]) if rest else shown
    return Draft(text.decode(), hashlib.blake2b(shown, digest_size=16).hexdigest())


def _members(alert: Alert, status: Status, mapping: EventMapping) -> dict[str, str]:
    """Return the members that BigPanda shows."""
    present = (name for name in mapping.primary_property if alert.labels.get(name, "").strip())
    # A hostile label's name may be "", which stands for no property.
    primary = (alert.primary if alert.primary in alert.labels else "") or next(present, "")
    named = (tuple(alert.labels), tuple(alert.annotations))
    cached = _tag_names if sum(map(len, (*alert.labels, *alert.annotations))) < _REMEMBERED else _tag_names.__wrapped__
    tags = cached(*named, MEMBERS if primary else MEMBERS | {"service"})
    members = {tags[name, "label_"]: _value(text) for name, text in alert.labels.items()}
    for name in alert.annotations.keys() - _OWN_MEMBER:
        members[tags[name, "annotation_"]] = _value(alert.annotations[name])
    members |= {name: _value(value) for name, value in alert.silence.items()}
    members |= {"incident_identifier": alert.key, "vendorwatch_key": alert.key[:LONGEST_VALUE], "status": status.value}
    described = (text for name in _DESCRIBING if (text := alert.annotations.get(name, "")).strip())
    members["description"] = valid(next(described, alert.name or alert.key))[:LONGEST_DESCRIPTION]
    members["primary_property"] = tags[primary, "label_"] if primary else "service"
    if not primary:
        members["service"] = alert.source
    if alert.secondary and alert.secondary in alert.labels:
        members["secondary_property"] = tags[alert.secondary, "label_"]
    elif alert.name:
        members["secondary_property"], members["check"] = "check", _value(alert.name)
    for name, url in alert.links.items():
        if name not in _REPLICA_LINKS:
            members[name] = _value(url)
    return members


@lru_cache(maxsize=4096)
def _tag_names(
    labels: tuple[str, ...], annotations: tuple[str, ...], taken: frozenset[str]
) -> abc.Mapping[tuple[str, str], str]:
    """Return the tag of each label and annotation without a member of its own, by its name and its kind's prefix.

    Alerts of one rule share their names, so they are cached.
    """
    used, tags = set(taken), {}
    for prefix, names in (("label_", labels), ("annotation_", set(annotations) - _OWN_MEMBER)):
        for name in sorted(names, key=lambda name: (_fold(name, "label_") != name, name)):
            # Unchanged if that is unused, else with its prefix, or with a hash of the original.
            tag, salt = _fold(name, prefix), name
            if tag in taken or (tag in used and prefix == "annotation_"):
                tag = _shortened(prefix + tag, name)
            while tag in used:
                tag, salt = _hashed(tag, salt), salt + "+"
            used.add(tag)
            tags[name, prefix] = tag
    return tags


def _fold(name: str, prefix: str) -> str:
    """Return the name in BigPanda's alphabet: accents dropped, with `prefix` if it does not start with a letter."""
    plain = unicodedata.normalize("NFKD", name)
    folded = _UNFIT.sub("_", "".join(letter for letter in plain if not unicodedata.combining(letter)).lower())
    started = folded if folded[:1].isalpha() else prefix + folded
    return _shortened(started, name)


def _shortened(folded: str, name: str) -> str:
    return folded if len(folded) <= LONGEST_NAME else _hashed(folded, name)


def _hashed(folded: str, name: str) -> str:
    mark = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{folded[: LONGEST_NAME - 9]}_{mark}"


def _value(text: str) -> str:
    return valid(text)[:LONGEST_VALUE]
