"""The demo's output for a terminal: in colours only on a terminal without NO_COLOR."""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Literal

Style = Literal["", "bold", "dim", "bad", "good", "title"]
_CODES = {"bold": "1", "dim": "2", "bad": "1;31", "good": "1;32", "title": "1;36"}


class Screen:
    """Prints lines with the seconds since the last `begin`."""

    def __init__(self) -> None:
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._began = time.monotonic()

    def paint(self, text: str, style: Style) -> str:
        """Return the text in a style, or as it is."""
        return f"\033[{_CODES[style]}m{text}\033[0m" if self._coloured else text

    def say(self, text: str = "", style: Style = "") -> None:
        """Print a line at once."""
        print(self.paint(text, style) if style else text, flush=True)

    def begin(self, title: str) -> None:
        """Print a heading; time counts from here."""
        self.say()
        self.say(title, "title")
        self._began = time.monotonic()

    def step(self, who: str, what: str, style: Style = "") -> None:
        """Print what happened now."""
        seconds = f"{time.monotonic() - self._began:6.1f} s"
        self.say(f"  {self.paint(seconds, 'dim')}  {who:<24} {self.paint(what, style) if style else what}")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print columns, the first one to the left, the others to the right."""
        lines = [head, *rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
        for number, line in enumerate(lines):
            cells = [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
            self.say("  " + "  ".join(cells), "bold" if number == 0 else "")
