"""`python -m tests.house`: how large both programs are, package by package, and how their functions read."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
PROGRAMS = ("exporter", "bridge")
RUN = 12
"""So many equal lines one after the other are a copy."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Lines of files and of functions (`def` to end, docstring included): the median, and what 90 % stay under.

    `single_use`: the share of functions that are private and named in one other place, so that a reader hops for them.
    """

    files: int
    lines: int
    functions: int
    median: float
    p90: float
    single_use: float


def sources(folder: Path) -> list[Path]:
    """Return a folder's Python files, those of its packages included."""
    return sorted(folder.rglob("*.py"))


def figures(paths: Sequence[Path]) -> Figures:
    """Return the figures of these files together."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    functions = [(function, Counter(re.findall(r"\w+", text))) for text in texts for function in _functions(text)]
    lengths = [(function.end_lineno or 0) - function.lineno + 1 for function, _ in functions]
    hops = [function.name for function, names in functions if _is_private(function.name) and names[function.name] == 2]
    return Figures(
        files=len(paths),
        lines=sum(len(text.splitlines()) for text in texts),
        functions=len(functions),
        median=median(lengths) if lengths else 0,
        p90=quantiles(lengths, n=10)[-1] if len(lengths) > 1 else 0,
        single_use=len(hops) / len(functions) if functions else 0,
    )


def _functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def copies() -> Iterator[tuple[str, str]]:
    """Yield where a run of equal lines stands in both programs, as `file:line` twice; blank lines do not count."""
    exporters, bridges = (dict(_runs(ROOT / program)) for program in PROGRAMS)
    for run in exporters.keys() & bridges.keys():
        yield exporters[run], bridges[run]


def _runs(folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    for path in sources(folder):
        lines = [
            (number, line.strip())
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if line.strip()
        ]
        for place in range(len(lines) - RUN + 1):
            run = lines[place : place + RUN]
            yield tuple(line for _, line in run), f"{path.relative_to(ROOT)}:{run[0][0]}"


def table() -> Iterator[str]:
    """Yield the rows of a Markdown table: every package of both programs, and each program as a whole."""
    yield "| package | files | lines | functions | median | p90 | single use |"
    yield "|---|---|---|---|---|---|---|"
    for program in PROGRAMS:
        folder = ROOT / program
        packages = [path for path in sorted(folder.iterdir()) if path.is_dir() and sources(path)]
        groups = {f"{program}/*.py": sorted(folder.glob("*.py"))}
        groups |= {f"{program}/{path.name}": sources(path) for path in packages}
        for name, paths in [*groups.items(), (f"**{program}**", sources(folder))]:
            found = figures(paths)
            yield (
                f"| {name} | {found.files} | {found.lines} | {found.functions} | {found.median:g} | {found.p90:.0f} |"
                f" {found.single_use:.0%} |"
            )


if __name__ == "__main__":
    print("\n".join(table()))
