"""`init`: a first configuration, assembled from the commented sections that each package provides."""

import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.program import report

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
    """Write a first configuration and print the next steps, or print it if there is no path; return the exit status."""
    try:
        written = text()
        if path is not None:
            with path.open("x", encoding="utf-8") as file:
                file.write(written)
        sys.stdout.write(next_steps(program, path, written) if path else written)
    except ConfigError as error:
        problems = error.problems
    except FileExistsError:
        problems = (f"{path}: already exists: choose another --config.file, or --stdout",)
    except OSError as error:
        problems = (f"cannot write {path}: {error.strerror}",)
    else:
        return 0
    return report(program, problems)


def next_steps(program: str, path: Path, text: str) -> str:
    """Return the next steps after writing the file: its secrets, the check, the start."""
    secrets = "".join(f"  {path.parent / name}: {comment}\n" for name, comment in _SECRET.findall(text))
    head = "Put each secret into its own file, readable only by this program:\n" if secrets else ""
    check, start = f"  {program} --config.file={path} --config.check\n", f"  {program} --config.file={path}\n"
    return f"Wrote {path}.\n{head}{secrets}Then check the configuration, and start:\n{check}{start}"
