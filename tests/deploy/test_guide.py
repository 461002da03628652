"""The installation guide: its commands are run as they stand, and what it names exists."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.deploy.bare import Bare, checkout
from tests.sandbox.server import Sandbox
from tests.system.commands import alertmanager
from tests.system.running import free_port, missing, until

DEPLOY = Path(__file__).parents[2] / "deploy"
GUIDE = (DEPLOY / "README.md").read_text()
CHECKOUT = ("pyproject.toml", "README.md", "LICENSE", "requirements.lock", "exporter", "bridge", "deploy")


def section(title: str) -> str:
    return GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(title: str) -> list[str]:
    """Return the blocks of a section that are to be run, in their order."""
    return re.findall(r"^```sh\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def test_every_link_leads_somewhere():
    """Files and headings that the guide refers to exist."""
    headings = {"#" + re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in titles()}
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert target in headings if target.startswith("#") else (DEPLOY / target).exists(), target


def titles() -> list[str]:
    return re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)


def test_the_state_of_the_bridge_is_where_the_unit_puts_it():
    """The backup's path is the database of the guide's own bridge.yml."""
    assert "/var/lib/vendorwatch/bridge.db" in section("Operation")
    assert "sqlite:////var/lib/vendorwatch/bridge.db" in section("systemd")


@pytest.fixture
def vendors() -> Iterator[Sandbox]:
    """Run the vendors' APIs."""
    with Sandbox() as sandbox:
        sandbox.world.populate(monitors=5)
        yield sandbox


@pytest.fixture
def ports() -> dict[str, int]:
    """Give each program a port of its own: another pair may run on this machine."""
    return {"9788": free_port(), "9789": free_port(), "9093": free_port()}


@pytest.fixture
def alertmanager_of_the_guide(tmp_path, ports) -> Iterator[None]:
    """Run the Alertmanager that the guide's bridge asks what still fires: `check` asks it too."""
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    running = alertmanager(tmp_path, f"127.0.0.1:{ports['9093']}").start()
    yield
    running.stop()


@pytest.fixture
def machine(tmp_path, vendors, ports) -> Iterator[Bare]:
    """Give a machine with a checkout, on which the vendors' addresses are the sandbox's."""
    replaced = {
        "https://vigilmon.online/api/v1": vendors.base_url("vigilmon"),
        "https://api.bigpanda.io/data/v2/alerts": f"{vendors.url}/bigpanda/data/v2/alerts",
        **{f"127.0.0.1:{usual}": f"127.0.0.1:{port}" for usual, port in ports.items()},
    }
    made = Bare(tmp_path / "root", checkout(tmp_path / "checkout", CHECKOUT), replaced)
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.skipif(
    bool(missing("curl", "openssl", "prometheus-alertmanager")),
    reason="not installed: curl, openssl, prometheus-alertmanager",
)
@pytest.mark.usefixtures("alertmanager_of_the_guide")
def test_a_newcomer_gets_a_running_pair(machine, ports, vendors):
    """The guide's commands, one after the other, end with both programs well and a test alert at BigPanda."""
    install, units, secrets, configuration, start, reload = commands("systemd")
    machine.run(install)
    machine.run(units)
    machine.run(secrets)
    settings = machine.root / "etc/vendorwatch"
    (settings / "vigilmon.token").write_text("vtk_sandbox\n")
    (settings / "bigpanda.token").write_text("bp-sandbox-org-token\n")
    for name, port in (("exporter", ports["9788"]), ("bridge", ports["9789"])):
        (settings / f"{name}.env").write_text(f"VENDORWATCH_FLAGS=--web.listen-address=127.0.0.1:{port}\n")
    machine.run(configuration)
    told = machine.run(start)
    assert "credentials accepted" in told
    assert told.count("accepted by BigPanda") == 2
    page = requests.get(f"http://127.0.0.1:{ports['9788']}/metrics", timeout=10).text
    assert 'vendorwatch_poll_success{collector="vigilmon",account="prod"} 1' in page
    machine.run(reload)
    until("both read their files again", lambda: reloaded(machine))
    backed_up(machine)


def reloaded(machine: Bare) -> bool:
    logs = machine.logs()
    return logs.count("1 targets") == 2 and "Reloaded" in logs


def backed_up(machine: Bare) -> None:
    """See that the guide's backup, made while the bridge runs, is a whole database."""
    (command,) = re.findall(r"^\$ (runuser.*?)^```$", section("Operation"), re.MULTILINE | re.DOTALL)
    machine.run(command)
    with sqlite3.connect(machine.root / "var/lib/vendorwatch/backup.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM schema_version").fetchone() == (1,)
    copy.close()


@pytest.mark.system
@pytest.mark.skipif(bool(missing("promtool", "amtool")), reason="not installed: promtool, amtool")
def test_prometheus_and_alertmanager_take_what_the_guide_installs(machine):
    """The guide's commands end with files that both programs' own tools accept, and no rule is lost."""
    (machine.root / "etc/vendorwatch").mkdir()
    (machine.root / "etc/vendorwatch/am.token").write_text("a-token\n")
    shipped = machine.checkout / "deploy/alertmanager/alertmanager.yml"
    shipped.write_text(machine.here(shipped.read_text()))
    (block,) = commands("Prometheus, Alertmanager, Grafana")
    told = machine.run(block)
    rules = list((DEPLOY / "prometheus/rules").glob("*.yml"))
    assert told.count("rules found") == len(rules) > 0
    sent = (machine.root / "etc/prometheus/alertmanager.yml").read_text()
    (named,) = re.findall(r"credentials_file: (\S+)", sent)
    assert Path(named).read_text() == "a-token\n"
