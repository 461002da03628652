import json
import logging
import os
import stat
from dataclasses import dataclass, field

import pytest

from exporter.collectors.settings import ApiSettings, TargetSettings
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshot_files import Directory
from exporter.polling.snapshot_store import PIECE, SnapshotStore, fingerprint
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


KINDS = {"knowledge": Known, "budget": Budget, "success": bool}
PARTS = {
    "knowledge": Known(
        1.5, truncated=True, monitors={"7": Monitor("é", None)}, pages=(("a", float("inf")),), seen=frozenset({1, 2})
    ),
    "budget": Budget.start(55, 1000.0).spend(1001.0),
    "success": True,
}
MANY = PARTS | {"knowledge": Known(monitors={str(number): Monitor("m", up=True) for number in range(2 * PIECE + 1)})}


class Group(ApiSettings):
    groups: tuple[str, ...] = ()


def settings(**changed):
    return Group(**{"collector": "c", "account": "a/b é", "base_url": "http://v/1", "token": "s3cret", **changed})


def only_file(directory):
    (path,) = directory.iterdir()
    return path


@pytest.mark.parametrize("parts", [PARTS, MANY, PARTS | {"knowledge": Known()}])
def test_what_was_saved_comes_back_as_it_was(tmp_path, parts):
    """Records, tuples, sets, infinities, thousands of them, in their own types; nobody else may read the file."""
    directory = tmp_path / "made" / "here"
    SnapshotStore(Directory(directory)).save(settings(), parts)
    assert SnapshotStore(Directory(directory)).load(settings(), KINDS) == parts
    assert stat.S_IMODE(only_file(directory).stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_targets_do_not_share_a_file(tmp_path):
    """Not even those whose names are alike once they are made safe."""
    storage = SnapshotStore(Directory(tmp_path))
    for account in ("a/b", "a_b", "../../x", "x" * 300):
        storage.save(settings(account=account), {**PARTS, "success": account == "a_b"})
    assert len(list(tmp_path.iterdir())) == 4
    assert storage.load(settings(account="a_b"), KINDS)["success"] is True
    assert storage.load(settings(account="a/b"), KINDS)["success"] is False


@pytest.mark.parametrize(
    ("changed", "forgotten"),
    [
        ({}, False),
        ({"token": "rotated"}, False),
        ({"poll_interval": "90s", "max_age": "1h", "requests_per_minute": 5, "proxy_url": "http://p"}, False),
        ({"base_url": "http://v/2"}, True),
        ({"groups": ["1"], "series_limit": 7}, False),
        ({"account": "other"}, True),
    ],
)
def test_what_is_known_of_another_target_is_forgotten(tmp_path, changed, forgotten):
    """Another base URL or account is another target; other credentials, intervals and selections are not."""
    SnapshotStore(Directory(tmp_path)).save(settings(), PARTS)
    assert (SnapshotStore(Directory(tmp_path)).load(settings(**changed), KINDS) == {}) is forgotten


def test_what_killed_writes_left_is_removed(tmp_path):
    """A crash loop would fill the disk; what is being written, and what is of another target, stays."""
    storage = SnapshotStore(Directory(tmp_path))
    storage.save(settings(), PARTS)
    (saved,) = tmp_path.iterdir()
    old, new = (tmp_path / f".{saved.name}.{end}" for end in ("old12345", "new12345"))
    other = tmp_path / ".other.json.old12345"
    for each in (old, new, other):
        each.write_bytes(b"{")
    for each in (old, other):
        os.utime(each, (1000.0, 1000.0))
    storage.save(settings(), MANY)
    assert set(tmp_path.iterdir()) == {saved, new, other}


class Hidden(TargetSettings):
    url_file: Secret

    def url(self):
        return self.url_file


def test_a_secret_url_counts_by_its_host_alone():
    """Its key may be rotated, and nothing of it goes into the file."""
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
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole.replace(b'"monitors": {', b'"monitors": {"8": 1, '),
        lambda whole: whole.replace(b'"tokens"', b'"other"'),
    ],
)
def test_a_broken_file_is_set_aside_with_one_warning(tmp_path, caplog, broken):
    """Polling starts anew; the content of the file is not repeated."""
    storage = SnapshotStore(Directory(tmp_path))
    storage.save(settings(), PARTS)
    path = only_file(tmp_path)
    path.write_bytes(broken if isinstance(broken, bytes) else broken(path.read_bytes()))
    assert storage.load(settings(), KINDS) == {}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    storage.save(settings(), PARTS)
    assert storage.load(settings(), KINDS) == PARTS


def test_a_file_that_is_left_aside_again_and_again_is_told_once(tmp_path, caplog):
    """One that follows looks every second; once it was used, it is told anew."""
    storage = SnapshotStore(Directory(tmp_path))
    for _ in range(2):
        storage.save(settings(), PARTS)
        assert storage.load(settings(), KINDS) == PARTS
        only_file(tmp_path).write_bytes(b"{")
        assert [storage.load(settings(), KINDS) for _ in range(3)] == [{}] * 3
    assert len(caplog.records) == 2


def test_each_write_has_a_stamp_of_its_own(tmp_path):
    """Nothing that was stored is missed, and nothing is read twice."""
    storage = SnapshotStore(Directory(tmp_path))
    stamps = [storage.stamp(settings())]
    for _ in range(3):
        storage.save(settings(), PARTS)
        assert storage.stamp(settings()) == storage.stamp(settings())
        stamps.append(storage.stamp(settings()))
    assert stamps[0] is None
    assert len(set(stamps)) == 4


def test_another_format_is_not_used(tmp_path, caplog):
    """A newer program's file is left aside without a warning: it is not broken."""
    storage = SnapshotStore(Directory(tmp_path))
    storage.save(settings(), PARTS)
    path = only_file(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    assert storage.load(settings(), KINDS) == {}
    assert not caplog.records


def test_a_failed_write_is_logged_once_and_leaves_the_old_file(tmp_path, caplog):
    """A value that cannot be kept, twice, then a good one, then it fails again: two lines."""
    storage = SnapshotStore(Directory(tmp_path))
    storage.save(settings(), PARTS)
    for success in (object(), object(), True, object()):
        storage.save(settings(), {**PARTS, "success": success})
    assert len(caplog.records) == 2
    assert storage.load(settings(), KINDS) == PARTS
    assert only_file(tmp_path).suffix == ".json"


def test_a_directory_that_is_gone_is_told(tmp_path, caplog):
    """The polling goes on."""
    storage = SnapshotStore(Directory(tmp_path / "state"))
    (tmp_path / "state").rmdir()
    storage.save(settings(), PARTS)
    assert "cannot be written (No such file or directory)" in caplog.text


def test_a_directory_that_cannot_be_made_is_an_error_at_the_start(tmp_path):
    """The operator asked for it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        SnapshotStore(Directory(tmp_path / "file"))


def test_no_secret_is_stored(tmp_path):
    """Neither in the name nor in the content."""
    SnapshotStore(Directory(tmp_path)).save(settings(), PARTS)
    path = only_file(tmp_path)
    assert "s3cret" not in path.name + path.read_text()
