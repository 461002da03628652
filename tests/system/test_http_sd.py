"""Prometheus discovers Vigilmon's monitors at the exporter and probes them, as deploy/prometheus documents it."""

import re

import pytest
import requests
import yaml

from tests.deploy.shipped import DEPLOY
from tests.system.commands import blackbox
from tests.system.running import free_port, missing, until

pytestmark = pytest.mark.system

GUIDE = (DEPLOY / "prometheus/README.md").read_text()
DOWN_FROM_EVERYWHERE = re.search(r"^`(.+)` *$", GUIDE[GUIDE.index("that are down from both sides") :], re.MULTILINE)[1]


def scrape_documented_job(way, blackbox_address):
    """Give Prometheus the job that README.md has, with these addresses."""
    (job,) = yaml.safe_load(re.search(r"```yaml\n(.*?blackbox.*?)```", GUIDE, re.DOTALL)[1])
    job["http_sd_configs"][0] |= {"url": f"{way.exporter.url}/sd/vigilmon", "refresh_interval": "1s"}
    job["relabel_configs"][-1]["replacement"] = blackbox_address
    path = way.folder / "prometheus.yml"
    content = yaml.safe_load(path.read_text())
    content["scrape_configs"].append(job)
    path.write_text(yaml.safe_dump(content))
    way.prometheus.restart()


def test_prometheus_discovers_vigilmons_monitors(make_way):
    """Each active monitor becomes a named probe of its URL; a paused one disappears."""
    way = make_way()
    way.start_sandbox()
    way.change("vigilmon/add", id=1, name="shop", url=f"{way.sandbox.url}/shop")
    way.change("vigilmon/add", id=2, name="api", url=f"{way.sandbox.url}/api")
    way.start()
    scrape_documented_job(way, way.addresses.exporter)

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


@pytest.mark.skipif(bool(missing("prometheus-blackbox-exporter")), reason="not installed: prometheus-blackbox-exporter")
def test_vigilmon_and_blackbox_series_share_labels(make_way, started):
    """A query tells apart down for both, down for Vigilmon alone, and up."""
    way = make_way()
    way.start_sandbox()
    for number, name, path in ((1, "up", "control/"), (2, "the way to you", "control/"), (3, "the site", "nothing")):
        way.change("vigilmon/add", id=number, name=name, url=f"{way.sandbox.url}/{path}")
    way.change("vigilmon/down", id=2)
    way.change("vigilmon/down", id=3)
    way.start()
    prober = started(blackbox(way.folder, f"127.0.0.1:{free_port()}"))
    scrape_documented_job(way, prober.url.removeprefix("http://"))

    def probed():
        return {each["metric"]["monitor"]: each["value"][1] for each in way.query("probe_success")}

    until("each site is probed", lambda: probed() == {"up": "1", "the way to you": "1", "the site": "0"})
    (down,) = until("the documented query finds a site", lambda: way.query(DOWN_FROM_EVERYWHERE))
    assert (down["metric"]["account"], down["metric"]["monitor_id"]) == ("prod", "3")
