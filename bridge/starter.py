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
    paths = "starter.yml", *(f"receivers/starter/{name}.yml" for name in chosen)
    head, *sections = (resources.files("bridge").joinpath(path).read_text(encoding="utf-8") for path in paths)
    return head + "\n" + starter.listed("receivers", sections)
