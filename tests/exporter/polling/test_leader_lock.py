"""Who polls, of those that use one directory."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.polling import leader_lock as leadership
from exporter.polling.leader_lock import FILE, LeaderLock, Lock, claimed, shared
from exporter.toolkit.config_types import ConfigError

HOLD = """
import sys, time
from pathlib import Path
from exporter.polling.leader_lock import shared
held = shared(Path(sys.argv[1]))
print(held.leads(), flush=True)
time.sleep(300)
"""


def eventually(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(leadership, "TRY_EVERY", 0.02)


@pytest.fixture
def holder(tmp_path):
    """Start another process that leads."""
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def refusing(number):
    def flock(_descriptor, _how):
        raise OSError(number, os.strerror(number))

    return flock


def test_one_leads_and_the_next_leads_once_it_has_ended(tmp_path, caplog):
    """Not before, and then for good."""
    caplog.set_level("INFO")
    first, second = shared(tmp_path), shared(tmp_path)
    try:
        assert (first.leads(), second.leads()) == (True, False)
        first.start()
        second.start()
        time.sleep(0.1)
        assert not second.leads()
        first.stop()
        eventually(second.leads)
        third = shared(tmp_path)
        assert (second.leads(), third.leads()) == (True, False)
        third.stop()
    finally:
        second.stop()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "leading",
        "following",
        "leading",
        "following",
    ]


def test_a_process_that_is_killed_frees_the_lead(tmp_path, holder):
    """The kernel sees to it: no file is to be removed, nothing has to expire."""
    follower = shared(tmp_path)
    follower.start()
    try:
        assert not follower.leads()
        holder.kill()
        eventually(follower.leads)
    finally:
        follower.stop()


def test_one_that_follows_ends_at_once(tmp_path, holder):
    """It need not lead first, and leaves the lock to who has it."""
    follower = shared(tmp_path)
    follower.start()
    follower.stop()
    assert not follower.leads()
    assert not Lock(tmp_path / FILE).take()


def test_a_directory_that_is_in_use_is_refused_with_the_way_out(tmp_path, holder):
    """Two that poll with one token is the mishap to prevent; nobody else may read the lock."""
    with pytest.raises(ConfigError) as raised:
        claimed(tmp_path)
    (line,) = raised.value.problems
    assert line.startswith(f"another exporter uses --storage.path {tmp_path}: ")
    assert "--storage.share" in line
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_claimed_directory_is_free_again_after_the_end(tmp_path):
    """Also for one that shares it."""
    alone = claimed(tmp_path)
    assert alone.leads()
    follower = shared(tmp_path)
    assert not follower.leads()
    alone.stop()
    again = shared(tmp_path)
    assert again.leads()
    again.stop()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_cannot_lock_is_told(tmp_path, monkeypatch, caplog, number):
    """Alone that is a warning, for storage is a convenience; who shares cannot do without."""
    monkeypatch.setattr("fcntl.flock", refusing(number))
    alone = claimed(tmp_path)
    assert alone.leads()
    alone.stop()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert os.strerror(number) in caplog.text
    with pytest.raises(ConfigError, match="share needs a file system that can") as raised:
        shared(tmp_path)
    assert os.strerror(number) in str(raised.value)


def test_a_lock_that_cannot_be_tried_is_told_and_tried_again(tmp_path, monkeypatch, caplog):
    """A file system may come back."""
    first, second = shared(tmp_path), shared(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("fcntl.flock", refusing(errno.EIO))
        second.start()
        eventually(lambda: "cannot try to lead: Input/output error" in caplog.text)
        assert not second.leads()
    first.stop()
    eventually(second.leads)
    second.stop()


@pytest.mark.parametrize("begin", [shared, claimed])
def test_a_lock_that_somebody_deletes_is_put_back(tmp_path, caplog, monkeypatch, begin):
    """Somebody takes it for a stale one. Nobody leads beside who leads; afterwards one does."""
    monkeypatch.setattr("exporter.polling.leader_lock.GONE", 1000)  # a busy machine may hold the leader for seconds
    leader = begin(tmp_path)
    leader.start()
    follower = LeaderLock(Lock(tmp_path / FILE), leading=False)
    follower.start()
    for _ in range(3):
        before = (tmp_path / FILE).stat().st_ino
        (tmp_path / "aside").touch()
        (tmp_path / FILE).rename(tmp_path / "aside")
        eventually((tmp_path / FILE).exists)
        assert (tmp_path / FILE).stat().st_ino != before
    assert not follower.leads()
    eventually(lambda: f"{FILE} was deleted: it is there again" in caplog.text)
    leader.stop()
    eventually(follower.leads)
    follower.stop()


def test_a_lock_that_nobody_puts_back_is_made(tmp_path):
    """Who led has ended, and then the file was deleted."""
    leader, follower = shared(tmp_path), shared(tmp_path)
    (tmp_path / FILE).unlink()
    leader.stop()
    follower.start()
    eventually(follower.leads)
    assert not Lock(tmp_path / FILE).take()
    follower.stop()


def test_two_that_lead_are_told(tmp_path, caplog):
    """One that starts between the deletion and the next look leads too; the log says what to do."""
    first = shared(tmp_path)
    (tmp_path / FILE).unlink()
    second = shared(tmp_path)
    first.start()
    eventually(lambda: "two exporters poll" in caplog.text)
    assert (first.leads(), second.leads()) == (True, True)
    first.stop()
    second.stop()


def test_a_directory_that_was_deleted_is_told(tmp_path, caplog):
    """Once, and polling goes on."""
    leader = shared(tmp_path)
    (tmp_path / FILE).unlink()
    tmp_path.rmdir()
    leader.start()
    eventually(lambda: caplog.text)
    time.sleep(0.1)
    assert [record.message for record in caplog.records] == [f"cannot make {FILE} anew: No such file or directory"]
    assert leader.leads()
    leader.stop()
    tmp_path.mkdir()


def test_without_a_directory_an_exporter_leads():
    """It has nothing to share."""
    alone = LeaderLock()
    alone.start()
    assert alone.leads()
    alone.stop()
