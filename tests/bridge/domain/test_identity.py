"""Alerts that share an identity: which of them BigPanda shows."""

import pytest

from bridge.domain.alert_state import Member
from bridge.domain.event import Status
from bridge.domain.identity import speaker
from tests.bridge.alerts import alert_at


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ([("a", 2.0, Status.WARNING), ("b", 3.0, Status.CRITICAL)], "b"),
        ([("a", 3.0, Status.CRITICAL), ("b", 2.0, Status.CRITICAL)], "b"),
        ([("b", 2.0, Status.CRITICAL), ("a", 2.0, Status.CRITICAL)], "a"),
    ],
    ids=["the worst", "the first", "by name"],
)
def test_one_member_speaks_for_all(members, shown):
    """The worst; of equally bad ones the one that began first, so that a new one changes nothing."""
    firing = {f"prod:{name}": Member(alert_at(at, name), status) for name, at, status in members}
    spoken = speaker("prod:shared", firing)
    assert (spoken.alert.key, spoken.alert.labels["host"]) == ("prod:shared", f"web-{shown}")
