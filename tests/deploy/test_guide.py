"""The installation guide: a test runs its commands unchanged, and its links exist."""

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
    """Return the commands of a section, block by block."""
    return re.findall(r"^```sh\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def test_guide_links_exist():
    """The guide's links to files and headings exist."""
    headings = {"#" + re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in titles()}
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert target in headings if target.startswith("#") else (DEPLOY / target).exists(), target


def titles() -> list[str]:
    return re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)


def test_guide_backs_up_the_configured_database():
    """The path in the backup command is the database of the guide's bridge.yml."""
    assert "/var/lib/vendorwatch/bridge.db" in section("Operation")
    assert "sqlite:////var/lib/vendorwatch/bridge.db" in section("systemd")


@pytest.fixture
def vendors() -> Iterator[Sandbox]:
    """Run the sandbox of the vendors' APIs."""
    with Sandbox() as sandbox:
        sandbox.world.populate(monitors=5)
        yield sandbox


@pytest.fixture
def ports() -> dict[str, int]:
    """Return a free port for each program's default port."""
    return {"9788": free_port(), "9789": free_port(), "9093": free_port()}


@pytest.fixture
def alertmanager_of_the_guide(tmp_path, ports) -> Iterator[None]:
    """Run the Alertmanager of the guide's bridge.yml, which `check` tests."""
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    running = alertmanager(tmp_path, f"127.0.0.1:{ports['9093']}").start()
    yield
    running.stop()


@pytest.fixture
def machine(tmp_path, vendors, ports) -> Iterator[Bare]:
    """Return a machine with a checkout, on which the vendors' addresses are the sandbox's."""
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
def test_guide_commands_install_both_programs(machine, ports, vendors):
    """The commands, in order, end with two healthy programs and a test alert at BigPanda."""
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
    for path in ("opt/vendorwatch/bin", "opt/vendorwatch/bin/vendorwatch-bridge", "etc/vendorwatch/bridge.yml"):
        assert (machine.root / path).stat().st_mode & 0o004, f"not readable by the programs' users: {path}"
    output = machine.run(start)
    assert "credentials accepted" in output
    assert output.count("accepted by BigPanda") == 2
    page = requests.get(f"http://127.0.0.1:{ports['9788']}/metrics", timeout=10).text
    assert 'vendorwatch_poll_success{collector="vigilmon",account="prod"} 1' in page
    machine.run(reload)
    until("both read their files again", lambda: reloaded(machine))
    back_up, shrink = re.findall(r"^\$ (runuser.*?)^```$", section("Operation"), re.MULTILINE | re.DOTALL)
    backed_up(machine, back_up)
    machine.stop()
    machine.run(shrink)


def reloaded(machine: Bare) -> bool:
    logs = machine.logs()
    return logs.count("1 target") == 2 and "Reloaded" in logs


def backed_up(machine: Bare, command: str) -> None:
    """Assert that the guide's backup command copies a complete database from the running bridge."""
    machine.run(command)
    with sqlite3.connect(machine.root / "var/lib/vendorwatch/backup.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM schema_version").fetchone() == (1,)
    copy.close()


@pytest.mark.system
@pytest.mark.skipif(bool(missing("promtool", "amtool")), reason="not installed: promtool, amtool")
def test_promtool_and_amtool_accept_the_installed_files(machine):
    """The guide's commands install all rules, and both tools accept the files."""
    (machine.root / "etc/vendorwatch").mkdir()
    (machine.root / "etc/vendorwatch/am.token").write_text("a-token\n")
    shipped = machine.checkout / "deploy/alertmanager/alertmanager.yml"
    shipped.write_text(machine.here(shipped.read_text()))
    (block,) = commands("Prometheus, Alertmanager, Grafana")
    output = machine.run(block)
    rules = list((DEPLOY / "prometheus/rules").glob("*.yml"))
    assert output.count("rules found") == len(rules) > 0
    sent = (machine.root / "etc/prometheus/alertmanager.yml").read_text()
    (named,) = re.findall(r"credentials_file: (\S+)", sent)
    assert Path(named).read_text() == "a-token\n"
