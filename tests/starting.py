"""Checks of a first configuration from `init`: its secret files, and its commented keys."""

import re
from pathlib import Path


def with_secrets(path: Path) -> Path:
    """Put a secret into each file that a configuration names, and return the configuration."""
    for name in re.findall(r"_file: (\S+)", path.read_text(encoding="utf-8")):
        (path.parent / name).write_text("https://vendor.example.com/v1?key=secret", encoding="utf-8")
    return path


def uncommented(text: str) -> str:
    """Return a configuration with every key that is only mentioned: `#key: value`."""
    return re.sub(r"^( *)#(?=[\w-])", r"\1", text, flags=re.MULTILINE)
