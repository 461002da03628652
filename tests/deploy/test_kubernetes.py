"""The manifests: every reference meets what it names, and pods run under the `restricted` standard."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import bridge.__main__
import exporter.__main__
from tests.deploy.cluster import KUBERNETES, OVERLAYS, kustomization, named, overlay, pod, pod_labels

ROOT = KUBERNETES.parents[1]
VERSIONS = {
    "ServiceAccount": "v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
    "Deployment": "apps/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}
in_each = pytest.mark.parametrize("name", OVERLAYS)


def builder() -> list[str]:
    """Return the command that builds a kustomization; empty where there is none."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            return command
    return []


@in_each
def test_kustomize_builds_what_is_looked_at_here(name):
    """Where kustomize is installed, it makes the objects that these tests read."""
    if not (command := builder()):
        pytest.skip("not installed: kustomize, kubectl")
    done = subprocess.run(
        [*command, str(KUBERNETES / "overlays" / name)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert {one["metadata"]["namespace"] for one in built} == {"vendorwatch"}
    objects = {named(one): one for one in built if one["kind"] != "ConfigMap"}
    assert set(objects) == {named(one) for one in overlay(name).objects}
    for policy in overlay(name).of("NetworkPolicy"):
        assert objects[named(policy)]["spec"] == policy["spec"]


@pytest.mark.parametrize("folder", [KUBERNETES / "base", *(KUBERNETES / "overlays" / name for name in OVERLAYS)])
def test_a_kustomization_lists_every_file_beside_it(folder):
    """No manifest is forgotten, none is missing."""
    told = kustomization(folder)
    listed = {
        *(one for one in told["resources"] if not one.startswith("..")),
        *(patch["path"] for patch in told.get("patches", [])),
        *(file for one in told["configMapGenerator"] for file in one["files"]),
    }
    assert listed == {path.name for path in folder.iterdir()} - {"kustomization.yaml"}


@in_each
def test_every_object_is_of_a_current_version(name):
    """Kinds and API versions that clusters of today serve; no name twice."""
    objects = overlay(name).objects
    assert all(VERSIONS[one["kind"]] == one["apiVersion"] for one in objects)
    assert len({named(one) for one in objects}) == len(objects)


@in_each
def test_every_selector_finds_its_pods(name):
    """Services, policies, budgets and the workloads themselves select exactly one workload's pods."""
    found = overlay(name)
    for one in found.objects:
        spec = one.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if one["kind"] in ("ServiceMonitor", "ServiceAccount", "PrometheusRule"):
            continue
        labels = selector.get("matchLabels", selector)
        chosen = [each for each in found.workloads() if labels.items() <= pod_labels(each).items()]
        assert len(chosen) == 1, named(one)
        assert chosen[0]["metadata"]["name"] == one["metadata"]["name"]


@in_each
def test_every_port_is_one_that_is_listened_on(name):
    """Named ports of services, probes, policies and monitors are a container's, and it listens there."""
    found = overlay(name)
    for workload in found.workloads():
        (container,) = pod(workload)["containers"]
        (port,) = container["ports"]
        assert f"--web.listen-address=:{port['containerPort']}" in container["args"]
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
        assert probes == [{"path": path, "port": "http"} for path in ("/-/healthy", "/-/healthy", "/-/ready")]
        (service,) = [one for one in found.of("Service") if one["metadata"]["name"] == workload["metadata"]["name"]]
        assert service["spec"]["ports"] == [{"name": "http", "port": port["containerPort"], "targetPort": port["name"]}]
    for policy in found.of("NetworkPolicy"):
        assert [one["port"] for rule in policy["spec"]["ingress"] for one in rule["ports"]] == ["http"]


@in_each
def test_prometheus_finds_both_by_the_names_that_rules_use(name):
    """A monitor selects a service by its label, and that label is the job of `prometheus.yml`."""
    found = overlay(name)
    jobs = {
        one["job_name"]: one
        for one in yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    }
    services = {one["metadata"]["labels"]["app.kubernetes.io/name"]: one for one in found.of("Service")}
    monitors = found.of("ServiceMonitor")
    assert {one["metadata"]["name"] for one in monitors} == set(jobs) == set(services)
    for one in monitors:
        assert one["spec"]["jobLabel"] == "app.kubernetes.io/name"
        assert one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] in services
        (endpoint,) = one["spec"]["endpoints"]
        assert endpoint.get("honorLabels", False) == jobs[one["metadata"]["name"]].get("honor_labels", False)


@in_each
def test_every_volume_and_what_it_holds_is_there(name):
    """Mounts have volumes; ConfigMaps are generated; the secrets are those that the guide creates."""
    found = overlay(name)
    guide = (ROOT / "deploy/README.md").read_text()
    for workload in found.workloads():
        (container,) = pod(workload)["containers"]
        volumes = {one["name"]: one for one in pod(workload)["volumes"]}
        claims = {one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", [])}
        assert {one["name"] for one in container["volumeMounts"]} == set(volumes) | claims
        assert volumes["config"]["configMap"]["name"] in found.generated
        assert f"secret generic {volumes['secrets']['secret']['secretName']}" in guide


@in_each
def test_pods_run_under_the_restricted_standard(name):
    """Not root, no privileges, no capabilities, a read-only root, no API token, bounded memory."""
    for workload in overlay(name).workloads():
        spec = pod(workload)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        *_, user = re.findall(r"^USER (\d+:\d+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
        context = spec["securityContext"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


def test_only_what_shares_a_database_has_replicas():
    """One of each with a volume of its own, several on PostgreSQL without one."""
    kinds = {
        name: {one["metadata"]["name"]: (one["kind"], one["spec"]["replicas"]) for one in overlay(name).workloads()}
        for name in OVERLAYS
    }
    assert kinds["sqlite"] == {"vendorwatch-exporter": ("StatefulSet", 1), "vendorwatch-bridge": ("StatefulSet", 1)}
    assert kinds["postgresql"] == {"vendorwatch-exporter": ("Deployment", 2), "vendorwatch-bridge": ("Deployment", 2)}


@pytest.mark.parametrize("program", ["exporter", "bridge"])
def test_a_program_differs_between_the_overlays_in_its_storage_alone(program):
    """What protects one protects the other."""
    pods = []
    for name in OVERLAYS:
        (workload,) = [one for one in overlay(name).workloads() if one["metadata"]["name"] == f"vendorwatch-{program}"]
        (container,) = pod(workload)["containers"]
        mounts = [one for one in container["volumeMounts"] if one["name"] != "state"]
        flags = [one for one in container["args"] if not one.startswith("--storage.")]
        rest = {key: value for key, value in pod(workload).items() if key != "topologySpreadConstraints"}
        pods.append({**rest, "containers": [{**container, "volumeMounts": mounts, "args": flags}]})
    assert pods[0] == pods[1]


def test_the_exporters_of_a_pair_find_their_database():
    """By the secret's file, and through the network policy."""
    found = overlay("postgresql")
    (exporter_pod,) = [pod(one) for one in found.workloads() if one["metadata"]["name"] == "vendorwatch-exporter"]
    (container,) = exporter_pod["containers"]
    assert "--storage.url-file=/etc/vendorwatch-secrets/database.url" in container["args"]
    for policy in found.of("NetworkPolicy"):
        assert 5432 in [each["port"] for rule in policy["spec"]["egress"] for each in rule["ports"]]


@in_each
def test_the_configuration_passes_the_programs_check(name, tmp_path, capsys):
    """With the secrets in place both files are right, for the address that the pod listens on."""
    for program, file, port in ((exporter, "exporter.yml", 9788), (bridge, "bridge.yml", 9789)):
        text = overlay(name).generated[f"vendorwatch-{Path(file).stem}"][file]
        for secret in re.findall(r"/etc/vendorwatch-secrets/([\w.-]+)", text):
            content = {"database.url": "postgresql://v:p@db/v"}.get(secret, "https://example.com/?key=k")
            (tmp_path / secret).write_text(content)
        (tmp_path / file).write_text(text.replace("/etc/vendorwatch-secrets", str(tmp_path)))
        status = program.__main__.main(
            [f"--config.file={tmp_path / file}", "--config.check", f"--web.listen-address=:{port}"]
        )
        assert (status, capsys.readouterr().err) == (0, "")
