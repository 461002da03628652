"""What the rows of the tables say, in our words; and how an alert is written into one."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import msgspec

from bridge.domain.alert import Alert, clean
from bridge.domain.dedup import Kind, Known, Waiting
from bridge.domain.event import Status

LARGEST_BODY = 1_000_000
"""Characters of a body that are kept in quarantine."""
PRIORITY = {Status.CRITICAL: 0, Status.OK: 1}
"""Who goes first across keys; 2 for every other status."""
BLANK = {
    "receiver": "", "source": "", "status": "", "content": "", "timestamp": 0, "seq": 0, "told_at": 0.0,
    "starts_at": 0.0, "ended_at": None, "at": None, "doubtful": False, "alert": "", "updated_at": 0.0,
}  # fmt: skip
"""A key of which nothing is known yet."""
_json = msgspec.json.Encoder(enc_hook=dict).encode


class KeyRow(NamedTuple):
    """What a decision takes from a row of `keys`."""

    key: str
    status: str
    content: str
    timestamp: int
    seq: int
    told_at: float
    starts_at: float
    ended_at: float | None
    at: float | None
    updated_at: float


class TailRow(NamedTuple):
    """What a decision takes from the newest event of a key while it waits and was never tried."""

    id: int
    key: str
    kind: str
    timestamp: int
    not_before: float
    replaces: str
    queued_at: float


def known(row: KeyRow | None, tail: Mapping[str, Any] | None) -> Known | None:
    """Return what a row of `keys` tells; one that was only reserved tells nothing."""
    if row is None or not row.status:
        return None
    return Known(
        status=Status(row.status),
        content=row.content,
        timestamp=row.timestamp,
        told_at=row.told_at,
        ended_at=row.ended_at,
        at=row.at,
        waiting=waiting_event(tail),
    )


def waiting_event(tail: Mapping[str, Any] | None) -> Waiting | None:
    """Return what the newest event of a key tells while it may still give way."""
    if tail is None:
        return None
    return Waiting(
        kind=Kind(tail["kind"]),
        timestamp=tail["timestamp"],
        not_before=tail["not_before"],
        replaces=tail["replaces"],
    )


def quarantined(receiver: str, source: str, reason: str, body: str, now: float) -> dict[str, Any]:
    """Return the row that keeps what could not be read."""
    text = clean(body[:LARGEST_BODY])
    return {"receiver": receiver, "source": source, "reason": reason, "body": text, "received_at": now}


def written(alert: Alert) -> str:
    """Return an alert as JSON."""
    try:
        return _json(alert).decode()
    except UnicodeEncodeError:  # a lone surrogate, which only the standard library writes
        return json.dumps(asdict(alert))


def read(text: str) -> Alert:
    """Return the alert that `written` wrote."""
    return Alert(**json.loads(text))
