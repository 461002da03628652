"""Prometheus discovers Vigilmon's monitors at the exporter, as deploy/prometheus documents it."""

import re

import pytest
import requests
import yaml

from tests.deploy.shipped import DEPLOY
from tests.system.running import until

pytestmark = pytest.mark.system


def documented_job(exporter, blackbox):
    """Return the job as README.md has it, with these addresses."""
    text = (DEPLOY / "prometheus/README.md").read_text()
    (job,) = yaml.safe_load(re.search(r"```yaml\n(.*?blackbox.*?)```", text, re.DOTALL)[1])
    job["http_sd_configs"][0] |= {"url": f"{exporter}/sd/vigilmon", "refresh_interval": "1s"}
    job["relabel_configs"][-1]["replacement"] = blackbox
    return job


def test_prometheus_probes_what_the_exporter_discovers(make_way):
    """Each monitor that is not paused becomes a probe of its URL, named; one that is paused goes."""
    way = make_way()
    way.start_sandbox()
    way.change("vigilmon/add", id=1, name="shop", url=f"{way.sandbox.url}/shop")
    way.change("vigilmon/add", id=2, name="api", url=f"{way.sandbox.url}/api")
    way.start()
    path = way.folder / "prometheus.yml"
    content = yaml.safe_load(path.read_text())
    content["scrape_configs"].append(documented_job(way.exporter.url, way.addresses.exporter))
    path.write_text(yaml.safe_dump(content))
    way.prometheus.restart()

    def discovered():
        found = requests.get(f"{way.prometheus.url}/api/v1/targets", params={"state": "active"}, timeout=10).json()
        return {
            (target["labels"]["monitor"], target["labels"]["monitor_id"], target["scrapeUrl"].partition("?")[2])
            for target in found["data"]["activeTargets"]
            if target["labels"]["job"] == "blackbox-vigilmon"
        }

    def probe(name):
        place = f"{way.sandbox.url}/{name}".replace(":", "%3A").replace("/", "%2F")
        return f"module=http_2xx&target={place}"

    both = {("shop", "1", probe("shop")), ("api", "2", probe("api"))}
    until("both monitors are discovered", lambda: discovered() == both)
    way.change("vigilmon/pause", id=2)
    until("the paused one is gone", lambda: discovered() == {("shop", "1", probe("shop"))})
