"""Targets that come, go and change with the configuration."""

import gzip
import socket
import threading
import time

import pytest

from exporter import config
from exporter.metrics.exporter_metrics import Running
from exporter.polling.page_cache import PageCache
from exporter.polling.snapshot_files import Directory
from exporter.polling.targets import PATIENCE, Targets
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let no target wait for its turn."""
    monkeypatch.setattr("exporter.polling.poller.START_WITHIN", 0.0)


@pytest.fixture
def closed_ports():
    """Return ports at which nobody listens: a refused probe is an answer."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def page_cache():
    made = PageCache(time.time, Running("1.2.3"))
    made.start()
    yield made
    made.stop(30)


@pytest.fixture
def targets(page_cache):
    made = Targets(page_cache, None)
    yield made
    made.stop()


def edge(*ports, account="edge", **more):
    endpoints = [f"127.0.0.1:{port}" for port in ports]
    return {"collector": "certificates", "account": account, "endpoints": endpoints, "timeout": "5s"} | more


def read(*content):
    return config.read({"targets": list(content)}).targets


def page(page_cache):
    return gzip.decompress(b"".join(page_cache.page(openmetrics=False, packed=True))).decode()


def probed(page_cache, *ports, account="edge"):
    shown = page(page_cache)
    return all(f'tls_probe_success{{account="{account}",endpoint="127.0.0.1:{port}"}}' in shown for port in ports)


@pytest.mark.parametrize(
    "changed",
    [
        {"poll_interval": "7m"},
        {"max_age": "2h"},
        {"timeout": "6s"},
        {"series_limit": 500},
        {"endpoints": "one more"},
        {"endpoints": "one less"},
    ],
    ids=str,
)
def test_reload_keeps_the_data_of_configured_targets(page_cache, targets, closed_ports, changed):
    """No page lacks a series of a remaining endpoint; the target stays ready and successful."""
    first, second, third = closed_ports
    targets.follow(read(edge(first, second)))
    eventually(lambda: probed(page_cache, first, second))
    eventually(lambda: page_cache.pollers()[0].health().success)
    ports = {"one more": (first, second, third), "one less": (first,)}.get(changed.get("endpoints"), (first, second))
    more = {name: value for name, value in changed.items() if name != "endpoints"}
    targets.follow(read(edge(*ports, **more)))
    assert probed(page_cache, *(port for port in ports if port != third))
    health = page_cache.pollers()[0].health()
    assert (health.success, health.first_poll_ended) == (True, True)
    assert health.requests["tls", "connect"] >= 2
    eventually(lambda: probed(page_cache, *ports))


def test_new_account_starts_without_data(page_cache, targets, closed_ports):
    """Data of a removed one is gone at once."""
    targets.follow(read(edge(*closed_ports, account="one")))
    eventually(lambda: probed(page_cache, *closed_ports, account="one"))
    targets.follow(read(edge(*closed_ports, account="two")))
    assert 'account="one"' not in page(page_cache)
    eventually(lambda: probed(page_cache, *closed_ports, account="two"))
    polling = {thread.name for thread in threading.enumerate()}
    assert {"poll certificates one", "poll certificates two"} & polling == {"poll certificates two"}


def test_reload_does_not_disturb_unchanged_targets(page_cache, targets, closed_ports):
    """Their requests in flight go on."""
    targets.follow(read(edge(*closed_ports)))
    before = page_cache.pollers()
    targets.follow(read(edge(*closed_ports), edge(*closed_ports, account="new")))
    assert page_cache.pollers()[0] is before[0]


def test_renamed_account_keeps_its_budget(page_cache, targets, closed_ports):
    """The vendor counts by token, whatever a target is called; another token has a budget of its own."""
    target = {"collector": "vigilmon", "base_url": f"http://127.0.0.1:{closed_ports[0]}", "requests_per_minute": 1}
    targets.follow(read(target | {"account": "one", "token": "t"}))
    eventually(lambda: page_cache.pollers()[0].health().budget_used_ratio == 1.0)
    targets.follow(read(target | {"account": "two", "token": "t"}, target | {"account": "other", "token": "another"}))
    renamed, other = page_cache.pollers()
    assert renamed.health().budget_used_ratio == 1.0
    eventually(lambda: other.health().requests)
    assert not renamed.health().requests


def test_accounts_of_one_token_keep_their_own_budgets(page_cache, targets, closed_ports):
    """Through a reload that changes both: neither gets what the other has not spent yet."""
    target = {"collector": "vigilmon", "token": "t", "base_url": f"http://127.0.0.1:{closed_ports[0]}"}
    both = [target | {"account": account, "requests_per_minute": 1} for account in ("one", "two")]
    targets.follow(read(*both))
    eventually(lambda: all(poller.health().requests for poller in page_cache.pollers()))
    spent = [poller.target.budget.sent for poller in page_cache.pollers()]
    targets.follow(read(*(one | {"timeout": "9s"} for one in both)))
    assert [poller.target.budget.sent for poller in page_cache.pollers()] == spent
    assert spent[0] != spent[1]


def test_another_place_is_another_account_with_the_same_budget(page_cache, targets, closed_ports):
    """Its data would be that of the old `base_url`; the token's requests may count there too."""
    target = {"collector": "vigilmon", "account": "a", "token": "t", "requests_per_minute": 1}
    targets.follow(read(target | {"base_url": f"http://127.0.0.1:{closed_ports[0]}"}))
    eventually(lambda: page_cache.pollers()[0].health().requests)
    targets.follow(read(target | {"base_url": f"http://127.0.0.1:{closed_ports[1]}"}))
    health = page_cache.pollers()[0].health()
    assert (dict(health.requests), health.budget_used_ratio) == ({}, 1.0)


class Slow(Directory):
    """Storage that takes a while."""

    def write(self, name, content):
        time.sleep(0.2)
        super().write(name, content)


def test_all_states_are_stored_at_the_end(page_cache, closed_ports, tmp_path, monkeypatch):
    """The program ends right after; storage that hangs does not delay that beyond the 5 s it has."""
    assert PATIENCE < 2.5
    monkeypatch.setattr("exporter.polling.targets.PATIENCE", 60.0)
    running = Targets(page_cache, Slow(tmp_path))
    running.follow(read(*(edge(closed_ports[0], account=account) for account in "ab")))
    eventually(lambda: probed(page_cache, closed_ports[0], account="b"))
    running.stop()
    assert [b'"settled":true' in file.read_bytes() for file in tmp_path.glob("*.json")] == [True, True]


def test_a_new_leader_polls_as_soon_as_it_is_woken(page_cache, closed_ports, tmp_path):
    """Not only when it would have looked for the next snapshot."""
    leading, looks = [], []
    place = Directory(tmp_path, every=1000.0)
    following = Targets(page_cache, place, lambda: looks.append("one") or bool(leading))
    try:
        following.follow(read(edge(*closed_ports, poll_interval="10ms")))
        eventually(lambda: len(looks) >= 2)  # as it was made, and in its loop
        leading.append(True)
        following.wake()
        eventually(lambda: probed(page_cache, *closed_ports), patience=20)
    finally:
        following.stop()
