"""README's "Getting started": a test runs its commands unchanged."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.bare import Bare, checkout
from tests.sandbox.server import Sandbox
from tests.system.running import ROOT, free_port, missing

README = (ROOT / "README.md").read_text()
PATH = README.split("## Getting started\n")[1].split("\n## ")[0]
CHECKOUT = ("pyproject.toml", "README.md", "LICENSE", "exporter", "bridge")
MOST_BYTES = 150_000
STARTED = re.compile(r"^(vendorwatch-\w+)( .*) &$", re.MULTILINE)
"""A command that starts a program in the background."""


@pytest.fixture
def vendors() -> Iterator[Sandbox]:
    """Run the sandbox with some monitors."""
    with Sandbox() as sandbox:
        sandbox.world.populate(monitors=3)
        yield sandbox


@pytest.fixture
def machine(tmp_path) -> Iterator[Bare]:
    """Return a machine with a checkout and two free ports; stop its programs afterwards."""
    folder = checkout(tmp_path / "checkout", CHECKOUT)
    yield Bare(tmp_path / "root", folder, {f":{usual}": f":{free_port()}" for usual in (9788, 9789)})
    for path in folder.glob("*.pid"):
        os.kill(int(path.read_text()), signal.SIGTERM)


def as_started(block: str) -> str:
    """Return a block whose programs listen on the tests' ports and write their output and pid to files."""
    address = {"vendorwatch-exporter": "127.0.0.1:9788", "vendorwatch-bridge": "127.0.0.1:9789"}

    def started(match: re.Match[str]) -> str:
        name, flags = match.groups()
        return f"{name}{flags} --web.listen-address={address[name]} > {name}.log 2>&1 &\necho $! > {name}.pid"

    return STARTED.sub(started, block)


def put(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_readme_pictures_exist_and_are_small():
    """README shows every picture, and each is small."""
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert {ROOT / path for path in shown} == set((ROOT / "deploy/pictures").iterdir())
    assert all((ROOT / path).stat().st_size < MOST_BYTES for path in shown)


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.skipif(bool(missing("curl", "openssl")), reason="not installed: curl, openssl")
def test_getting_started_ends_with_a_metric_and_an_event(machine, vendors):
    """The commands, block by block, with the vendors' addresses replaced by a sandbox's."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PATH, re.MULTILINE | re.DOTALL)
    install, write_exporter, see_metrics, write_bridge, see_event = blocks
    folder = machine.checkout
    try:
        machine.run(install)
    except AssertionError as failed:
        if "No matching distribution found" in str(failed):
            pytest.skip("no package index is reachable")
        raise

    def run(block: str) -> str:
        return machine.run(f". env/bin/activate\n{as_started(block)}")

    assert "vigilmon.token: Vigilmon" in run(write_exporter)
    (folder / "vigilmon.token").write_text("vtk_sandbox\n")
    put(folder / "exporter.yml", "  account: ", f"  base_url: {vendors.base_url('vigilmon')}\n    account: ")
    assert re.search(r'^vigilmon_monitor_up{account="prod",monitor_id="1"} [01]\.0$', run(see_metrics), re.MULTILINE)

    assert "bigpanda.token: the organisation" in run(write_bridge)
    (folder / "bigpanda.token").write_text("bp-sandbox-org-token\n")
    put(folder / "bridge.yml", "bigpanda:\n", f"bigpanda:\n  url: {vendors.url}/bigpanda/data/v2/alerts\n")
    assert run(see_event).count("accepted by BigPanda") == 2
    ours = [event for event in vendors.world.bigpanda.intake.events if event.app_key == "my-app-key"]
    assert [event.alert["status"] for event in ours] == ["warning", "ok"]
