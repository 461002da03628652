"""The stored form of a target. When it is read and written: test_snapshots.py."""

import json
from dataclasses import dataclass, field, replace

import pytest

from exporter.collectors.settings import ApiSettings, TargetSettings
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshots import decode, encode, fingerprint, name
from exporter.toolkit.config_types import Secret


@dataclass(frozen=True, slots=True)
class Monitor:
    name: str
    up: bool | None


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False
    monitors: dict[str, Monitor] = field(default_factory=dict)
    pages: tuple[tuple[str, float], ...] = ()
    seen: frozenset[int] = frozenset()
    round: Monitor | None = None


KINDS = {"knowledge": Known, "budget": Budget, "success": bool}
PARTS = {
    "knowledge": Known(
        1.5,
        truncated=True,
        monitors={"7": Monitor("é", None)},
        pages=(("a", 0.5),),
        seen=frozenset({1, 2}),
        round=Monitor("m", up=False),
    ),
    "budget": Budget.start(55, 1000.0).spend(1001.0),
    "success": True,
}
MANY = PARTS | {"knowledge": Known(monitors={str(number): Monitor("m", up=True) for number in range(1001)})}


class Group(ApiSettings):
    groups: tuple[str, ...] = ()


def settings(**changed):
    return Group(**{"collector": "c", "account": "a/b é", "base_url": "http://v/1", "token": "s3cret", **changed})


def stored(parts=PARTS):
    return b"".join(encode(fingerprint(settings()), parts))


def read(content, **changed):
    return decode(content, fingerprint(settings(**changed)), KINDS)


def test_a_large_document_is_made_in_small_pieces():
    """Nothing else runs while one is made, and a large one's memory would stay with the allocator."""
    assert max(map(len, encode(fingerprint(settings()), MANY))) < 200


@pytest.mark.parametrize("parts", [PARTS, MANY, PARTS | {"knowledge": Known()}])
def test_document_round_trips(parts):
    """Thousands of records, tuples and sets keep their types."""
    assert read(stored(parts)) == parts


def test_infinite_number_is_read_as_unknown():
    """A vendor's limit of 400 digits: JSON has no infinity, and the rest must stay readable."""
    budget = replace(PARTS["budget"], remaining=float("inf"))
    assert read(stored(PARTS | {"budget": budget})) == PARTS


def test_snapshot_of_the_last_version_is_found():
    """An upgrade continues from it, so that neither the name nor the fingerprint may change."""
    assert (name(settings()), fingerprint(settings())) == ("c-a_b_-c46619a6", "d590e801e965074780ec827534695b31")


def test_targets_have_distinct_names():
    """Even if their names are equal once made safe."""
    names = [name(settings(account=account)) for account in ("a/b", "a_b", "../../x", "x" * 300)]
    assert len(set(names)) == 4
    assert all("/" not in each and len(each) < 150 for each in names)


@pytest.mark.parametrize(
    ("changed", "forgotten"),
    [
        ({}, False),
        ({"token": "rotated"}, False),
        ({"poll_interval": "90s", "max_age": "1h", "requests_per_minute": 5, "proxy_url": "http://p"}, False),
        ({"base_url": "http://v/1/"}, False),
        ({"base_url": "http://v/2"}, True),
        ({"groups": ["1"], "series_limit": 7}, False),
        ({"account": "other"}, True),
    ],
)
def test_snapshot_of_another_target_is_not_used(changed, forgotten):
    """Another base URL or account is another target; other credentials, intervals and selections are not."""
    assert (read(stored(), **changed) is None) is forgotten


class Hidden(TargetSettings):
    url_file: Secret

    def url(self):
        return self.url_file


def test_secret_url_is_identified_by_its_host():
    """Its key may be rotated, and no part of it is stored."""
    hosts = [
        fingerprint(Hidden.model_construct(collector="c", account="a", url_file=Secret(url)))
        for url in ("https://u:p@v/api?key=1", "https://v/api?key=2", "https://w/api?key=1")
    ]
    assert hosts[0] == hosts[1] != hosts[2]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b"{}",
        stored()[: len(stored()) // 2],
        stored().replace(b'"monitors":{', b'"monitors":{"8":1,'),
        stored().replace(b'"tokens"', b'"other"'),
    ],
)
def test_a_broken_document_is_an_error(broken):
    """No part of it is used."""
    with pytest.raises((ValueError, RecursionError)):
        read(broken)


def test_another_format_is_not_used():
    """A newer program's document is not broken."""
    assert read(json.dumps({**json.loads(stored()), "format": 99}).encode()) is None


def test_no_secret_is_stored():
    """Neither in the name nor in the content."""
    assert "s3cret" not in name(settings()) + stored().decode()
