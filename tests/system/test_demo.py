import subprocess

import pytest

from tests.demo.journey import UNTOLD
from tests.system.conftest import NEEDED
from tests.system.running import ROOT, missing, python

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_demo_succeeds(tmp_path):
    """Four alerts there and back, one by the reconciler, then the watchdog: status 0, and no colours in a pipe."""
    if missing(*NEEDED):
        pytest.skip(f"not installed: {', '.join(missing(*NEEDED))}")
    done = subprocess.run(
        python("tests.demo", "--folder", str(tmp_path / "demo")), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("BigPanda accepted: critical") == 4 + 1
    assert done.stdout.count("BigPanda accepted: ok") == 4 + 1
    assert done.stdout.count(UNTOLD) == 1
    assert "one event for each change, every one resolved" in done.stdout
    assert "\033" not in done.stdout
    assert not done.stderr


def test_demo_without_prometheus_fails_with_one_line():
    """Exit status 1."""
    done = subprocess.run(
        python("tests.demo"), cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "/nonexistent"}
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"demo skipped: not installed and could not be: {', '.join(NEEDED)}"]
