"""The units: systemd takes them, and they leave a program that was broken into next to nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "deploy/systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
MOST_EXPOSED = 2.0
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="not installed: systemd-analyze")
units = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


def assigned(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@needs_systemd
@units
def test_systemd_finds_nothing_wrong(unit, tmp_path):
    """Every directive exists and has a value that systemd understands; only the programs are others here."""
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/opt/vendorwatch/bin/\S+", "/bin/true", unit.read_text()))
    done = analyze("verify", "--man=no", str(copy))
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@units
def test_the_exposure_is_low(unit):
    """`systemd-analyze security` gives at most 2.0 of 10."""
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    told = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert told, done.stderr
    assert float(told[1]) <= MOST_EXPOSED


@units
def test_it_runs_as_a_user_of_its_own(unit):
    """Its user is one that `vendorwatch.sysusers` makes, so that neither program reads the other's secrets."""
    (user,) = assigned(unit)["User"]
    assert user == unit.stem
    assert f"\nu {user} " in (SYSTEMD / "vendorwatch.sysusers").read_text()


@units
def test_it_comes_back_and_reloads(unit):
    """It is started again for ever; a reload checks the file first and then sends SIGHUP."""
    found = assigned(unit)
    assert (found["Restart"], found["StartLimitIntervalSec"]) == (["always"], ["0"])
    check, signal = found["ExecReload"]
    assert check == found["ExecStart"][0].replace(" $VENDORWATCH_FLAGS", " --config.check $VENDORWATCH_FLAGS").replace(
        " --storage.path=/var/lib/vendorwatch-exporter", ""
    )
    assert signal == "/bin/kill -HUP $MAINPID"


@units
def test_what_it_writes_is_its_state_directory(unit):
    """The exporter's answers and the bridge's database lie where the unit lets them be written."""
    (state,) = assigned(unit)["StateDirectory"]
    example = (SYSTEMD.parent / "examples/bridge.yml").read_text()
    written = unit.read_text() if "exporter" in unit.stem else example
    assert f"/var/lib/{state}" in written


def test_the_two_units_differ_in_nothing_but_names():
    """What protects one protects the other."""
    exporter, bridge = ({k: v for k, v in assigned(unit).items() if k.startswith(HARDENING)} for unit in UNITS)
    assert exporter == bridge
    assert len(exporter) > 20


HARDENING = ("Ambient", "Capab", "Device", "Keyring", "Lock", "Memory", "NoNew", "Private", "Protect", "Remove",
             "Restrict", "SystemCall", "UMask")  # fmt: skip
