"""Generated files are current."""

import pytest
import yaml

from tests.deploy.generated import DEPLOY, WRITTEN, metrics_reference, prometheus_rules
from tests.deploy.shipped import stated

SCRAPE = {"up"}
ENDINGS = ("_bucket", "_sum", "_count")


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_generated_file_is_current(path):
    """`python -m tests.deploy.generated` was run after the last change of its sources."""
    assert path.read_text(encoding="utf-8") == WRITTEN[path](), "run python -m tests.deploy.generated"


def test_reference_lists_every_metric():
    """Each metric that rules may use is in METRICS.md, under its name."""
    page = metrics_reference()
    names = {name for name in stated() if not name.endswith(ENDINGS)} - SCRAPE
    assert {name for name in names if f"| `{name}` |" not in page} == set()


def test_prometheusrules_equal_the_rule_files():
    """The PrometheusRules for Kubernetes have the same rules as Prometheus's own files."""
    found = {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(prometheus_rules())}
    for path in (DEPLOY / "prometheus/rules").glob("*.yml"):
        assert found.pop(f"vendorwatch-{path.stem}") == yaml.safe_load(path.read_text())
    assert not found
