"""What is read and written of one target, and when."""

from dataclasses import dataclass, replace
from math import inf

import pytest

from exporter.record import REST, Record
from exporter.settings import ApiSettings
from exporter.storage import Storage


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = None
    truncated: bool = False


class Collector:
    def start(self):
        return Known()


SETTINGS = ApiSettings(collector="c", account="a", base_url="http://v", token="t", requests_per_minute=30.0)


def record(directory=None, every=10.0):
    return Record(Storage(directory, every) if directory else None, SETTINGS, Collector())


def told(target, at):
    return replace(target, knowledge=Known(at), budget=target.budget.spend(at), success=True)


def test_without_storage_nothing_is_written_or_read():
    """And there is nothing to wait for."""
    kept = record()
    target = told(kept.read(1000.0), 1001.0)
    kept.write(target, 1002.0)
    assert (kept.wait(target, 1002.0), kept.news(1003.0)) == (inf, None)


def test_a_change_is_due_so_many_seconds_after_the_last_write(tmp_path):
    """Nothing is due while nothing changed; a clock that was set back does not put it off."""
    kept = record(tmp_path)
    target = kept.read(1000.0)
    changed = told(target, 1001.0)
    assert kept.wait(changed, 1004.0) == pytest.approx(6.0)
    assert kept.wait(changed, 1011.0) == 0.0
    assert kept.wait(changed, 900.0) == 0.0
    kept.write(changed, 1011.0)
    assert kept.wait(changed, 2000.0) == inf
    assert kept.wait(replace(changed, success=False), 1012.0) > 0


def test_what_takes_long_is_written_and_read_seldom(tmp_path, monkeypatch):
    """A tenth of one core is the most that a large account may take for it."""
    kept, moments = record(tmp_path, every=1.0), iter([0.0, 0.7])
    target = told(kept.read(1000.0), 1001.0)
    assert kept.rest == 1.0
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    kept.write(target, 1002.0)
    assert kept.rest == pytest.approx(REST * 0.7)
    assert kept.wait(told(target, 1003.0), 1003.0) == pytest.approx(REST * 0.7 - 1.0)


def test_another_reads_what_is_new_and_nothing_twice(tmp_path):
    """As it was: knowledge, budget and whether it went well."""
    leader, follower = record(tmp_path), record(tmp_path)
    first = leader.read(1000.0)
    assert follower.read(1000.0).knowledge == Known()
    for success in (None, False, True):
        target = replace(told(first, 1001.0), success=success)
        leader.write(target, 1002.0)
        read = follower.news(1002.0)
        assert (read.knowledge, read.budget, read.success) == (target.knowledge, target.budget, success)
        assert follower.news(1002.0) is None


def test_what_is_of_the_future_is_not_believed(tmp_path):
    """It would look fresh until that time has come."""
    leader, follower = record(tmp_path), record(tmp_path)
    leader.write(told(leader.read(5000.0), 5000.0), 5000.0)
    assert follower.read(1000.0).knowledge == Known()
