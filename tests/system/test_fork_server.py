"""What forks the programs of system tests."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.fork_server import IMPORTED, Forked, ForkServer, ForkServers


def test_server_that_ends_is_named(tmp_path):
    """Whenever it is asked from then on; its traceback is on standard error."""
    server = ForkServer(["no_such_module"])
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^the fork server ended with status 1: see"):
            Forked(server, [sys.executable, "-m", "this"], {}, tmp_path / "log")
    server.close()


def test_programs_started_together_have_one_server(monkeypatch):
    """Replicas begin at the same time: each would import everything."""
    monkeypatch.setitem(IMPORTED, "program", ("json",))
    servers = ForkServers()
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(servers.server, ["program"] * 4))) == 1
    servers.close()
