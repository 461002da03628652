"""YAML configuration files: a duplicate key is a problem, `${NAME}` is an environment variable."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.text import valid

T = TypeVar("T")

_VARIABLE: Final = re.compile(r"\$(\$\{)|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")
_MALFORMED: Final = "not a variable: write ${NAME}, or $${ for ${"
_STRING: Final = "tag:yaml.org,2002:str"


def load(path: Path, check: Callable[[Any, Path], T]) -> T:
    """Return `check(content, folder)` for a YAML file in `folder`. Raises ConfigError, one line for each problem."""
    content, found = _read(path)
    try:
        checked = check(content, path.absolute().parent)
    except ConfigError as error:
        # A missing variable stays in the value as written, so a further problem with that value is only a consequence.
        reported = {line.partition(": ")[0] for line in found}
        more = [line for line in error.problems if line.partition(": ")[0] not in reported]
        raise ConfigError([*found, *more]) from None
    if found:
        raise ConfigError(found)
    return checked


def load_yaml(path: Path) -> Any:
    """Return the content of a YAML file. Raises ConfigError, one line for each problem, without quoting the file."""
    return load(path, lambda content, _folder: content)


def parse_foreign(text: str) -> Any:
    """Parse another program's YAML, such as Alertmanager's configuration. Raises ValueError if it is not YAML."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("not YAML") from error


def _read(path: Path) -> tuple[Any, list[str]]:
    """Return a file's content, and the problems of a file that can be read."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        found = list(_substituted(root, "", set())) if root else []
        return (loader.construct_document(root) if root else None), found
    except OSError as error:
        raise ConfigError([f"cannot read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"line {line}: not UTF-8 text"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError([f"{place}not YAML: {getattr(error, 'problem', None) or 'unreadable'}"]) from None
    except (ValueError, OverflowError):
        raise ConfigError(["not YAML: impossible date or number; put it in quotes"]) from None
    except RecursionError:
        raise ConfigError(["not YAML: nested too deeply"]) from None


def _substituted(node: yaml.Node, path: str, seen: set[int]) -> Iterator[str]:
    """Substitute variables in the strings below `node`. Yield the problems: missing variables, duplicate keys."""
    if id(node) in seen:  # an alias: its content was handled where it was defined
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            place = f"{path}.{key.value}".lstrip(".") if isinstance(key, yaml.ScalarNode) else path
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if (key.tag, key.value) in lines:
                    yield f"{place}: given twice, in line {lines[key.tag, key.value]} and again in line {line}"
                lines[key.tag, key.value] = line
            yield from _substituted(value, place, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _substituted(item, f"{path}[{index}]", seen)
    elif node.tag == _STRING:
        found = _VARIABLE.findall(node.value)
        missing = [name for literal, name in found if not (literal or os.environ.get(name, "").strip())]
        yield from (f"{path or 'file'}: {_unset(name) if name else _MALFORMED}" for name in missing)
        # Stripped like the content of a secret file; `$${` is a literal `${`.
        node.value = _VARIABLE.sub(
            lambda found: found[1] or os.environ.get(found[2] or "", "").strip() or found[0], node.value
        )
        if node.value != valid(node.value):
            yield f"{path or 'file'}: contains NUL or a lone surrogate, which cannot be sent or stored"


def _unset(name: str) -> str:
    return f"environment variable {name} is {'empty' if name in os.environ else 'not set'}"
