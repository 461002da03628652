"""The stored form of a target: one JSON document with the target's fingerprint and its parts. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Secret

FORMAT: Final = 1
"""Version of the document's format; the knowledge inside is shaped by the collector."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class _Head(msgspec.Struct):
    """The head of a document, read before its parts."""

    format: Any
    target: Any


def name(settings: TargetSettings) -> str:
    """Return the name of the target's document, which is safe as the name of a file."""
    unique = hashlib.sha256(f"{settings.collector}\0{settings.account}".encode()).hexdigest()[:8]
    return f"{_UNSAFE.sub('_', f'{settings.collector}-{settings.account}')[:100]}-{unique}"


def fingerprint(settings: TargetSettings) -> str:
    """Return what identifies the account and place of these settings, without a secret: all others may change."""
    url = settings.url() or ""
    if isinstance(url, Secret):  # only the host of a URL that is secret
        url = url.read().partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
    place = [settings.collector, settings.account, url.rstrip("/")]
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]


def decode(content: bytes, target: str, kinds: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the parts, typed as in `kinds`; None if of another target or format. Raises ValueError if unreadable."""
    # Decoded straight into its types: with objects in between, a large account would leave megabytes behind.
    if msgspec.json.decode(content, type=_Head) != _Head(FORMAT, target):
        return None
    document = msgspec.defstruct("Document", [("parts", msgspec.defstruct("Parts", list(kinds.items())))])
    return msgspec.structs.asdict(msgspec.json.decode(content, type=document).parts)  # type: ignore[attr-defined]


def encode(target: str, parts: Mapping[str, Any]) -> bytes:
    """Return the document. An infinite number is written as null, as unknown: JSON has none."""
    return msgspec.json.encode({"format": FORMAT, "target": target, "parts": parts})
