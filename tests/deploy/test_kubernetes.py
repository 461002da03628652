"""The manifests: every reference has its object, and pods meet the `restricted` standard."""

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
STOPS_WITHIN = 5
"""Seconds in which both programs stop, as deploy/README.md says."""
in_each = pytest.mark.parametrize("name", OVERLAYS)


def builder() -> list[str]:
    """Return the command that builds a kustomization; empty if none is installed."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            return command
    return []


@in_each
def test_kustomize_builds_the_same_objects(name):
    """If kustomize is installed, it builds the objects that these tests read."""
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
def test_kustomization_lists_every_file_of_its_folder(folder):
    """No manifest is forgotten, and none is missing."""
    content = kustomization(folder)
    listed = {
        *(one for one in content["resources"] if not one.startswith("..")),
        *(patch["path"] for patch in content.get("patches", [])),
        *(file for one in content["configMapGenerator"] for file in one["files"]),
    }
    assert listed == {path.name for path in folder.iterdir()} - {"kustomization.yaml"}


@in_each
def test_objects_use_current_api_versions(name):
    """Kinds have API versions that current clusters serve; no name occurs twice."""
    objects = overlay(name).objects
    assert all(VERSIONS[one["kind"]] == one["apiVersion"] for one in objects)
    assert len({named(one) for one in objects}) == len(objects)


@in_each
def test_every_selector_matches_its_workload(name):
    """Services, policies, budgets and workloads each select the pods of exactly one workload."""
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
def test_ports_and_probes_match_the_containers(name):
    """The ports of services, probes, policies and monitors are a container's, and it listens there."""
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
def test_service_monitors_set_the_job_names_of_the_rules(name):
    """A monitor selects a service by its label, and that label is the job in prometheus.yml."""
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
def test_every_mount_has_its_volume_and_source(name):
    """Mounts have volumes, ConfigMaps are generated, and the guide creates the secrets."""
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
def test_pods_meet_the_restricted_standard(name):
    """Pods are non-root, without privileges or an API token, with a read-only root and a memory limit."""
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


def test_only_workloads_on_postgresql_have_replicas():
    """With SQLite there is one of each with a volume; on PostgreSQL several without one."""
    kinds = {
        name: {one["metadata"]["name"]: (one["kind"], one["spec"]["replicas"]) for one in overlay(name).workloads()}
        for name in OVERLAYS
    }
    assert kinds["sqlite"] == {"vendorwatch-exporter": ("StatefulSet", 1), "vendorwatch-bridge": ("StatefulSet", 1)}
    assert kinds["postgresql"] == {"vendorwatch-exporter": ("Deployment", 2), "vendorwatch-bridge": ("Deployment", 2)}


@pytest.mark.parametrize("program", ["exporter", "bridge"])
def test_overlays_differ_only_in_storage(program):
    """Both overlays run a program with the same pod, except for its storage."""
    pods = []
    for name in OVERLAYS:
        (workload,) = [one for one in overlay(name).workloads() if one["metadata"]["name"] == f"vendorwatch-{program}"]
        (container,) = pod(workload)["containers"]
        mounts = [one for one in container["volumeMounts"] if one["name"] != "state"]
        flags = [one for one in container["args"] if not one.startswith("--storage.")]
        rest = {key: value for key, value in pod(workload).items() if key != "topologySpreadConstraints"}
        container = {key: value for key, value in container.items() if key != "lifecycle"}
        pods.append({**rest, "containers": [{**container, "volumeMounts": mounts, "args": flags}]})
    assert pods[0] == pods[1]


def test_a_bridge_replica_pauses_before_it_stops():
    """The Service removes the pod first, within the grace period. A bridge alone has no pause: nobody else answers."""
    pauses = {}
    for name in OVERLAYS:
        (workload,) = [one for one in overlay(name).workloads() if one["metadata"]["name"] == "vendorwatch-bridge"]
        (container,) = pod(workload)["containers"]
        pauses[name] = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        assert int(pauses[name][1]) + STOPS_WITHIN < pod(workload)["terminationGracePeriodSeconds"]
    assert pauses == {"sqlite": ["sleep", "0"], "postgresql": ["sleep", "5"]}


def test_exporter_pair_has_access_to_its_database():
    """The URL is in the secret's file, and the network policies allow the port."""
    found = overlay("postgresql")
    (exporter_pod,) = [pod(one) for one in found.workloads() if one["metadata"]["name"] == "vendorwatch-exporter"]
    (container,) = exporter_pod["containers"]
    assert "--storage.url-file=/etc/vendorwatch-secrets/database.url" in container["args"]
    for policy in found.of("NetworkPolicy"):
        assert 5432 in [each["port"] for rule in policy["spec"]["egress"] for each in rule["ports"]]


@in_each
def test_configuration_passes_the_programs_check(name, tmp_path, capsys):
    """Both files pass --config.check for the address on which the pod listens."""
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
