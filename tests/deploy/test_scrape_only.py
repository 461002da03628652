"""What an agent scrapes is what Prometheus scrapes."""

import subprocess

import pytest
import yaml

from tests.deploy.shipped import DEPLOY
from tests.system.running import missing

FOLDER = DEPLOY / "prometheus"


def test_an_agent_scrapes_what_prometheus_scrapes():
    """The same jobs, at the same pace, and nothing that an agent refuses."""
    alone, whole = (yaml.safe_load((FOLDER / f"{name}.yml").read_text()) for name in ("scrape-only", "prometheus"))
    assert alone["scrape_configs"] == whole["scrape_configs"]
    assert alone["global"] == {"scrape_interval": whole["global"]["scrape_interval"]}
    assert alone.keys() == {"global", "scrape_configs"}


@pytest.mark.skipif(bool(missing("promtool")), reason="not installed: promtool")
def test_an_agent_takes_the_file():
    """In agent mode Prometheus refuses rules and Alertmanagers."""
    for name, status in (("scrape-only.yml", 0), ("prometheus.yml", 1)):
        command = ["promtool", "check", "config", "--agent", "--syntax-only", str(FOLDER / name)]
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == status, name
