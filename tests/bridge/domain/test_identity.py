"""Alerts that share an identity: which of them BigPanda shows."""

from dataclasses import replace

import pytest

from bridge.domain.alert_state import AlertState, Member
from bridge.domain.event import Status
from bridge.domain.identity import identity_key, speaker, with_member
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
    shared = {name: replace(alert_at(at, name), identity="prod:shared") for name, at, _ in members}
    firing = {f"prod:{name}": Member(shared[name], status) for name, _, status in members}
    spoken = speaker("prod:shared", firing)
    assert (spoken.alert.key, spoken.alert.identity, spoken.alert.labels["host"]) == ("prod:shared", "", f"web-{shown}")
    assert spoken.status is max((status for _, _, status in members), key=lambda status: status is Status.CRITICAL)


A, B = (alert_at(100.0, name) for name in "ab")
BOTH = {one.key: Member(one, Status.WARNING) for one in (A, B)}


@pytest.mark.parametrize(
    ("alert", "status", "after"),
    [
        (replace(A, severity="page"), Status.CRITICAL, {A.key: Status.CRITICAL, B.key: Status.WARNING}),
        (alert_at(100.0, "c"), Status.WARNING, {**dict.fromkeys(BOTH, Status.WARNING), "prod:c": Status.WARNING}),
        (replace(A, firing=False, ends_at=200.0), Status.OK, {B.key: Status.WARNING}),
        (A, None, {B.key: Status.WARNING}),
        (replace(A, firing=False, starts_at=1.0, ends_at=50.0), Status.OK, dict.fromkeys(BOTH, Status.WARNING)),
        (replace(A, firing=False, key="prod:c", starts_at=1.0, ends_at=50.0), Status.OK,
         dict.fromkeys(BOTH, Status.WARNING)),
    ],
    ids=["changes", "joins", "ends", "is no longer sent", "an earlier episode ends", "another one ends"],
)  # fmt: skip
def test_members_are_the_alerts_that_fire(alert, status, after):
    """Each with its own status."""
    found = with_member(BOTH, alert, status, 300.0)
    assert {key: member.status for key, member in found.items()} == after
    assert all(member.alert.key == key for key, member in found.items())


@pytest.mark.parametrize(
    ("identity", "owners", "open_alone", "key"),
    [
        ("", {}, None, A.key),
        ("prod:shared", {}, None, "prod:shared"),
        ("prod:shared", {}, True, A.key),
        ("prod:shared", {}, False, "prod:shared"),
        ("prod:shared", {A.key: "prod:former"}, True, "prod:former"),
        ("", {A.key: "prod:former"}, None, "prod:former"),
    ],
)
def test_open_alert_keeps_the_identity_under_which_it_was_opened(identity, owners, open_alone, key):
    """Also if bridge.yml names other labels meanwhile."""
    alone = AlertState(alert=A, status=Status.WARNING if open_alone else Status.OK)
    states = {} if open_alone is None else {A.key: alone}
    assert identity_key(replace(A, identity=identity), owners, states) == key


def test_an_alert_has_the_labels_that_all_its_members_share():
    """What BigPanda's incident and Alertmanager's silence are about."""
    members = {name: Member(alert_at(1.0, name), Status.CRITICAL) for name in "ab"}
    state = AlertState(alert=alert_at(1.0, "a"), status=Status.CRITICAL, members=members)
    assert state.labels == {"alertname": "Down"}
    assert state.firing == {name: member.alert for name, member in members.items()}
    alone = replace(state, members={})
    assert (alone.labels, alone.firing) == (alone.alert.labels, {alone.key: alone.alert})
    assert replace(alone, status=Status.OK).firing == {}


def test_the_end_of_an_alert_is_its_senders_if_it_has_one():
    """Otherwise when we noted it; while it fires, the beginning counts."""
    ended = AlertState(alert=alert_at(7.0, firing=False), status=Status.OK, starts_at=3.0, updated_at=9.0)
    assert ended.since == 7.0
    assert replace(ended, alert=replace(ended.alert, ends_at=None)).since == 9.0
    assert replace(ended, status=Status.WARNING).since == 3.0
