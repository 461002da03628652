"""exporter.yml → frozen models, every problem of the file at once.

The collectors are the folders under `exporter/collectors/`: one that is put there is known without a line here.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import exporter.collectors
from exporter.collectors.contract import Collector
from exporter.collectors.settings import TargetSettings
from exporter.collectors.sharding import Shard
from exporter.toolkit.config_types import ConfigError, load_yaml, problems, secret_keys

Identity = tuple[str, str]
"""A target's collector and account: no two targets share both."""


@dataclass(frozen=True, slots=True)
class Config:
    """What exporter.yml says."""

    targets: tuple[TargetSettings, ...]

    def warnings(self) -> list[str]:
        """Return what goes against a vendor's advice or limits, one line each."""
        return [f"targets[{index}].{line}" for index, target in enumerate(self.targets) for line in target.warnings()]

    def part(self, shard: Shard) -> tuple[TargetSettings, ...]:
        """Return the targets that one of several exporters polls: each target is polled whole by one of them."""
        return tuple(target for target in self.targets if shard.owns(target.collector, target.account))


def known() -> list[str]:
    """Return the names of the collectors there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(exporter.collectors.__path__) if module.ispkg)


def identity(settings: TargetSettings) -> Identity:
    """Return what names a target across reloads."""
    return settings.collector, settings.account


def collector(settings: TargetSettings) -> Collector[Any]:
    """Return the target's collector, from its vendor's folder."""
    module = import_module(f"exporter.collectors.{settings.collector}.collector")
    made: Collector[Any] = module.Collector(settings)
    return made


def load(path: Path) -> Config:
    """Read and check exporter.yml. ConfigError with one line for each problem: its path in the file, what is wrong."""
    try:
        return read(load_yaml(path))
    except ValueError as error:
        raise ConfigError([str(error)]) from error


def read(content: object) -> Config:
    """Check what exporter.yml holds. ConfigError with one line for each problem."""
    if not isinstance(content, Mapping):
        raise ConfigError(["file: not a mapping: it begins with targets:"])
    found = [f"{key}: unknown key" for key in content if key != "targets"]
    if "targets" not in content:
        raise ConfigError([*found, "targets: missing"])
    listed = content["targets"]
    if not isinstance(listed, list) or not listed:
        raise ConfigError([*found, "targets: give a list of at least one target"])
    targets: list[TargetSettings] = []
    for index, item in enumerate(listed):
        read_one = _target(item)
        if isinstance(read_one, TargetSettings):
            targets.append(read_one)
        else:
            found += [f"targets[{index}]{line}" for line in read_one]
    found += _duplicates(listed)
    if found:
        raise ConfigError(found)
    return Config(tuple(targets))


def _target(item: object) -> TargetSettings | list[str]:
    if not isinstance(item, Mapping):
        return [": not a mapping"]
    name = item.get("collector")
    if name not in known():
        there_are = f"there are {', '.join(known())}"
        return [f".collector: missing: {there_are}" if name is None else f".collector: no such collector: {there_are}"]
    settings: type[TargetSettings] = import_module(f"exporter.collectors.{name}.config").Settings
    try:
        return settings.model_validate(dict(item))
    except ValidationError as error:
        return [_inside(line) for line in problems(error, secret_keys(settings))]


def _inside(line: str) -> str:
    """Return a target's problem as a suffix of the target's own path; `file` is the target itself."""
    return line.removeprefix("file") if line.startswith("file: ") else f".{line}"


def _duplicates(listed: list[object]) -> Iterator[str]:
    first: dict[tuple[str, str], int] = {}
    for index, item in enumerate(listed):
        if not isinstance(item, Mapping):
            continue
        named = (str(item.get("collector")), str(item.get("account")))
        if None in (item.get("collector"), item.get("account")):
            continue
        if first.setdefault(named, index) != index:
            yield f"targets[{index}].account: targets[{first[named]}] has this collector and account already"
