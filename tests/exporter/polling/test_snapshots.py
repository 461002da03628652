"""Reading and writing the snapshots of a target, and their timing."""

import json
import logging
import threading
from dataclasses import dataclass, replace
from itertools import cycle
from math import inf

import pytest

from exporter.collectors.contract import Get, Reason, Response
from exporter.collectors.settings import ApiSettings, TargetSettings
from exporter.polling import snapshots
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshot_files import Directory
from exporter.polling.snapshots import Snapshot, followed
from exporter.polling.target_state import Target
from exporter.toolkit.config_types import Secret
from tests.exporter.simulation import START, Run, step
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Known:
    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False


class Hidden(TargetSettings):
    url_file: Secret

    def url(self):
        return self.url_file


class Collector:
    def start(self):
        return Known()


SETTINGS = ApiSettings(collector="c", account="a", base_url="http://v", token="t", requests_per_minute=30.0)


def record(directory=None, **every):
    return Snapshot(Directory(directory, **every) if directory else None, SETTINGS, Collector())


def polled(target, at):
    return replace(target, knowledge=Known(at), budget=target.budget.spend(at), success=True)


def test_without_storage_nothing_is_written_or_read():
    """And nothing is awaited."""
    kept = record()
    target = polled(kept.read(1000.0), 1001.0)
    kept.write(target, 1002.0)
    assert (kept.wait(target, 1002.0), kept.news(1003.0)) == (inf, None)


def test_write_is_due_seconds_after_the_last_one(tmp_path):
    """The first one at once, none without a change; a clock set back does not delay it."""
    kept = record(tmp_path)
    target = kept.read(1000.0)
    assert kept.wait(target, 1000.0) == 0.0
    kept.write(target, 1000.0)
    changed = polled(target, 1001.0)
    assert kept.wait(changed, 1000.0) == 10.0
    assert kept.wait(changed, 1004.0) == pytest.approx(6.0)
    assert kept.wait(changed, 1011.0) == 0.0
    assert kept.wait(changed, 900.0) == 0.0
    kept.write(changed, 1011.0)
    assert kept.wait(changed, 2000.0) == inf
    assert kept.wait(replace(changed, success=False), 1012.0) > 0


def test_snapshot_is_of_the_place_that_is_polled_when_it_is_written(tmp_path):
    """The file of a secret URL may be replaced while the exporter runs; a restart then finds the new place's data."""
    secret, directory = tmp_path / "url", Directory(tmp_path / "snapshots", 1.0)
    secret.write_text("https://old.example/api?key=1")

    def restarted():
        settings = Hidden.model_construct(
            collector="c", account="a", url_file=Secret(file=secret), requests_per_minute=30.0, max_age=100.0
        )
        return Snapshot(directory, settings, Collector())

    running = restarted()
    target = polled(running.read(1000.0), 1001.0)
    secret.write_text("https://replaced.example/api?key=1")
    running.write(target, 1002.0)
    assert restarted().read(1003.0).knowledge == target.knowledge


@pytest.mark.parametrize(("took", "rest"), [(0.7, 7.0), (60.0, 30.0)])
def test_slow_snapshots_are_written_and_read_rarely(tmp_path, monkeypatch, took, rest):
    """A large account takes a tenth of a core at most; after storage that hung a minute, all goes on within another."""
    kept, follower, moments = record(tmp_path, every=1.0), record(tmp_path, every=1.0), cycle([0.0, took])
    target = polled(kept.read(1000.0), 1001.0)
    assert kept.rest == 1.0
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    kept.write(target, 1002.0)
    assert kept.rest == pytest.approx(rest)
    assert kept.wait(polled(target, 1003.0), 1003.0) == pytest.approx(rest - 1.0)
    assert follower.news(1003.0)
    assert follower.rest == pytest.approx(rest)


def test_follower_reads_each_new_snapshot_once(tmp_path):
    """With knowledge, budget and success."""
    leader, follower = record(tmp_path), record(tmp_path)
    first = leader.read(1000.0)
    assert follower.read(1000.0).knowledge == Known()
    for success in (None, False, True):
        target = replace(polled(first, 1001.0), success=success)
        leader.write(target, 1002.0)
        assert leader.news(1002.0) is None
        read = follower.news(1002.0)
        assert (read.knowledge, read.budget, read.success) == (target.knowledge, target.budget, success)
        assert follower.news(1002.0) is None


@pytest.mark.parametrize(
    ("as_of", "round_at", "success"), [(700.0, 690.0, True), (699.0, 690.0, None), (700.0, None, None)]
)
def test_stored_data_counts_as_a_round_while_it_may_be_shown(tmp_path, as_of, round_at, success):
    """An exporter that has nothing to show yet is not ready; requests are counted anew."""
    before = record(tmp_path)
    before.write(replace(before.read(900.0), knowledge=Known(as_of, round_at), success=True), 900.0)
    found = record(tmp_path).read(1000.0)
    assert (found.knowledge, found.success, found.counting_since) == (Known(as_of, round_at), success, 1000.0)


def test_stored_budget_has_the_configured_rate(tmp_path):
    """It may have been changed between two runs; what was spent still counts."""
    before = record(tmp_path)
    before.write(polled(before.read(1000.0), 1001.0), 1002.0)
    changed = SETTINGS.model_copy(update={"requests_per_minute": 6.0})
    budget = Snapshot(Directory(tmp_path), changed, Collector()).read(1003.0).budget
    assert (budget.rate, budget.sent) == (6.0, (1001.0,))


@pytest.mark.parametrize(("took", "unseen"), [(0.0, 14), (0.6, 18)])
def test_requests_since_the_last_write_count_as_sent_after_a_kill(monkeypatch, took, unseen):
    """So do those that the storage may have lost, or that were sent while it rested."""
    place, moments = Memory(), cycle([0.0, took])
    place.every, place.loss_window = 1.0, 4.0
    kept = Snapshot(place, SETTINGS, Collector())
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    kept.write(kept.read(990.0), 990.0)
    budget = replace(Budget.start(120.0, 990.0), tokens=0.0, settled=False)  # saves six, gets two a second
    assert len(kept.resumed(Target(knowledge=Known(), budget=budget), 1000.0).budget.sent) == unseen


@pytest.mark.parametrize("known", [True, False])
def test_follower_keeps_what_belongs_to_its_own_process(known):
    """And what it knows while the leader, just started, knows nothing."""
    budget = Budget.start(30.0, 1000.0)
    mine = Target(
        knowledge=Known(900.0),
        budget=budget,
        success=True,
        requests={("/x", "ok"): 3},
        counting_since=800.0,
        probing=frozenset({("a:1",)}),
    )
    stored = Target(
        knowledge=Known(990.0 if known else None),
        budget=budget.spend(1000.0),
        success=False if known else None,
        counting_since=999.0,
    )
    kept = {part: getattr(mine, part) for part in ("requests", "counting_since", "probing")}
    kept |= {} if known else {"knowledge": mine.knowledge, "success": True}
    assert followed(mine, stored) == replace(stored, **kept)


def test_snapshot_of_the_future_is_not_used(tmp_path, caplog):
    """It would look fresh until that time. A follower says so, once, and reports no success without data."""
    leader, follower = record(tmp_path), record(tmp_path)
    target = leader.read(5000.0)
    for at in (5000.0, 5100.0):
        target = polled(target, at)
        leader.write(target, at)
        read = follower.news(at - 4000.0)
        assert (read.knowledge, read.success) == (Known(), None)
    assert [record.getMessage().partition(" not used: ")[2] for record in caplog.records] == [
        "it is from the future, by the clock of this machine"
    ]


def only_file(directory):
    (path,) = directory.iterdir()
    return path


def test_broken_snapshot_is_one_warning(tmp_path, caplog):
    """Polling starts without it, and its content is not logged. After a good one, the next is logged again."""
    leader, follower = record(tmp_path), record(tmp_path)
    target = leader.read(1000.0)
    for at in (1000.0, 1100.0):
        target = polled(target, at)
        leader.write(target, at)
        assert follower.news(at).knowledge == target.knowledge
        for broken in (b"{s3cret", b"{s3cret!"):
            only_file(tmp_path).write_bytes(broken)
            assert follower.news(at) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "cannot be used, starting without it (DecodeError)" in caplog.text
    assert "s3cret" not in caplog.text


def test_another_format_is_not_used(tmp_path, caplog):
    """A newer program's file is ignored without a warning."""
    leader = record(tmp_path)
    leader.write(polled(leader.read(1000.0), 1000.0), 1000.0)
    path = only_file(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    assert record(tmp_path).read(1000.0).knowledge == Known()
    assert not caplog.records


def test_a_failed_write_is_logged_once_and_leaves_the_old_file(tmp_path, caplog):
    """Two failures, a success and another failure are two lines."""
    kept = record(tmp_path)
    target = polled(kept.read(1000.0), 1000.0)
    for success in (object(), object(), True, object()):
        kept.write(replace(target, success=success), 1000.0)
    assert len(caplog.records) == 2
    assert record(tmp_path).news(1000.0).success is True


def test_a_failed_write_is_due_again_without_a_change(tmp_path, caplog):
    """As after a full disk: certificates are probed every few minutes, and a kill until then would lose them."""
    caplog.set_level(logging.INFO)
    kept = record(tmp_path / "state")
    target = polled(kept.read(1000.0), 1000.0)
    (tmp_path / "state").rmdir()
    kept.write(target, 1000.0)
    assert kept.wait(target, 1000.0) == 10.0
    (tmp_path / "state").mkdir()
    kept.write(target, 1010.0)
    assert kept.wait(target, 1011.0) == inf
    assert [record.getMessage().partition(": ")[0] for record in caplog.records][1:] == ["Cleared"]
    assert record(tmp_path / "state").news(1011.0).knowledge == target.knowledge


def test_missing_directory_is_logged(tmp_path, caplog):
    """Polling continues."""
    kept = record(tmp_path / "state")
    (tmp_path / "state").rmdir()
    kept.write(polled(kept.read(1000.0), 1000.0), 1000.0)
    assert "cannot be written (No such file or directory)" in caplog.text


class Memory:
    """A storage that survives every process."""

    every = loss_window = 10.0

    def __init__(self):
        self.content, self.saved = None, 0

    def stamp(self, _name):
        return self.saved

    def read(self, _name):
        return self.content

    def write(self, _name, content):
        self.content, self.saved = b"".join(content), self.saved + 1


class Hanging(Memory):
    """A storage that may not answer for a while: a disk that stalls, a database whose table is locked."""

    def __init__(self):
        super().__init__()
        self.answers, self.accesses = threading.Event(), 0

    def write(self, name, content):
        self.accesses += 1
        self.answers.wait()
        super().write(name, content)

    def read(self, name):
        self.accesses += 1
        self.answers.wait()
        return super().read(name)


def test_storage_that_hangs_does_not_stop_the_polling(monkeypatch, caplog):
    """Polling goes on without it; one access waits, not one more for each try. It is used again once it answers."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(snapshots, "PATIENCE", 0.05)
    place = Hanging()
    kept, follower = Snapshot(place, SETTINGS, Collector()), Snapshot(place, SETTINGS, Collector())
    target = Target(knowledge=Known(), budget=Budget.start(30.0, 1000.0))
    for at in (1001.0, 1011.0):
        target = polled(target, at)
        kept.write(target, at)
    assert kept.wait(target, 1022.0) == 0.0
    assert [follower.news(1022.0) for _ in range(2)] == [None, None]
    assert place.accesses == 2
    place.answers.set()
    eventually(lambda: kept._hanging.done() and follower._hanging.done())
    kept.write(target, 1022.0)
    assert follower.news(1023.0).knowledge == target.knowledge
    hangs = [
        f"Snapshot {snapshots.name(SETTINGS)} cannot be {what} (the storage hangs)" for what in ("written", "read")
    ]
    assert [record.getMessage() for record in caplog.records] == [*hangs, *(f"Cleared: {each}" for each in hangs)]


def test_a_snapshot_that_could_not_be_read_is_read_again(tmp_path, monkeypatch):
    """Though it did not change: the next may be written in an hour."""
    place = Memory()
    leader, follower = Snapshot(place, SETTINGS, Collector()), Snapshot(place, SETTINGS, Collector())
    target = polled(leader.read(1000.0), 1000.0)
    leader.write(target, 1001.0)
    with monkeypatch.context() as broken:
        broken.setattr(place, "read", lambda name: (tmp_path / name).read_bytes())
        assert follower.news(1002.0) is None
    assert follower.news(1003.0).knowledge == target.knowledge


class Wanting(Collector):
    """Wants one thing after another, and never has enough; what it is polled makes it no wiser."""

    def requests(self, _knowledge, now, _failing):
        yield Get(endpoint="/x", reason=Reason.STATUS, due=now, every=1.0, path="/x")

    def update(self, knowledge, _ask, _answer):
        return knowledge


def lives(ages, *, clean=False, pause=0.5, rate=55.0):
    """Return when requests were sent by processes that were killed, or ended in order, at these ages one by one."""
    storage, sent, now, collector = Memory(), [], START, Wanting()
    settings = SETTINGS.model_copy(update={"requests_per_minute": rate})
    for age in ages:
        kept, end = Snapshot(storage, settings, collector), now + age
        run = Run(kept.resumed(kept.read(now), now), now)
        while True:
            if kept.wait(run.target, run.now) <= 0:
                kept.write(run.target, run.now)
            step(collector, run, lambda _, at: Response(at, 200, b""), 0.05)
            if run.now >= end:
                break
        sent += [at for at, _ in run.sent]
        now = max(end, run.now) + pause
        if clean:
            kept.write(replace(run.target, budget=replace(run.target.budget, settled=True)), run.now)
    return sent


@pytest.mark.slow
@pytest.mark.parametrize("age", [0.04, 0.5, 1.5, 3.0, 7.3, 9.9, 10.1, 14.0, 59.0, 61.0, 75.5])
@pytest.mark.parametrize("before", [0.0, 90.0, 94.7, 99.9])
def test_kills_never_exceed_the_rate(before, age):
    """Requests that no stored file knows of count as sent."""
    sent = lives([before, *[age] * max(4, min(30, round(300 / age))), 120.0])
    assert max(sum(at - 60 < other <= at for other in sent) for at in sent) <= 55
    assert len([at for at in sent if at > sent[-1] - 60]) >= 54


@pytest.mark.parametrize("rate", [1.0, 55.0])
def test_clean_restart_causes_no_wait(rate):
    """Nor does the first start: only a kill leaves unreported requests."""
    straight, restarted = lives([200.0], rate=rate), lives([100.0, 99.5], clean=True, rate=rate)
    assert straight[0] == restarted[0] == START
    assert abs(len(straight) - len(restarted)) <= 1
