"""The directory of one exporter's snapshots, and what happens to its files."""

import errno
import os
import stat
from pathlib import Path

import pytest

from exporter.polling.snapshot_files import LOCK, Directory
from exporter.toolkit.config_types import ConfigError


def raise_type_error(*_):
    raise TypeError


def test_directory_in_use_is_an_error_that_says_what_to_do(tmp_path):
    """Two exporters must not poll with one token; only the owner may read the lock, and the end releases it."""
    first, second = Directory(tmp_path), Directory(tmp_path)
    first.claim()
    with pytest.raises(ConfigError) as raised:
        second.claim()
    (line,) = raised.value.problems
    assert line.startswith(f"another exporter uses --storage.path {tmp_path}: ")
    assert "--storage.url" in line
    assert (tmp_path / LOCK).stat().st_mode & 0o777 == 0o600
    os.close(first._lock)  # as the kernel does when a process ends
    second.claim()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog, number):
    """Storage is a convenience, so the exporter starts."""

    def flock(_descriptor, _how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    directory = Directory(tmp_path)
    directory.claim()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert os.strerror(number) in caplog.text


def test_written_snapshot_is_read_and_private(tmp_path):
    """The directory is created; the file has the last content."""
    path = tmp_path / "made" / "here"
    directory = Directory(path)
    assert directory.read("x") is None
    directory.write("x", [b"ab"])
    directory.write("x", [b"c"])
    assert Directory(path).read("x") == b"c"
    (file,) = path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_snapshot_is_on_the_disk_before_it_replaces_the_last_one(tmp_path, monkeypatch):
    """After a power failure the name would otherwise belong to an empty file."""
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (sync(file), synced.append((os.fstat(file).st_size, written()))))

    def written():
        return directory.read("x")

    directory = Directory(tmp_path)
    directory.write("x", [b"one"])
    directory.write("x", [b"second"])
    assert synced == [(3, None), (6, b"one")]


def test_leftover_of_a_killed_write_is_replaced(tmp_path, monkeypatch):
    """A crash loop would fill the disk otherwise."""
    directory = Directory(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        killed.setattr(os, "fsync", raise_type_error)
        with pytest.raises(TypeError):
            directory.write("x", [b"unfinished"])
    (left,) = tmp_path.iterdir()
    directory.write("x", [b"{}"])
    assert not left.exists()
    assert directory.read("x") == b"{}"


def test_each_write_has_its_own_stamp(tmp_path):
    """No snapshot is missed or read twice."""
    directory = Directory(tmp_path)
    stamps = [directory.stamp("x")]
    for _ in range(3):
        directory.write("x", [b"{}"])
        assert directory.stamp("x") == directory.stamp("x")
        stamps.append(directory.stamp("x"))
    assert stamps[0] is None
    assert len(set(stamps)) == 4


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    """No other file is left, after any error."""
    directory = Directory(tmp_path)
    directory.write("x", [b"{}"])
    monkeypatch.setattr(os, "fsync", raise_type_error)
    with pytest.raises(TypeError):
        directory.write("x", [b"["])
    (file,) = tmp_path.iterdir()
    assert (file.suffix, directory.read("x")) == (".json", b"{}")


def test_a_directory_that_cannot_be_made_is_an_error_at_the_start(tmp_path):
    """The operator asked for it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot use --storage.path .*/file: File exists"):
        Directory(tmp_path / "file")
