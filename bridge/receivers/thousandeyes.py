"""ThousandEyes' webhooks as Alerts: the classic ones, old and new, and our own custom template `te-alert/1`.

An alert's id belongs to one occurrence and is the same on trigger and clear, so what it says is put in order by the
vendor's dates. The vendor sends a webhook again every five minutes until it is answered 200: nothing that differs
between such repeats (the id of the event) becomes part of the alert.
"""

import html
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pydantic import Field, field_validator

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.lenient import text_of
from bridge.receivers.settings import BigPandaStatus, HttpAuthSettings

SCHEMA = "te-alert/1"
_SEVERITIES: dict[str, BigPandaStatus] = {
    "critical": "critical",
    "major": "critical",
    "minor": "warning",
    "info": "warning",
    "unknown": "warning",
}
"""The vendor's severities; `unknown` is its own word, and stands for a missing one as well."""
_TEMPLATE_EVENTS = {"1": "ALERT_NOTIFICATION_CLEAR", "2": "ALERT_NOTIFICATION_TRIGGER"}
_ENDED = frozenset({"0", "2"})
"""`active`: 0 cleared, 2 its rule or test is gone."""
_CLEAR_AFTER = 0.5
"""Seconds: what bears the same second as a clear came before it."""
_MILLISECONDS = 1e11
"""From here on a number is no date in seconds: that would be in the year 5138."""
_LATEST = 1e14
_LONGEST_ID = 128
_MOST_METRICS = 5
_MOST_ADDED = 64
_LONGEST = 2048
"""Characters of a text that are kept: no member of an event holds more."""
_TAGS = {
    "testId": "test_id",
    "ruleId": "rule_id",
    "agentRuleId": "rule_id",
    "ruleAid": "account_group",
    "type": "alert_type",
    "violationCount": "violation_count",
    "ruleName": "rule",
    "ruleExpression": "rule_expression",
    "agentId": "agent_id",
    "agentName": "agent",
    "hostname": "hostname",
    "ipAddress": "ip_address",
}
"""Members that become tags of these names."""
_LISTS = (
    ("agents", "agentName", "agents"),
    ("monitors", "monitorName", "monitors"),
    ("monitors", "prefix", "prefixes"),
    ("testLabels", "name", "test_labels"),
    ("testTargetsDescription", "", "targets"),
)
"""Lists, which member of their entries is told, and the tag that holds them all."""
_OTHERWISE = frozenset(
    {"alertId", "agentNotificationId", "severity", "active", "testName", "permalink", "metricsAtStart"}
    | {"metricsAtEnd", "dateStart", "dateEnd", "dateStartZoned", "dateEndZoned", "dateStartEpoch", "dateEndEpoch"}
)
"""Members that are told in another way, or differ between repeats. What is in no list here was added by the user."""


class Settings(HttpAuthSettings):
    """One ThousandEyes account, or one of its account groups. Major is critical here, unless `statuses` says not."""

    statuses: dict[str, BigPandaStatus] = Field(default_factory=dict, validate_default=True)

    @field_validator("statuses")
    @classmethod
    def _as_the_vendor_says(cls, statuses: dict[str, BigPandaStatus]) -> dict[str, BigPandaStatus]:
        return _SEVERITIES | statuses


def translate(body: Any, settings: Settings, now: float) -> Notification:
    """Return what one webhook says; test messages and unknown events are ignored. Unreadable names what is wrong."""
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    if body.get("schema") not in (None, SCHEMA):
        raise Unreadable(f"schema: not {SCHEMA}")
    event = _event(body)
    if not event.endswith(("_TRIGGER", "_CLEAR")):
        return settings.notification(ignored=1)
    told = _told(body)
    firing = event.endswith("_TRIGGER") and _text(told.get("active")) not in _ENDED
    return settings.notification(alerts=(_alert(told, settings, now, firing=firing),))


def _event(body: Mapping[str, Any]) -> str:
    """Return the type of the event. Our template gives the number of it instead."""
    if "schema" in body and (found := _TEMPLATE_EVENTS.get(_text(body.get("typeId")))):
        return found
    event = body.get("eventType")
    if not isinstance(event, str):
        raise Unreadable("eventType: not a string" if event is not None else "eventType: missing")
    return event


def _told(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is told of the alert, which may stand under either name or both."""
    found = [body[name] for name in ("agentAlert", "alert") if body.get(name) is not None]
    if not found:
        raise Unreadable("alert: missing")
    if not all(isinstance(one, dict) for one in found):
        raise Unreadable("alert: not an object")
    told = {name: value for one in found for name, value in one.items()}
    return _unescaped(told) if "schema" in body else told


def _unescaped(told: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what a Handlebars template does to names."""
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return _unescaped(value)
    return html.unescape(value) if isinstance(value, str) else value


def _alert(told: Mapping[str, Any], settings: Settings, now: float, *, firing: bool) -> Alert:
    key = f"{settings.source}:{_id(told)}"
    started, ended = _time(told, "dateStart"), _time(told, "dateEnd")
    severity = _text(told.get("severity")).lower() or "unknown"
    tags = _tags(told) | {"severity": severity}
    order = started if firing else max((time for time in (started, ended) if time is not None), default=None)
    return Alert(
        receiver=settings.receiver,
        source=settings.source,
        key=key,
        name=_text(told.get("ruleName")) or tags.get("alert_type", ""),
        firing=firing,
        severity=severity,
        labels={**tags, **_added(told, tags)},
        annotations={"description": _described(told, tags)},
        links=_links(told),
        starts_at=next((time for time in (started, ended) if time is not None), now),
        ends_at=None if firing else ended,
        at=None if order is None else order + (0.0 if firing else _CLEAR_AFTER),
        ordered=order is not None,
    )


def _id(told: Mapping[str, Any]) -> str:
    """Return the alert's id: an integer once, a UUID now; agents' alerts had a name of their own for it."""
    member = "alertId" if told.get("alertId") is not None else "agentNotificationId"
    value = told.get(member)
    if value is None:
        raise Unreadable("alertId: missing")
    text = "" if isinstance(value, bool | float) else _text(value)
    if not (0 < len(text) <= _LONGEST_ID and text.isascii() and text.isprintable()):
        raise Unreadable(f"{member}: not an id")
    return text


def _tags(told: Mapping[str, Any]) -> dict[str, str]:
    found = {tag: _text(told.get(member)) for member, tag in _TAGS.items() if _text(told.get(member))}
    if found.get("account_group") == "0":
        del found["account_group"]
    for member, part, tag in _LISTS:
        if names := list(dict.fromkeys(_each(told.get(member), part))):
            found[tag] = _text(", ".join(names))
    if host := _host(told, found):
        found["host"] = host
    return found


def _host(told: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Return what the alert is about: its test, its agent, its targets, those who saw it."""
    found = (_text(told.get("testName")), *(tags.get(tag, "") for tag in ("agent", "hostname", "targets", "agents")))
    return next(filter(None, found), "")


def _added(told: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that the user added to the rule, none in the place of ours."""
    known = _OTHERWISE | _TAGS.keys() | {member for member, _, _ in _LISTS} | {"apiLinks"}
    added = ((_text(name), _text(value)) for name, value in told.items() if name not in known)
    named = ((f"label_{name}" if name in tags else name, text) for name, text in added if name and text)
    return dict(islice(named, _MOST_ADDED))


def _described(told: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Return a sentence: which rule, about what, what it asks, and what was measured as it began."""
    rule = tags.get("rule", "") or tags.get("alert_type", "") or "Alert"
    about = f"{rule} on {tags['host']}" if "host" in tags else rule
    asked = f"{about}: {tags['rule_expression']}" if "rule_expression" in tags else about
    metrics = dict.fromkeys(
        (*_each(told.get("agents"), "metricsAtStart"), *_each(told.get("monitors"), "metricsAtStart"))
    )
    seen = [*filter(None, [_text(told.get("metricsAtStart"))]), *metrics][:_MOST_METRICS]
    return f"{asked} ({'; '.join(seen)})" if seen else asked


def _links(told: Mapping[str, Any]) -> dict[str, str]:
    permalink = _text(told.get("permalink"))
    return {"permalink": permalink} if permalink.startswith(("https://", "http://")) else {}


def _each(entries: Any, part: str) -> Iterator[str]:
    """Give one member of each entry of a list, or each entry itself where `part` is ""."""
    for entry in entries if isinstance(entries, list) else []:
        text = _text(entry.get(part) if isinstance(entry, dict) else entry if not part else None)
        if text:
            yield text


def _time(told: Mapping[str, Any], member: str) -> float | None:
    """Return epoch seconds, None where it is not told. The zoned form counts only in UTC: other names are ambiguous."""
    for name in (member, f"{member}Epoch", f"{member}Zoned"):
        value = told.get(name)
        if isinstance(value, str):
            value = _number(value.strip())
        if value in (None, "", 0):
            continue
        try:
            found = _moment(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if found is not None:
            return found
    return None


def _number(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len("1795176000743000") else text


def _moment(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    if not isinstance(value, str):
        if not 0 < value < _LATEST:
            raise ValueError
        return value / 1000 if value >= _MILLISECONDS else float(value)
    text, _, zone = value.rpartition(" ")
    if not (text and zone.isalpha()):
        text, zone = value, "UTC"
    moment = datetime.fromisoformat(text)
    if zone not in {"UTC", "GMT"}:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(value: Any) -> str:
    return text_of(value)[:_LONGEST].strip()
