"""Incidents and alerts as BigPanda writes them: Incidents API v2 and the two forms of the outbound webhook."""

from typing import Any

from tests.sandbox.bigpanda.records import Alert, Environment, Incident
from tests.sandbox.bigpanda.validation import PRIMARY, SECONDARY, property_of


def _case(status: str, capitalised: bool) -> str:  # noqa: FBT001  private
    return status.title() if capitalised else status


def environment(of: Environment) -> dict[str, Any]:
    """Give an environment as the list has it."""
    said = {"id": of.id, "name": of.name, "description": "", "environment_group_id": "group1"}
    return {**said, "roles": [], "read_only_roles": []}


def incident(
    of: Incident, now: float, environments: list[str], *, expand: bool = False, capitalised: bool = False
) -> dict[str, Any]:
    """Incidents API v2."""
    ended = None if of.ended is None else int(of.ended)
    snoozed_until = None if of.snoozed_until is None else int(of.snoozed_until)
    return {
        "id": of.id,
        "status": _case(of.status, capitalised),
        "severity": _case(of.severity, capitalised),
        "active": of.active,
        "flapping": of.flapping,
        "shared": of.shared,
        "snooze": {
            "snoozed": of.snoozed(now),
            "end_time": snoozed_until,
            "cancel_on_incident_updates": of.cancel_snooze_on_updates,
        },
        "maintenance": of.maintenance,
        "start": int(of.started),
        "changed_at": int(of.changed),
        "updated_at": int(of.updated),
        "end": ended,
        "alerts": [_alert(alert, capitalised) if expand else {"alert_id": alert.id} for alert in of.alerts],
        "environments": environments,
        "folders": of.folders(now),
        "incident_tags": [{"tag_id": name, "tag_value": value} for name, value in of.tags.items()],
        "correlation_matchers_log": [],
    }


def _tags(alert: Alert) -> list[dict[str, Any]]:
    members = ("status", "timestamp", "primary_property", "secondary_property", "description")
    return [{"name": name, "value": value} for name, value in alert.tags.items() if name not in members]


def _properties(alert: Alert) -> dict[str, Any]:
    return {
        "primary_property": property_of(alert.tags, "primary_property", PRIMARY),
        "secondary_property": property_of(alert.tags, "secondary_property", SECONDARY),
        "source_system": f"api.{alert.app_key}",
        "description": str(alert.tags.get("description", ""))[:2048],
        "tags": _tags(alert),
    }


def _alert(alert: Alert, capitalised: bool) -> dict[str, Any]:  # noqa: FBT001  private
    ended = None if alert.ended is None else int(alert.ended)
    said: dict[str, Any] = {"alert_id": alert.id, "id": alert.id, "status": _case(alert.status, capitalised)}
    said |= {"active": alert.status != "ok", "start": int(alert.started), "end": ended}
    return {**said, "changed_at": int(alert.changed), "updated_at": int(alert.changed), **_properties(alert)}


def shared_v1(of: Incident, _event: str, now: float, *, capitalised: bool = False) -> dict[str, Any]:
    """Write the first webhook: a bare incident with its alerts expanded, names of the v1 family."""
    return {
        "id": of.id,
        "status": _case(of.status, capitalised),
        "severity": _case(of.severity, capitalised),
        "active": of.active,
        "flapping": of.flapping,
        "snooze": {
            "snoozed": of.snoozed(now),
            "end_time": None if of.snoozed_until is None else int(of.snoozed_until),
            "autoCancel": of.cancel_snooze_on_updates,
        },
        **_times_v1(of.started, of.changed, of.updated, of.ended),
        "alerts": [_alert_v1(alert, capitalised) for alert in of.alerts],
    }


def shared_v2(of: Incident, event: str, now: float, *, capitalised: bool = False) -> dict[str, Any]:
    """Write the second webhook; its body is the operator's template; this one names the trigger beside the incident."""
    return {"event": event, "incident": shared_v1(of, event, now, capitalised=capitalised)}


def _times_v1(started: float, changed: float, updated: float, ended: float | None) -> dict[str, int | None]:
    end = None if ended is None else int(ended)
    return {"startedOn": int(started), "changedOn": int(changed), "updatedOn": int(updated), "endedOn": end}


def _alert_v1(alert: Alert, capitalised: bool) -> dict[str, Any]:  # noqa: FBT001  private
    said: dict[str, Any] = {"id": alert.id, "status": _case(alert.status, capitalised), "active": alert.status != "ok"}
    return {**said, **_times_v1(alert.started, alert.changed, alert.changed, alert.ended), **_properties(alert)}
