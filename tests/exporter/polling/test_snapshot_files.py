"""The directory of one exporter's snapshots, and what happens to its files."""

import errno
import os
import stat

import pytest

from exporter.polling.snapshot_files import LOCK, Directory
from exporter.toolkit.config_types import ConfigError


def test_a_directory_that_is_in_use_is_refused_with_the_way_out(tmp_path):
    """Two that poll with one token is the mishap to prevent; nobody else may read the lock, and the end frees it."""
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
def test_a_file_system_that_cannot_lock_is_told(tmp_path, monkeypatch, caplog, number):
    """It is a warning, for storage is a convenience."""

    def flock(_descriptor, _how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    directory = Directory(tmp_path)
    directory.claim()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert os.strerror(number) in caplog.text


def test_what_was_written_is_read_and_nobody_else_may(tmp_path):
    """The directory is made; the file has what was written last."""
    path = tmp_path / "made" / "here"
    directory = Directory(path)
    assert directory.read("x") is None
    directory.write("x", [b"a", b"b"])
    directory.write("x", [b"c"])
    assert Directory(path).read("x") == b"c"
    (file,) = path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_what_killed_writes_left_is_removed(tmp_path):
    """A crash loop would fill the disk; what is being written, and what is of another target, stays."""
    directory = Directory(tmp_path)
    directory.write("x", [b"{}"])
    (saved,) = tmp_path.iterdir()
    old, new = (tmp_path / f".{saved.name}.{end}" for end in ("old12345", "new12345"))
    other = tmp_path / ".other.json.old12345"
    for each in (old, new, other):
        each.write_bytes(b"{")
    for each in (old, other):
        os.utime(each, (1000.0, 1000.0))
    directory.write("x", [b"{}"])
    assert set(tmp_path.iterdir()) == {saved, new, other}


def test_each_write_has_a_stamp_of_its_own(tmp_path):
    """Nothing that was stored is missed, and nothing is read twice."""
    directory = Directory(tmp_path)
    stamps = [directory.stamp("x")]
    for _ in range(3):
        directory.write("x", [b"{}"])
        assert directory.stamp("x") == directory.stamp("x")
        stamps.append(directory.stamp("x"))
    assert stamps[0] is None
    assert len(set(stamps)) == 4


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    """Whatever the error, nothing else is left behind."""

    def broken():
        yield b"{"
        raise TypeError

    directory = Directory(tmp_path)
    directory.write("x", [b"{}"])
    with pytest.raises(TypeError):
        directory.write("x", broken())
    (file,) = tmp_path.iterdir()
    assert (file.suffix, directory.read("x")) == (".json", b"{}")


def test_a_directory_that_cannot_be_made_is_an_error_at_the_start(tmp_path):
    """The operator asked for it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot use --storage.path .*/file: File exists"):
        Directory(tmp_path / "file")
