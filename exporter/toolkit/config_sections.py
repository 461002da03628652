"""A list of sections of several kinds in a configuration: one key names the kind, another identifies the section."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from exporter.toolkit.config_types import Section, problems, secret_keys

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
