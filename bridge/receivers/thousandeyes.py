"""ThousandEyes' webhooks as Alerts: the classic ones, old and new, and our own custom template `te-alert/1`.

An alert's id belongs to one occurrence and is the same on trigger and clear, so its states are ordered by the vendor's
dates. The vendor repeats a webhook every five minutes until it is answered with 200: nothing that differs between such
repeats (the event's id) becomes part of the alert.
"""

import html
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.lenient import identifier_of, short_text_of
from bridge.receivers.settings import BigPandaStatus, HttpAuthSettings
from exporter.toolkit.lenient import object_of, time_of

SCHEMA = "te-alert/1"
_TEMPLATE_EVENTS = {"1": "ALERT_NOTIFICATION_CLEAR", "2": "ALERT_NOTIFICATION_TRIGGER"}
_ENDED = frozenset({"0", "2", "false"})
"""`active`: 0 is cleared, 2 means that its rule or test was deleted."""
_CLEAR_AFTER = 0.5
"""Seconds: a trigger with the same second as a clear came before it."""
_ZONES = {"UTC": "Z", "GMT": "Z", "WET": "Z", "WEST": "+01:00", "CET": "+01:00", "CEST": "+02:00", "EET": "+02:00",
          "EEST": "+03:00", "MSK": "+03:00", "SGT": "+08:00", "HKT": "+08:00", "JST": "+09:00", "KST": "+09:00",
          "AEST": "+10:00", "AEDT": "+11:00", "NZST": "+12:00", "NZDT": "+13:00", "EST": "-05:00", "EDT": "-04:00",
          "CDT": "-05:00", "MST": "-07:00", "MDT": "-06:00", "PST": "-08:00", "PDT": "-07:00"}  # fmt: skip
"""Time zones with unambiguous abbreviations: CST, IST and BST are used by several countries."""
_MOST_METRICS = 5
_MOST_ADDED = 64
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
"""Members that become tags, by name."""
_LISTS = (
    ("agents", "agentName", "agents"),
    ("recoveredAgents", "agentName", "recovered_agents"),
    ("monitors", "monitorName", "monitors"),
    ("recoveredMonitors", "monitorName", "recovered_monitors"),
    ("monitors", "prefix", "prefixes"),
    ("testLabels", "name", "test_labels"),
    ("testTargetsDescription", "", "targets"),
)
"""Lists, the member of their entries to use, and the tag that holds them all."""
_KNOWN = frozenset(
    {"alertId", "agentNotificationId", "severity", "active", "testName", "permalink", "metricsAtStart", "apiLinks"}
    | {"metricsAtEnd", "dateStart", "dateEnd", "dateStartZoned", "dateEndZoned", "dateStartEpoch", "dateEndEpoch"}
    | _TAGS.keys()
    | {member for member, _, _ in _LISTS}
)
"""Members handled separately, or that differ between repeats. Any other was added by the user."""


class Settings(HttpAuthSettings):
    """One ThousandEyes account, or one of its account groups. Major is critical unless `statuses` maps it otherwise."""

    severities: ClassVar[Mapping[str, BigPandaStatus]] = {"major": "critical", "unknown": "warning"}
    """`unknown` is the vendor's own, also used for a missing one."""


def translate(body: dict[str, Any], settings: Settings, now: float) -> Notification:
    """Translate one webhook; test messages and unknown events are ignored. Raises Unreadable with the reason."""
    if body.get("schema") not in (None, SCHEMA):
        raise Unreadable(f"schema: not {SCHEMA}")
    # Our template has the number of the event type instead of its name.
    numbered = _TEMPLATE_EVENTS.get(short_text_of(body.get("typeId"))) if "schema" in body else None
    event = numbered or body.get("eventType")
    if not isinstance(event, str):
        raise Unreadable("eventType: not a string" if event is not None else "eventType: missing")
    event = event.strip().upper()
    if not event.endswith(("_TRIGGER", "_CLEAR")):
        return settings.notification(ignored=1)
    # The alert may be under either name, or in parts under both.
    parts = [body[name] for name in ("agentAlert", "alert") if body.get(name) is not None]
    if not parts:
        raise Unreadable("alert: missing")
    if not all(isinstance(part, dict) for part in parts):
        raise Unreadable("alert: not an object")
    entry = {name: value for part in parts for name, value in part.items()}
    entry = _unescaped(entry) if "schema" in body else entry
    firing = event.endswith("_TRIGGER") and short_text_of(entry.get("active")) not in _ENDED
    entry = _with_recovered(entry) if firing else entry
    return settings.notification(alerts=(_alert(entry, settings, now, firing=firing),))


def _with_recovered(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Separate agents and monitors that have recovered while the alert goes on for others."""
    found = dict(entry)
    for member, recovered in (("agents", "recoveredAgents"), ("monitors", "recoveredMonitors")):
        each = entry.get(member)
        if isinstance(each, list):
            ended = [short_text_of(object_of(one).get("active")) in _ENDED for one in each]
            found[member] = [one for one, over in zip(each, ended, strict=True) if not over]
            found[recovered] = [one for one, over in zip(each, ended, strict=True) if over]
    return found


def _unescaped(value: Any) -> Any:
    """Undo the HTML escaping of Handlebars templates."""
    if isinstance(value, list):
        return [_unescaped(one) for one in value]
    if isinstance(value, dict):
        return {name: _unescaped(one) for name, one in value.items()}
    return html.unescape(value) if isinstance(value, str) else value


def _alert(entry: Mapping[str, Any], settings: Settings, now: float, *, firing: bool) -> Alert:
    # The id was once an integer and is now a UUID; agent alerts used another member for it.
    member = "alertId" if entry.get("alertId") is not None else "agentNotificationId"
    number = identifier_of(entry.get(member))
    if not number:
        raise Unreadable("alertId: missing" if entry.get(member) is None else f"{member}: not an id")
    started, ended = _time(entry, "dateStart"), _time(entry, "dateEnd")
    # Dates of an unknown time zone still order the states of an alert: in any zone, as long as it is always the same.
    dates = [_time(entry, member, "Z") for member in ("dateStart", "dateEnd")[: 1 if firing else 2]]
    order = max((time for time in dates if time is not None), default=None)
    severity = short_text_of(entry.get("severity")).lower() or "unknown"
    tags = _tags(entry) | {"severity": severity}
    # Fields that the user added to the rule become tags too, but never replace ours.
    added = {short_text_of(name): short_text_of(value) for name, value in entry.items() if name not in _KNOWN}
    named = ((f"label_{name}" if name in tags else name, text) for name, text in added.items() if name and text)
    permalink = short_text_of(entry.get("permalink"))
    return settings.alert(
        number,
        name=short_text_of(entry.get("ruleName")) or tags.get("alert_type", ""),
        firing=firing,
        severity=severity,
        labels={**tags, **dict(islice(named, _MOST_ADDED))},
        annotations={"description": _described(entry, tags)},
        links={"permalink": permalink} if permalink.startswith(("https://", "http://")) else {},
        starts_at=next((time for time in (started, ended) if time is not None), now),
        ends_at=None if firing else ended,
        at=None if order is None else order + (0.0 if firing else _CLEAR_AFTER),
    )


def _tags(entry: Mapping[str, Any]) -> dict[str, str]:
    found = {tag: text for member, tag in _TAGS.items() if (text := short_text_of(entry.get(member)))}
    if found.get("account_group") == "0":
        del found["account_group"]
    for member, part, tag in _LISTS:
        if names := list(dict.fromkeys(_each(entry.get(member), part))):
            found[tag] = short_text_of(", ".join(names))
    # The subject of the alert: its test, agent, targets, and the agents that saw it.
    about = (short_text_of(entry.get("testName")), *map(found.get, ("agent", "hostname", "targets", "agents")))
    if host := next(filter(None, about), None):
        found["host"] = host
    return found


def _described(entry: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Return a description: the rule, its subject, its condition, and the values measured at the start."""
    rule = tags.get("rule", "") or tags.get("alert_type", "") or "Alert"
    about = f"{rule} on {tags['host']}" if "host" in tags else rule
    condition = f"{about}: {tags['rule_expression']}" if "rule_expression" in tags else about
    own = filter(None, [short_text_of(entry.get("metricsAtStart"))])
    seen = (*_each(entry.get("agents"), "metricsAtStart"), *_each(entry.get("monitors"), "metricsAtStart"))
    metrics = [*own, *dict.fromkeys(seen)][:_MOST_METRICS]
    return f"{condition} ({'; '.join(metrics)})" if metrics else condition


def _each(entries: Any, part: str) -> Iterator[str]:
    """Yield one member of each entry of a list, or each entry itself if `part` is ""."""
    for entry in entries if isinstance(entries, list) else []:
        if text := short_text_of(object_of(entry).get(part) if part else entry):
            yield text


def _time(entry: Mapping[str, Any], member: str, unknown: str = "") -> float | None:
    """Return epoch seconds, None if missing. `unknown`: the offset of unknown time zones, "" for None in these.

    The vendor uses the organisation's time zone, and names it only in the zoned form.
    """
    date, _, zone = short_text_of(entry.get(f"{member}Zoned")).rpartition(" ")
    if date:
        # Many zones have no letters: an organisation in São Paulo has "-03".
        offset = zone if zone.startswith(("+", "-")) else _ZONES.get(zone, unknown)
        return time_of(date + offset) if offset else None
    found = time_of(entry.get(member))
    return time_of(entry.get(f"{member}Epoch")) if found is None else found
