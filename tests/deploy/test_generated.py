"""What is made from something else is current."""

import pytest
import yaml

from tests.deploy.generated import DEPLOY, WRITTEN, metrics_reference, prometheus_rules
from tests.deploy.shipped import stated

SCRAPE = {"up"}
ENDINGS = ("_bucket", "_sum", "_count")


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_it_is_current(path):
    """`python -m tests.deploy.generated` was run after the last change of what it is made from."""
    assert path.read_text(encoding="utf-8") == WRITTEN[path](), "run python -m tests.deploy.generated"


def test_no_metric_is_left_out():
    """Each metric that rules may use stands in the reference, under its name."""
    page = metrics_reference()
    names = {name for name in stated() if not name.endswith(ENDINGS)} - SCRAPE
    assert {name for name in names if f"| `{name}` |" not in page} == set()


def test_the_rules_are_the_same_rules():
    """What Kubernetes gets is what Prometheus's own files say."""
    found = {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(prometheus_rules())}
    for path in (DEPLOY / "prometheus/rules").glob("*.yml"):
        assert found.pop(f"vendorwatch-{path.stem}") == yaml.safe_load(path.read_text())
    assert not found
