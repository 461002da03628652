"""What forks the programs of system tests."""

import sys

import pytest

from tests.system.fork_server import Forked, ForkServer


def test_server_that_ends_is_named(tmp_path):
    """Whenever it is asked from then on; its traceback is on standard error."""
    server = ForkServer(["no_such_module"])
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^the fork server ended with status 1: see"):
            Forked(server, [sys.executable, "-m", "this"], {}, tmp_path / "log")
    server.close()
