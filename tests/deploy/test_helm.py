"""The Helm chart: it is valid, and creates the same objects as the overlays of deploy/kubernetes."""

import copy
import json
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.cluster import KUBERNETES, OVERLAYS, Overlay, named, overlay, pod
from tests.system.running import missing

CHART = KUBERNETES.parent / "helm/vendorwatch"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OPERATOR = CHART / "ci/operator-values.yaml"
FLAVOURS: dict[str, list[Path]] = {"sqlite": [], "postgresql": [CHART / "ci/postgresql-values.yaml"]}
CHARTS_OWN = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
)
"""Labels that Helm's conventions add to the objects of a release."""
CLUSTER = "--kube-version=1.30.0"
"""A helm built from source assumes a cluster as old as its libraries."""
needs_helm = pytest.mark.skipif(bool(missing("helm")), reason="not installed: helm (tests/system/newest builds it)")


def helm(*arguments: object) -> str:
    done = subprocess.run(["helm", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(*files: Path) -> dict[tuple[str, str], Any]:
    """Return the chart's objects with the values of these files, by kind and name."""
    values = [f"--values={file}" for file in files]
    text = helm("template", "vendorwatch", CHART, "--namespace=vendorwatch", CLUSTER, *values)
    objects = [one for one in yaml.safe_load_all(text) if one]
    assert len({named(one) for one in objects}) == len(objects)
    return {named(one): one for one in objects}


def without_charts_own(one: Any) -> Any:
    """Return an object without the chart's own parts: labels, pull policy, image and the configuration's hash."""
    one = copy.deepcopy(one)
    labelled = [one, one["spec"]["template"]] if "template" in one.get("spec", {}) else [one]
    for part in labelled:
        labels = {key: value for key, value in part["metadata"].get("labels", {}).items() if key not in CHARTS_OWN}
        labels.pop("app.kubernetes.io/part-of", None)  # kustomize adds it to every object when it builds
        part["metadata"]["labels"] = labels
        part["metadata"].pop("annotations", None)
        if not labels:
            del part["metadata"]["labels"]
    if len(labelled) > 1:
        for container in pod(one)["containers"]:
            container.pop("imagePullPolicy", None)
            container["image"] = "vendorwatch"
    return one


def configured(found: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """Return the content of the ConfigMaps, parsed, by file name."""
    return {
        file: yaml.safe_load(text)
        for (kind, _), one in found.items()
        if kind == "ConfigMap"
        for file, text in one["data"].items()
    }


@needs_helm
@pytest.mark.parametrize("name", OVERLAYS)
def test_chart_creates_the_objects_of_the_overlay(name):
    """The chart creates every object of the overlay, equal in meaning, and no others."""
    found = rendered(*FLAVOURS[name], OPERATOR)
    wanted: Overlay = overlay(name)
    objects = {key: without_charts_own(one) for key, one in found.items() if key[0] != "ConfigMap"}
    assert objects.keys() == {named(one) for one in wanted.objects}
    for one in wanted.objects:
        assert objects[named(one)] == without_charts_own(one), named(one)
    files = {file: yaml.safe_load(text) for texts in wanted.generated.values() for file, text in texts.items()}
    assert configured(found) == files


@needs_helm
@pytest.mark.parametrize("files", [[], *FLAVOURS.values(), [OPERATOR], [*FLAVOURS["postgresql"], OPERATOR]], ids=str)
def test_helm_lint_and_template_succeed(files):
    """`helm lint --strict` passes, and `helm template` sets no namespace."""
    linted = helm("lint", "--strict", CLUSTER, CHART, *(f"--values={file}" for file in files))
    assert "0 chart(s) failed" in linted
    assert all("namespace" not in one["metadata"] for one in rendered(*files).values())


@needs_helm
def test_chart_without_the_operator_has_none_of_its_kinds():
    """A cluster without ServiceMonitors would reject the release."""
    assert {one["apiVersion"] for one in rendered().values()} == {"v1", "apps/v1", "networking.k8s.io/v1", "policy/v1"}


@needs_helm
def test_configuration_change_rolls_the_pods(tmp_path):
    """The pods have their own configuration's hash as an annotation."""
    changed = tmp_path / "values.yaml"
    changed.write_text(yaml.safe_dump({"bridge": {"config": {"bigpanda": {"app_key": "other"}}}}))
    before, after = rendered(), rendered(changed)
    hashes = [
        {
            name: one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for (kind, name), one in found.items()
            if kind == "StatefulSet"
        }
        for found in (before, after)
    ]
    assert hashes[0]["vendorwatch-exporter"] == hashes[1]["vendorwatch-exporter"]
    assert hashes[0]["vendorwatch-bridge"] != hashes[1]["vendorwatch-bridge"]


@needs_helm
def test_values_are_applied_to_the_objects(tmp_path):
    """Image, secrets, storage class, flags, operator labels, the runbooks' URL and namespaces are applied."""
    chosen = {
        "image": {"repository": "r.example.com/v", "tag": "9", "pullSecrets": ["pull"]},
        "exporter": {
            "existingSecret": "own",
            "extraArgs": ["--log.format=json"],
            "storage": {"size": "1Gi", "className": "fast"},
            "nodeSelector": {"disk": "ssd"},
        },
        "serviceMonitor": {"enabled": True, "labels": {"release": "stack"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "stack"}, "runbooks": "https://wiki.example.com/v"},
        "networkPolicy": {"monitoringNamespace": "observability"},
        "podDisruptionBudget": {"enabled": False},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(chosen))
    found = rendered(file)
    exporter = found["StatefulSet", "vendorwatch-exporter"]
    (container,) = pod(exporter)["containers"]
    assert container["image"] == "r.example.com/v:9"
    assert container["args"][-1] == "--log.format=json"
    assert pod(exporter)["imagePullSecrets"] == [{"name": "pull"}]
    assert pod(exporter)["nodeSelector"] == {"disk": "ssd"}
    assert pod(exporter)["volumes"][1]["secret"]["secretName"] == "own"
    claim = exporter["spec"]["volumeClaimTemplates"][0]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "1Gi")
    operators = [one for (kind, _), one in found.items() if kind in ("ServiceMonitor", "PrometheusRule")]
    assert {one["metadata"]["labels"]["release"] for one in operators} == {"stack"}
    assert "runbooks.example.com" not in yaml.safe_dump(operators)
    assert "https://wiki.example.com/v/bridge.md#" in yaml.safe_dump(operators)
    assert "monitoring}" not in json.dumps(found["NetworkPolicy", "vendorwatch-bridge"])
    assert ("PodDisruptionBudget", "vendorwatch-bridge") not in found


@needs_helm
def test_notes_list_the_next_steps(tmp_path):
    """The notes name secrets, logs, Alertmanager's webhook and disabled parts."""
    chart = shutil.copytree(CHART, tmp_path / "vendorwatch")
    notes = (chart / "templates/NOTES.txt").read_text()  # only a release prints them, and that needs a cluster
    (chart / "templates/notes.yaml").write_text("kind: Notes\ntext: |\n" + textwrap.indent(notes, "  "))
    (one,) = yaml.safe_load_all(
        helm("template", "vendorwatch", chart, "--namespace=watch", CLUSTER, "--show-only=templates/notes.yaml")
    )
    for words in ("create secret generic vendorwatch-bridge", "-n watch", "send-test", "serviceMonitor.enabled"):
        assert words in one["text"]


def test_schema_accepts_the_defaults_and_rejects_bad_values():
    """An unknown key or a value of another type is an error."""
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert list(validator.iter_errors(VALUES)) == []
    for path, value in {
        ("bridge", "database"): "mysql",
        ("exporter", "database"): "sqlite",
        ("bridge", "replica"): 2,
        ("bridge", "config", "database"): "sqlite:///elsewhere.db",
        ("exporter", "config"): {"targets": []},
        ("serviceMonitor", "enabled"): "yes",
        ("image", "pullPolicy"): "Sometimes",
        ("networkPolicy", "postgresqlPort"): 0,
        ("monitoring",): {},
    }.items():
        wrong = copy.deepcopy(VALUES)
        place = wrong
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert list(validator.iter_errors(wrong)), path


def test_parts_of_the_values_have_comments():
    """Each part of values.yaml has a comment."""
    text = (CHART / "values.yaml").read_text().splitlines()
    for part in ("exporter", "bridge", "existingSecret", "storage", "serviceMonitor", "networkPolicy", "database"):
        (place, *_) = [number for number, line in enumerate(text) if line.strip().startswith(f"{part}:")]
        assert any("#" in line for line in text[max(0, place - 4) : place + 3]), part


def test_chart_has_the_programs_version():
    """The chart's appVersion is the package's version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f'version = "{chart["appVersion"]}"' in (KUBERNETES.parents[1] / "pyproject.toml").read_text()


def test_chart_links_to_the_rules():
    """The chart has no copy of the rules that could become outdated."""
    assert (CHART / "files/rules").resolve() == KUBERNETES.parent / "prometheus/rules"
