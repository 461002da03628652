"""`init`: a first bridge.yml for some senders."""

import argparse
from collections.abc import Sequence
from importlib import resources
from typing import Final

from bridge.receivers.contract import senders
from exporter.toolkit import starter

_PROGRAM: Final = "vendorwatch-bridge"


def init(arguments: argparse.Namespace) -> int:
    """Write a first configuration for `receivers`, or print it; return the exit status."""
    path = None if arguments.stdout else arguments.config_file
    return starter.run(_PROGRAM, path, lambda: starter_for(arguments.receivers))


def starter_for(names: Sequence[str]) -> str:
    """Return a first bridge.yml for these senders. Raises ConfigError for an unknown one."""
    chosen = starter.chosen("receiver", names, senders())
    sections = [_text("bridge.receivers", "starter", f"{name}.yml") for name in chosen]
    return _text("bridge", "starter.yml") + "\n" + starter.listed("receivers", sections)


def _text(package: str, *path: str) -> str:
    return resources.files(package).joinpath(*path).read_text(encoding="utf-8")
