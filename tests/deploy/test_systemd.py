"""The units: systemd accepts them, and they restrict a compromised program as far as possible."""

import re
import shutil
import subprocess
import sys
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
def test_systemd_accepts_the_unit(unit, tmp_path):
    """Every directive exists and has a valid value; only the programs' paths are replaced."""
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/opt/vendorwatch/bin/\S+", "/bin/true", unit.read_text()))
    done = analyze("verify", "--man=no", str(copy))
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@units
def test_unit_has_a_low_exposure(unit):
    """`systemd-analyze security` gives at most 2.0 of 10."""
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stderr
    assert float(level[1]) <= MOST_EXPOSED


@units
def test_unit_runs_as_its_own_user(unit):
    """`vendorwatch.sysusers` creates the user, so that no program can read the other's secrets."""
    (user,) = assigned(unit)["User"]
    assert user == unit.stem
    assert f"\nu {user} " in (SYSTEMD / "vendorwatch.sysusers").read_text()


@units
def test_unit_restarts_always_and_checks_before_a_reload(unit):
    """A reload checks the file first and then sends SIGHUP."""
    found = assigned(unit)
    assert (found["Restart"], found["StartLimitIntervalSec"]) == (["always"], ["0"])
    check, signal = found["ExecReload"]
    assert check == found["ExecStart"][0].replace(" $VENDORWATCH_FLAGS", " --config.check $VENDORWATCH_FLAGS").replace(
        " --storage.path=/var/lib/vendorwatch-exporter", ""
    )
    assert signal == "/bin/kill -HUP $MAINPID"


def test_guides_credentials_leave_out_the_check_before_a_reload():
    """A control process cannot read credentials in systemd 252: the guide's drop-in keeps only the signal."""
    (drop_in,) = re.findall(r"(?ms)^```ini\n(.*?)^```$", (SYSTEMD.parent / "README.md").read_text())
    assert re.findall(r"(?m)^ExecReload=(.*)$", drop_in) == ["", assigned(UNITS[1])["ExecReload"][-1]]


@units
def test_state_is_in_the_state_directory(unit):
    """The exporter's snapshots and the bridge's database are in the directory that the unit may write."""
    (state,) = assigned(unit)["StateDirectory"]
    example = (SYSTEMD.parent / "examples/bridge.yml").read_text()
    written = unit.read_text() if "exporter" in unit.stem else example
    assert f"/var/lib/{state}" in written


def test_both_units_have_the_same_hardening():
    """The hardening directives of both units are equal, but for what the exporter's TLS probes cannot do without."""
    bridge, exporter = ({k: v for k, v in assigned(unit).items() if k.startswith(HARDENING)} for unit in UNITS)
    assert exporter | {"MemoryDenyWriteExecute": ["yes"]} == bridge
    assert len(exporter) > 20


def test_a_tls_probe_is_possible_in_the_exporters_unit():
    """Its OpenSSL calls back, for which memory must be writable and executable."""
    denied = assigned(SYSTEMD / "vendorwatch-exporter.service").get("MemoryDenyWriteExecute") == ["yes"]
    deny = "ctypes.CDLL(None).prctl(*map(ctypes.c_ulong, (65, 1, 0, 0, 0)))"  # PR_SET_MDWE, as systemd does
    call = "from OpenSSL import SSL; SSL.Context(SSL.TLS_METHOD).set_verify(SSL.VERIFY_PEER, lambda *_: True)"
    code = f"import ctypes; {deny if denied else ''}\n{call}"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


HARDENING = ("Ambient", "Capab", "Device", "Keyring", "Lock", "Memory", "NoNew", "Private", "Protect", "Remove",
             "Restrict", "SystemCall", "UMask")  # fmt: skip
