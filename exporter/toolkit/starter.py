"""`init`: a first configuration, assembled from the commented sections that each package provides."""

import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from exporter.toolkit.config_types import ConfigError

_SECRET: Final = re.compile(r"^[ -]*\w[\w-]*_file: (\S+)(?: # (.*))?$", re.MULTILINE)


def listed(key: str, sections: Sequence[str]) -> str:
    """Return a list of sections under its key."""
    return f"{key}:\n" + "\n".join(textwrap.indent(section, "  ") for section in sections)


def chosen(kind: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names without duplicates, or all known ones if none is given. Raises ConfigError for unknown ones."""
    unknown = [f"no such {kind}: {name}: must be one of {', '.join(known)}" for name in names if name not in known]
    if unknown:
        raise ConfigError(unknown)
    return list(dict.fromkeys(names or known))


def run(program: str, path: Path | None, text: Callable[[], str]) -> int:
    """Write a first configuration, or print it if there is no path; return the exit status."""
    try:
        if path is None:
            sys.stdout.write(text())
        else:
            write(program, path, text())
    except ConfigError as error:
        sys.stderr.write("".join(f"{program}: {problem}\n" for problem in error.problems))
        return 1
    return 0


def write(program: str, path: Path, text: str) -> None:
    """Write the file and print the next steps. Raises ConfigError if it exists or cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError([f"{path}: already exists: choose another --config.file, or --stdout"]) from None
    except OSError as error:
        raise ConfigError([f"cannot write {path}: {error.strerror}"]) from error
    sys.stdout.write(next_steps(program, path, text))


def next_steps(program: str, path: Path, text: str) -> str:
    """Return the next steps after writing the file: its secrets, the check, the start."""
    secrets = [f"  {path.parent / name}: {comment}\n" for name, comment in _SECRET.findall(text)]
    return "".join(
        (
            f"Wrote {path}.\n",
            "Put each secret into its own file, readable only by this program:\n" if secrets else "",
            *secrets,
            "Then check the configuration, and start:\n",
            f"  {program} --config.file={path} --config.check\n",
            f"  {program} --config.file={path}\n",
        )
    )
