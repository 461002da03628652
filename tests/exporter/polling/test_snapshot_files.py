"""The directory of one exporter's snapshots: it is used by one process. What is in it: test_snapshot_store.py."""

import errno
import os

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
    first.close()
    second.claim()
    second.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_cannot_lock_is_told(tmp_path, monkeypatch, caplog, number):
    """It is a warning, for storage is a convenience."""

    def flock(_descriptor, _how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    directory = Directory(tmp_path)
    directory.claim()
    directory.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert os.strerror(number) in caplog.text
