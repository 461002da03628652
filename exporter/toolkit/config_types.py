"""The value types and sections of a configuration file, and how its problems are reported."""

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from exporter.toolkit.logs import Conditions
from exporter.toolkit.text import escaped

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_SECONDS = (31_536_000.0, 604_800.0, 86_400.0, 3600.0, 60.0, 1.0, 0.001)
_LONGEST = 36_525 * 86_400.0
_log = logging.getLogger(__name__)


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds one line for each thing to fix."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(escaped(problem) for problem in problems)  # a key may hold anything
        super().__init__("\n".join(self.problems))


def seconds(value: object) -> float:
    """Read a duration such as `30s`, `5m` or `1h30m`."""
    written = "0s" if str(value) == "0" else value  # Prometheus's durations need no unit only there
    match = _DURATION.fullmatch(written) if isinstance(written, str) else None
    if not written or match is None:
        raise ValueError("not a duration: write it like 30s, 5m or 1h30m")
    found = sum(float(count) * unit for count, unit in zip(match.groups(), _SECONDS, strict=True) if count)
    if found > _LONGEST:
        raise ValueError("longer than a hundred years")  # the system's clocks and waits overflow
    return found


Duration = Annotated[
    float, BeforeValidator(lambda value: value if isinstance(value, float) and value <= _LONGEST else seconds(value))
]
"""Seconds. A float passes unchanged, so that defaults can be written as numbers."""
Stamp = tuple[int, int, int]


def stamp(file: Path) -> Stamp | None:
    """Return values that change with a file's content, owner or permissions; None if it is not there."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ctime_ns, stat.st_ino, stat.st_size


class Secret:
    """A value that must never be shown, from the configuration or a separate file, stripped of surrounding whitespace.

    The file is re-read when it changes. If it becomes unreadable, the last value stays in force, so that replacing
    the file during a rotation breaks nothing.
    """

    def __init__(self, value: str = "", *, file: Path | None = None) -> None:
        self.file = file
        self._value = value
        self._origin = (file, value)
        self._seen: Stamp | None = None
        self._conditions = Conditions(_log)
        self._lock = threading.Lock()

    def read(self) -> str:
        """Return the current value. Raises ValueError if the file was never readable."""
        if self.file is None:
            return self._value
        with self._lock:
            try:
                self._refresh(self.file)
            except ValueError as error:
                if not self._value:
                    raise
                self._conditions.report("file", f"Keeping the previous value of a secret: {error}")
            else:
                self._conditions.report("file", "")
            return self._value

    def _refresh(self, file: Path) -> None:
        seen = stamp(file)
        if seen and seen == self._seen:
            return
        try:
            value = file.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError:
            raise ValueError(f"cannot read {file}: not UTF-8 text") from None
        except OSError as error:
            raise ValueError(f"cannot read {file}: {error.strerror}") from None
        if not value:
            raise ValueError(f"{file} is empty")
        self._value, self._seen = value, seen

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._origin == other._origin

    def __hash__(self) -> int:
        return hash(self._origin)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_secret)


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        value.read()
        return value
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004  pydantic turns only ValueError into a problem
    if not value.strip():
        raise ValueError("is empty")
    return Secret(value.strip())


class Section(BaseModel):
    """A part of the configuration. Unknown keys are problems; `X_file: PATH` gives the secret `X`.

    Paths are relative to the validation context's `folder`, which is that of the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _fold_files(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, dict):
            return values
        return fold_files(values, secret_keys(cls), info)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag(cls, value: Any, info: ValidationInfo) -> Any:
        """Reject `yes` and `true` as a number, which would be 1, such as the largest body in bytes."""
        field = cls.model_fields[str(info.field_name)]
        number = {int, float, ByteSize} & {field.annotation, *get_args(field.annotation)}
        # A duration has a message of its own.
        if isinstance(value, bool) and number and not any(isinstance(one, BeforeValidator) for one in field.metadata):
            raise ValueError("must be a number, not yes or no")
        return value


def secret_keys(section: type[Section]) -> frozenset[str]:
    """Return the keys of a section that hold a secret, as they are written in the file."""
    fields = section.model_fields.items()
    return frozenset(field.alias or name for name, field in fields if _is_secret(field.annotation))


def fold_files(values: Mapping[str, Any], names: frozenset[str], info: ValidationInfo) -> dict[str, Any]:
    """Replace each `X_file: PATH` of a secret X by the secret itself."""
    folded = dict(values)
    for name in names & {str(key).removesuffix("_file") for key in values if str(key).endswith("_file")}:
        path = folded.pop(f"{name}_file")
        if folded.get(name) is not None:
            raise ValueError(f"give {name} or {name}_file, not both")
        folded[name] = Secret(file=located(path, info)) if isinstance(path, str) else path
    # An optional secret without its value would be none: a receiver that lets everybody in.
    return folded | {name: "" for name in names if folded.get(name, "") is None}


def located(path: str, info: ValidationInfo) -> Path:
    """Resolve a path relative to the file that names it."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


FilePath = Annotated[
    Path, BeforeValidator(lambda value, info: located(value, info) if isinstance(value, str) and value else value)
]
"""A path, relative to the file that names it."""


def _is_secret(annotation: Any) -> bool:
    optional = get_origin(annotation) in (Annotated, Union, UnionType)
    return annotation is Secret or (optional and any(_is_secret(part) for part in get_args(annotation)))


_NO_SIZE = "not a size: write it like 64MB"
_PLAIN = {
    "byte_size": _NO_SIZE,
    "byte_size_unit": _NO_SIZE,
    "extra_forbidden": "unknown key",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_type": "must be a string: put a number, a date, yes or no in quotes",
    "too_short": "must have at least one entry",
}
"""Problems in the words of YAML, by pydantic's type of error: its own messages name Python's types."""


def problems(error: ValidationError, secrets: frozenset[str] = frozenset()) -> list[str]:
    """Return one line for each problem: its path in the file, then the reason."""
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in item["loc"]]
        problem = _PLAIN.get(item["type"], item["msg"].removeprefix("Value error, "))
        if item["type"] == "missing":
            name = str(item["loc"][-1])
            problem = f"missing: give {name} or {name}_file" if name in secrets else "missing"
        lines.append(f"{''.join(steps).lstrip('.') or 'file'}: {problem}")
    return lines


S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class SectionList(Generic[S]):
    """The list at `place`, such as `targets`; the keys `kind` and `name` hold a section's kind and its name."""

    place: str
    kind: str
    name: str
    known: Sequence[str]
    model: Callable[[str], type[S]]

    def read(self, listed: object, folder: Path) -> tuple[list[S], list[str]]:
        """Return the sections, and one line for each problem. Paths in them are relative to `folder`."""
        if listed is None:
            return [], [f"{self.place}: missing"]
        if not isinstance(listed, list) or not listed:
            return [], [f"{self.place}: give a list of at least one {self.place.removesuffix('s')}"]
        read = [self._section(item, folder) for item in listed]
        found = [
            f"{self.place}[{index}]{line}"
            for index, section in enumerate(read)
            if isinstance(section, list)
            for line in section
        ]
        first: dict[tuple[str, str], int] = {}
        for index, item in enumerate(listed):
            if not isinstance(item, dict) or None in (item.get(self.kind), item.get(self.name)):
                continue
            earlier = first.setdefault((str(item[self.kind]), str(item[self.name])), index)
            if earlier != index:
                place = f"{self.place}[{index}].{self.name}"
                found.append(f"{place}: {self.place}[{earlier}] has this {self.kind} and {self.name} already")
        return [one for one in read if not isinstance(one, list)], found

    def _section(self, item: object, folder: Path) -> S | list[str]:
        """Return the section, or its problems as suffixes of its own path."""
        if not isinstance(item, dict):
            return [": not a mapping"]
        kind = item.get(self.kind)
        if kind not in self.known:
            problem = "missing" if kind is None else f"no such {self.kind}"
            return [f".{self.kind}: {problem}: must be one of {', '.join(self.known)}"]
        model = self.model(str(kind))
        try:
            return model.model_validate(item, context={"folder": folder})
        except ValidationError as error:
            lines = problems(error, secret_keys(model))
            return [line.removeprefix("file") if line.startswith("file: ") else f".{line}" for line in lines]
