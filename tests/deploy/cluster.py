"""An overlay of `deploy/kubernetes` as a cluster gets it: a small reading of kustomize, for tests of every object."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
OVERLAYS = ("sqlite", "postgresql")
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Overlay:
    """The objects of an overlay, and its generated ConfigMaps by name and file name."""

    objects: tuple[Object, ...]
    generated: dict[str, dict[str, str]]

    def of(self, *kinds: str) -> list[Object]:
        """Return the objects of these kinds."""
        return [one for one in self.objects if one["kind"] in kinds]

    def workloads(self) -> list[Object]:
        """Return the objects that run pods."""
        return self.of("Deployment", "StatefulSet")


@cache
def overlay(name: str) -> Overlay:
    """Return an overlay with its base; patches may only be JSON patches that add to a list."""
    return _built(KUBERNETES / "overlays" / name)


def _built(folder: Path) -> Overlay:
    content = kustomization(folder)
    objects: list[Object] = []
    generated = {
        one["name"]: {file: (folder / file).read_text() for file in one["files"]}
        for one in content.get("configMapGenerator", [])
    }
    for resource in content["resources"]:
        path = (folder / resource).resolve()
        if path.is_dir():
            below = _built(path)
            objects += below.objects
            generated |= below.generated
        else:
            objects += [one for one in yaml.safe_load_all(path.read_text()) if one]
    for patch in content.get("patches", []):
        _patch(objects, patch["target"], yaml.safe_load((folder / patch["path"]).read_text()))
    return Overlay(tuple(objects), generated)


def _patch(objects: list[Object], target: dict[str, str], steps: list[dict[str, Any]]) -> None:
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"])]
    for step in steps:
        *parents, last = step["path"].strip("/").split("/")
        if (step["op"], last) != ("add", "-"):
            raise ValueError(f"only additions to lists are supported: {step}")
        place: Any = found
        for part in parents:
            place = place[part]
        place.append(step["value"])


def kustomization(folder: Path) -> Any:
    """Return the content of a folder's kustomization.yaml."""
    return yaml.safe_load((folder / "kustomization.yaml").read_text())


def named(one: Object) -> tuple[str, str]:
    """Return an object's kind and name."""
    return one["kind"], one["metadata"]["name"]


def pod(workload: Object) -> Any:
    """Return the pod that a workload runs."""
    return workload["spec"]["template"]["spec"]


def pod_labels(workload: Object) -> dict[str, str]:
    """Return the labels of a workload's pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found
