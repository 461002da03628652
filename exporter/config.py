"""exporter.yml → frozen models, every problem of the file at once.

The collectors are the folders under `exporter/collectors/`; a new one needs no registration here.
"""

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path

import exporter.collectors
from exporter.collectors.contract import Collector
from exporter.collectors.settings import TargetSettings
from exporter.collectors.sharding import Shard
from exporter.toolkit import starter, yaml_file
from exporter.toolkit.config_types import ConfigError, SectionList

STARTER_HEAD = """\
# vendorwatch-exporter: what to poll. Every key with its default: deploy/examples/exporter.yml.
# A secret X is written X: literal, X: ${ENV_NAME} or X_file: PATH, a file that holds nothing else; paths are
# relative to this file. Durations: 30s, 5m, 1h30m.
"""
"""The head of a first exporter.yml."""


@dataclass(frozen=True, slots=True)
class Config:
    """The content of exporter.yml."""

    targets: tuple[TargetSettings, ...]

    def warnings(self) -> list[str]:
        """Return one line for each setting that exceeds a vendor's limit or goes against its advice."""
        found = [f"targets[{index}].{line}" for index, target in enumerate(self.targets) for line in target.warnings()]
        sharing: dict[tuple[str, str], list[int]] = {}
        for index, target in enumerate(self.targets):
            sharing.setdefault((target.collector, target.credentials()), []).append(index)
        for first, *others in sharing.values():
            together = sum(self.targets[index].requests_per_minute for index in (first, *others))
            most = self.targets[first].most_requests_per_minute
            if others and together > most:
                same = ", ".join(f"targets[{index}]" for index in others)
                share = f"{together:g} together with {same}, which have the same token"
                found.append(f"targets[{first}].requests_per_minute: {share}: the vendor allows {most:g}")
        return found

    def part(self, shard: Shard) -> tuple[TargetSettings, ...]:
        """Return the targets of one shard. Each target belongs to exactly one shard."""
        return tuple(target for target in self.targets if shard.owns(target.collector, target.account))


def known() -> list[str]:
    """Return the names of all collectors, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(exporter.collectors.__path__) if module.ispkg)


def starter_for(names: Sequence[str]) -> str:
    """Return a first exporter.yml for these collectors. Raises ConfigError for an unknown one."""
    chosen = starter.chosen("collector", names, known())
    found = (resources.files(f"exporter.collectors.{name}").joinpath("starter.yml") for name in chosen)
    return STARTER_HEAD + starter.listed("targets", [file.read_text(encoding="utf-8") for file in found])


def collector(settings: TargetSettings) -> Collector:
    """Return the target's collector, from its vendor's folder."""
    module = import_module(f"exporter.collectors.{settings.collector}.collector")
    made: Collector = module.Collector(settings)
    return made


def load(path: Path) -> Config:
    """Read and check exporter.yml. Raises ConfigError, one line for each problem: its path in the file, the reason."""
    return yaml_file.load(path, read)


def read(content: object, folder: Path = Path()) -> Config:
    """Check the content of an exporter.yml in `folder`. Raises ConfigError with one line for each problem."""
    if not isinstance(content, Mapping):
        raise ConfigError(["file: not a mapping: must begin with targets:"])
    unknown = [f"{key}: unknown key" for key in content if key != "targets"]

    def model(name: str) -> type[TargetSettings]:
        settings: type[TargetSettings] = import_module(f"exporter.collectors.{name}.config").Settings
        return settings

    listed = SectionList("targets", "collector", "account", known(), model)
    targets, found = listed.read(content.get("targets"), folder)
    if unknown or found:
        raise ConfigError([*unknown, *found])
    return Config(tuple(targets))
