"""The wanted silences, and the steps from the existing ones."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.alert import Alert
from bridge.domain.incident import IncidentRecord
from bridge.incidents.silence_plan import Silence, Verb, owner_tag, plan, tagged_key, wanted
from bridge.receivers.bigpanda import CREATED_BY

T0 = 1_795_200_000.0
OWNER = "0a1b/panda"


def incident(number="i", keys=("prod:1",), **said):
    known = {"active": True, "snoozed": True, "snoozed_until": T0 + 900, "updated_at": T0}
    return IncidentRecord(source="panda", id=number, first_heard_at=T0, heard_at=T0, **{**known, "keys": keys, **said})


def alert(key="prod:1", receiver="alertmanager", **labels):
    source = key.partition(":")[0]
    return Alert(
        receiver=receiver,
        source=source,
        key=key,
        name="Down",
        firing=True,
        starts_at=T0,
        labels={"alertname": "Down", "host": "a.b|c", **labels},
    )


ALERTS = {key: alert(key) for key in ("prod:1", "prod:2", "lab:1")} | {"up:1": alert("up:1", receiver="vigilmon")}


def should(*incidents, now=T0, sources=None):
    return wanted(incidents, ALERTS, now, OWNER, sources)


def made(one, number="s1", **other):
    silence = Silence(
        id=number, key=one.key, matchers=one.matchers, starts_at="then", ends_at=one.ends_at, comment=one.comment
    )
    return replace(silence, **other)


def steps(want, ours):
    return [(step.verb, step.key, step.silence.id if step.silence else None) for step in plan(want, ours)]


def test_snooze_becomes_a_silence_for_each_alert():
    """With its whole label set; the comment has the incident and the user."""
    found = should(incident(keys=("prod:1", "prod:2", "unknown:1", "up:1"), who="ann", link="https://x/i"))
    assert sorted(found) == ["prod:1", "prod:2"]
    one = found["prod:1"]
    assert one.matchers == (("alertname", "Down"), ("host", "a.b|c"))
    assert one.ends_at == T0 + 900
    assert "incident i; ann; https://x/i" in one.comment
    assert tagged_key(CREATED_BY, one.comment, OWNER) == "prod:1"


def test_name_of_a_user_is_shortened():
    """BigPanda's may be as long as its tags."""
    assert f"incident i; {'x' * 128}. Wake" in should(incident(who="x" * 129))["prod:1"].comment


@pytest.mark.parametrize(("later", "verbs"), [(0.9, []), (-0.9, []), (1.0, [Verb.UPDATE]), (-1.0, [Verb.UPDATE])])
def test_end_of_a_snooze_is_compared_to_the_second(later, verbs):
    """Alertmanager and BigPanda write it differently."""
    want = should(incident())
    ours = made(want["prod:1"], ends_at=T0 + 900 + later)
    assert [step.verb for step in plan(want, [ours])] == verbs


@pytest.mark.parametrize(
    "said",
    [
        {"snoozed": False},
        {"active": False},
        {"snoozed_until": T0},
        {"snoozed_until": T0 - 7200},
        {"keys": ()},
        {"keys": ("unknown:1",)},
    ],
)
def test_incident_without_a_current_snooze_has_no_silences(said):
    """Woken, closed, over, empty, or without our alerts."""
    assert should(incident(**said)) == {}


def test_snooze_without_an_end_is_extended_hourly():
    """For an hour at least; in between nothing changes."""
    (first,) = should(incident(snoozed_until=None)).values()
    assert T0 + 3600 <= first.ends_at <= T0 + 7200
    assert should(incident(snoozed_until=None), now=T0 + 1)["prod:1"] == first
    assert should(incident(snoozed_until=None), now=T0 + 3600)["prod:1"].ends_at == first.ends_at + 3600


def test_only_the_sources_of_this_alertmanager_are_silenced_there():
    """Two Alertmanagers may have alerts with the same labels."""
    assert sorted(should(incident(keys=("prod:1", "lab:1")), sources=["lab"])) == ["lab:1"]


def test_merged_alert_belongs_to_the_other_incident():
    """BigPanda does not report the merged incident; a closed one never counts against an active one."""
    merged = incident("target", updated_at=T0 + 5, snoozed=False)
    assert should(incident("merged"), merged) == {}
    later = incident("target", updated_at=T0 + 5, snoozed_until=T0 + 60)
    assert should(incident("merged"), later)["prod:1"].ends_at == T0 + 60
    assert should(incident("closed", active=False, updated_at=T0 + 9), incident())["prod:1"].ends_at == T0 + 900


@pytest.mark.parametrize(
    ("created_by", "comment", "key"),
    [
        (CREATED_BY, f"x {owner_tag(OWNER, 'prod:1')}", "prod:1"),
        (CREATED_BY, f"x {owner_tag(OWNER, 'prod:a b]c')}", "prod:a b]c"),
        ("ann", f"x {owner_tag(OWNER, 'prod:1')}", None),
        (CREATED_BY, f"x {owner_tag('ffff/panda', 'prod:1')}", None),
        (CREATED_BY, "by an operator", None),
        (CREATED_BY, f"{owner_tag(OWNER, 'prod:1')} and more", None),
    ],
)
def test_own_silences_are_recognized_by_author_and_tag(created_by, comment, key):
    """Not those of another bridge, nor one rewritten by an operator."""
    assert tagged_key(created_by, comment, OWNER) == key


@pytest.mark.parametrize(
    "said", [{"who": owner_tag("x/y", "k")}, {"number": owner_tag(OWNER, "prod:9")}, {"link": "http://[::1]/"}]
)
def test_names_from_bigpanda_cannot_forge_a_tag(said):
    """Otherwise a silence would not be recognized, or mistaken for another's."""
    one = should(incident(**said))["prod:1"]
    assert tagged_key(CREATED_BY, one.comment, OWNER) == "prod:1"


def test_correct_silence_is_not_changed():
    """Alertmanager writes milliseconds."""
    want = should(incident())
    assert steps(want, [made(want["prod:1"], ends_at=T0 + 900.4)]) == []


@pytest.mark.parametrize(
    "other",
    [{"ends_at": T0 + 60}, {"matchers": ()}, {"matchers": (("alertname", "Down"),)}, {"comment": "another incident"}],
)
def test_different_silence_is_updated(other):
    """A later end, changed matchers, another incident."""
    want = should(incident())
    assert steps(want, [made(want["prod:1"], **other)]) == [(Verb.UPDATE, "prod:1", "s1")]


def test_missing_silences_are_created_and_extra_ones_expired():
    """Also one of two for the same alert, which two leaders may have created."""
    want = should(incident(keys=("prod:1", "prod:2")))
    gone = made(want["prod:1"], "s9", key="prod:9")
    double = made(want["prod:1"], "s0", ends_at=T0 + 60)
    found = steps(want, [made(want["prod:1"]), double, gone])
    assert sorted(found) == [
        (Verb.CREATE, "prod:2", None),
        (Verb.EXPIRE, "prod:1", "s0"),
        (Verb.EXPIRE, "prod:9", "s9"),
    ]


@given(st.lists(st.tuples(st.sampled_from(["prod:1", "prod:2", "prod:9"]), st.integers(-100, 2000)), max_size=6))
def test_plan_converges(there):
    """After its steps there are none left, from any state."""
    want = should(incident(keys=("prod:1", "prod:2")))
    template = want["prod:1"]
    ours = {
        f"s{number}": made(want.get(key, template), f"s{number}", key=key, ends_at=T0 + end)
        for number, (key, end) in enumerate(there)
    }
    for step in list(plan(want, list(ours.values()))):
        if step.silence:
            del ours[step.silence.id]
        if step.wanted:
            ours[f"new {step.key}"] = made(step.wanted, f"new {step.key}")
    assert sorted(one.key for one in ours.values()) == ["prod:1", "prod:2"]
    assert steps(want, ours.values()) == []
