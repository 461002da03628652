"""Several exporters on the same accounts: shards that divide them, and a pair of which one polls."""

import signal
import time
from collections.abc import Callable, Iterator
from itertools import chain

import pytest
import yaml

from tests import postgresql
from tests.postgresql import Cluster
from tests.sandbox.server import Sandbox
from tests.system.running import Program, free_port, python, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

MONITORS = 45
ACCOUNTS = ("noc", "noc-2", "noc-3", "noc-4")
DOWN = "vendorwatch_storage_up"
Series = dict[str, float]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        made.world.populate(monitors=MONITORS)
        yield made


@pytest.fixture
def exporter(sandbox, started, tmp_path) -> Callable[..., Program]:
    """Start an exporter with these flags; all have the same exporter.yml, and Vigilmon its limit."""
    file = tmp_path / "exporter.yml"
    vigilmon = {
        "collector": "vigilmon",
        "account": "prod",
        "base_url": sandbox.base_url("vigilmon"),
        "token": sandbox.settings.vigilmon.token,
        "requests_per_minute": 55,
        "certificates": False,
    }
    packetvis = [
        {"collector": "packetvis", "account": account, "url": sandbox.base_url("packetvis")} for account in ACCOUNTS
    ]
    file.write_text(yaml.safe_dump({"targets": [vigilmon, *packetvis]}))

    def start(name: str, *flags: str) -> Program:
        address = f"127.0.0.1:{free_port()}"
        command = python("exporter", f"--config.file={file}", f"--web.listen-address={address}", *flags)
        return started(Program(name, command, tmp_path / f"{name}.log", f"http://{address}"))

    return start


def series(program: Program, prefix: str) -> Series:
    """Return the series of the page that begin so."""
    lines = [line.rpartition(" ") for line in program.get("/metrics").text.splitlines() if line.startswith(prefix)]
    return {name: float(value) for name, _, value in lines}


def asked(sandbox: Sandbox, vendor: str = "vigilmon") -> dict:
    return sandbox.traffic.described()[vendor]


def spent(program: Program) -> float:
    """Return how many requests the exporter says that it has sent to Vigilmon."""
    return sum(series(program, 'vendorwatch_api_requests_total{collector="vigilmon"').values())


def test_three_shards_divide_the_accounts(exporter, sandbox, tmp_path):
    """Each account is completely on one page, and only that exporter polls it."""
    flags = [(f"--shard={number}/3", f"--storage.path={tmp_path / 'state'}") for number in (1, 2, 3)]
    shards = [exporter(f"shard{number}", *flags[number - 1]) for number in (1, 2, 3)]
    found = lambda prefix: [sorted(series(shard, prefix)) for shard in shards]  # noqa: E731
    until("pages are whole", lambda: sum(map(len, found("vigilmon_monitor_active{"))) == MONITORS)
    assert sorted(map(len, found("vigilmon_monitor_active{"))) == [0, 0, MONITORS]
    warnings = sorted(f'packetvis_warning{{account="{account}"}}' for account in ACCOUNTS)
    until("warnings are on one page each", lambda: sorted(chain(*found("packetvis_warning{"))) == warnings)
    for number, shard in enumerate(shards, 1):
        assert f'vendorwatch_shard_info{{shard="{number}",shards="3"}} 1.0' in shard.get("/metrics").text
        assert f"shard {number} of 3" in shard.get("/").text
    until("details are asked", lambda: asked(sandbox)["paths"].get("/api/v1/monitors/{id}", 0) >= 3)
    seen = asked(sandbox)
    assert (seen["rate_limited"], seen["peak_per_minute"] <= 55) == (0, True)


@pytest.fixture
def pair(exporter, tmp_path) -> Callable[[Cluster], tuple[Program, Program]]:
    """Start the two that share a database; the first leads."""

    def start(cluster: Cluster) -> tuple[Program, Program]:
        file = tmp_path / "database.url"
        file.write_text(cluster.database().replace("vendorwatch@", "vendorwatch:s3cret@"))
        flag = f"--storage.url-file={file}"
        leader = exporter("leader", flag)
        follower = exporter("follower", flag)
        until("uptimes are served", lambda: series(leader, "vigilmon_monitor_uptime"))
        for prefix in ("vigilmon_monitor_", "packetvis_", "vendorwatch_poll_success"):
            until("both serve the same", lambda prefix=prefix: known(leader, prefix) == known(follower, prefix))
        return leader, follower

    return start


def known(program: Program, prefix: str = "vigilmon_monitor_active{") -> set[str]:
    return set(series(program, prefix))


def leads(program: Program) -> bool:
    return series(program, "vendorwatch_leader") == {"vendorwatch_leader": 1.0}


def nothing_was_refused_or_lost(sandbox: Sandbox) -> None:
    seen = asked(sandbox)
    assert (seen["rate_limited"], seen["peak_per_minute"] <= 60) == (0, True)


@pytest.mark.parametrize("end", [Program.kill, Program.stop])
def test_follower_takes_over_when_the_leader_stops(pair, postgresql_cluster, exporter, sandbox, end):
    """The follower costs the vendor nothing and serves the same page; then it polls within the remaining budget."""
    leader, follower = pair(postgresql_cluster)
    assert (leads(leader), leads(follower)) == (True, False)
    assert "leading" in leader.get("/").text
    assert "following" in follower.get("/").text
    until("all requests are the leader's", lambda: spent(leader) == asked(sandbox)["count"])
    assert spent(follower) == 0
    monitors, before = known(follower), asked(sandbox)["count"]
    end(leader)

    def follower_leads() -> bool:
        assert known(follower) == monitors
        return leads(follower)

    until("the follower leads", follower_leads)
    until("the follower asks", lambda: follower_leads() and asked(sandbox)["count"] > before + 2)
    assert spent(follower) >= 2
    nothing_was_refused_or_lost(sandbox)
    folder = leader.log.parent
    again = exporter("again", f"--storage.url-file={folder / 'database.url'}")
    assert not leads(again)
    assert known(again) == monitors
    assert not any("s3cret" in each.log.read_text() for each in (leader, follower, again))


def test_follower_takes_over_when_the_leader_hangs(pair, postgresql_cluster, sandbox):
    """PostgreSQL ends the session of a frozen leader. When it wakes up, it follows."""
    leader, follower = pair(postgresql_cluster)
    monitors, before = known(follower), asked(sandbox)["count"]
    leader.send(signal.SIGSTOP)
    until("the follower leads and asks", lambda: leads(follower) and asked(sandbox)["count"] > before + 2)
    assert known(follower) == monitors
    leader.send(signal.SIGCONT)
    until("the former leader follows", lambda: "following" in leader.get("/").text)
    assert (leads(leader), leads(follower), known(leader)) == (False, True, monitors)
    nothing_was_refused_or_lost(sandbox)


def test_pair_stops_polling_while_postgresql_is_unavailable(pair, sandbox):
    """Neither can know whether the other polls. Both serve their data and log one line; later one polls again."""
    postgresql.needed()
    with Cluster() as own:
        both = pair(own)
        monitors = known(both[0])
        own.stop()
        until("nobody leads", lambda: not any(map(leads, both)))
        until("both know", lambda: all(series(each, "vendorwatch_storage_up") == {DOWN: 0.0} for each in both))
        time.sleep(2)  # what was on its way has been answered
        before = asked(sandbox)["count"]
        time.sleep(5)
        assert asked(sandbox)["count"] == before
        assert [known(each) for each in both] == [monitors, monitors]
        assert all("PostgreSQL unavailable" in each.get("/").text for each in both)
        own.start()

        def one_leads() -> bool:
            roles = [leads(each) for each in both]
            assert not all(roles)
            assert [known(each) for each in both] == [monitors, monitors]
            return any(roles)

        until("one leads", one_leads)
        until("it asks", lambda: one_leads() and asked(sandbox)["count"] > before + 2)
        nothing_was_refused_or_lost(sandbox)
        for each in both:
            log = each.log.read_text()
            assert (log.count("PostgreSQL unavailable"), "Traceback" in log, "s3cret" in log) == (1, False, False)
