"""scrape-only.yml has the scrape jobs of prometheus.yml."""

import subprocess

import pytest
import yaml

from tests.deploy.shipped import DEPLOY
from tests.system.running import missing

FOLDER = DEPLOY / "prometheus"


def test_scrape_only_has_the_jobs_of_prometheus():
    """It has the same jobs and interval, and no key that an agent rejects."""
    alone, whole = (yaml.safe_load((FOLDER / f"{name}.yml").read_text()) for name in ("scrape-only", "prometheus"))
    assert alone["scrape_configs"] == whole["scrape_configs"]
    assert alone["global"] == {"scrape_interval": whole["global"]["scrape_interval"]}
    assert alone.keys() == {"global", "scrape_configs"}


@pytest.mark.skipif(bool(missing("promtool")), reason="not installed: promtool")
def test_agent_mode_accepts_scrape_only():
    """In agent mode Prometheus rejects rules and Alertmanagers."""
    for name, status in (("scrape-only.yml", 0), ("prometheus.yml", 1)):
        command = ["promtool", "check", "config", "--agent", "--syntax-only", str(FOLDER / name)]
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == status, name
