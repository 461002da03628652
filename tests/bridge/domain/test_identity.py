"""Alerts that share an identity: which of them BigPanda shows."""

from dataclasses import replace

import pytest

from bridge.domain.alert_state import AlertState, Member
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


def test_an_alert_has_the_labels_that_all_its_members_share():
    """What BigPanda's incident and Alertmanager's silence are about."""
    members = {name: Member(alert_at(1.0, name), Status.CRITICAL) for name in "ab"}
    state = AlertState(alert=alert_at(1.0, "a"), status=Status.CRITICAL, members=members)
    assert state.labels == {"alertname": "Down"}


def test_the_end_of_an_alert_is_its_senders_if_it_has_one():
    """Otherwise when we noted it; while it fires, the beginning counts."""
    ended = AlertState(alert=alert_at(7.0, firing=False), status=Status.OK, starts_at=3.0, updated_at=9.0)
    assert ended.since == 7.0
    assert replace(ended, alert=replace(ended.alert, ends_at=None)).since == 9.0
    assert replace(ended, status=Status.WARNING).since == 3.0
