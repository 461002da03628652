"""`python -m grafana [FOLDER]`: write every dashboard's JSON, into `grafana/dashboards` by default."""

import sys
from pathlib import Path

from grafana.every import DASHBOARDS, text

FOLDER = Path(__file__).with_name("dashboards")


def main(arguments: list[str]) -> int:
    """Write the files and print their paths."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        path = folder / f"{dashboard.uid}.json"
        path.write_text(text(dashboard), encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
