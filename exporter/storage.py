"""What is known of each target, kept in a directory over a restart: one JSON file per target.

A file is replaced in one step, so that it is whole after a crash. What cannot be read, is of another target (its
base URL changed) or of an older format is left aside: the next poll brings everything anew.
"""

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from exporter.notation import Secret
from exporter.settings import TargetSettings

FORMAT: Final = 1
"""Of the file; the shape of the knowledge in it is the collector's."""

_log = logging.getLogger(__name__)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NO_MATTER = frozenset(TargetSettings.model_fields) - {"collector", "account"}


class Storage:
    """A directory with one file per target. Neither `load` nor `save` raises: storage is a convenience."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is created when missing. OSError when that cannot be done."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._failing = False

    def load(self, settings: TargetSettings, kinds: Mapping[str, type]) -> dict[str, Any]:
        """Return the parts that were saved for this target, each as its type in `kinds`; none when there are none."""
        path = self._path(settings)
        try:
            document = json.loads(path.read_bytes())
            if document["format"] != FORMAT or document["target"] != fingerprint(settings):
                _log.info("%s: of another target or format, not used", path.name)
                return {}
            parts = document["parts"]
            return {name: TypeAdapter(kind).validate_python(parts[name]) for name, kind in kinds.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, ValidationError, RecursionError) as error:
            _log.warning("%s: cannot be used, starting anew (%s)", path.name, type(error).__name__)
            return {}

    def save(self, settings: TargetSettings, parts: Mapping[str, object]) -> None:
        """Keep `parts`. A failure is logged once until it works again."""
        path = self._path(settings)
        try:
            kept = {name: TypeAdapter(type(part)).dump_python(part, mode="json") for name, part in parts.items()}
            document = {"format": FORMAT, "target": fingerprint(settings), "parts": kept}
            _replace(path, json.dumps(document).encode())
        except (OSError, ValueError, TypeError) as error:
            if not self._failing:
                told = error.strerror if isinstance(error, OSError) else type(error).__name__
                _log.warning("%s: cannot be written (%s)", path.name, told)
            self._failing = True
        else:
            self._failing = False

    def _path(self, settings: TargetSettings) -> Path:
        name = f"{settings.collector}-{settings.account}"
        unique = hashlib.sha256(f"{settings.collector}\0{settings.account}".encode()).hexdigest()[:8]
        return self._directory / f"{_UNSAFE.sub('_', name)[:100]}-{unique}.json"


def fingerprint(settings: TargetSettings) -> str:
    """Return what differs when the settings mean another target or ask it for other things. No secret goes in."""
    chosen = {
        name: repr(getattr(settings, name))
        for name in sorted(type(settings).model_fields)
        if name not in _NO_MATTER and not isinstance(getattr(settings, name), Secret)
    }
    return hashlib.sha256(json.dumps([chosen, _host(settings.url())]).encode()).hexdigest()[:32]


def _host(url: str | Secret | None) -> str:
    """Return the URL; of one that is a secret only its host."""
    if not isinstance(url, Secret):
        return url or ""
    try:
        return url.read().partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
    except (OSError, ValueError):
        return ""


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
