"""A machine for the guide's commands: a folder in place of `/`, and stand-ins for commands that need root.

The commands are the document's. Paths below `PLACES` are moved into the folder; `systemctl`, `systemd-sysusers`
and `runuser` are scripts first on PATH, and `install` loses its `-g`. `systemctl` runs a unit's
ExecStart, with its environment and state directory, but without systemd's sandbox.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

PLACES = ("/opt/vendorwatch", "/etc/vendorwatch", "/etc/prometheus", "/etc/systemd", "/etc/sysusers.d", "/var/lib")
_PLACE = re.compile(rf"(?:{'|'.join(map(re.escape, PLACES))})(?=[/\s'\"]|-|$)")
_STAND_INS = {
    "systemctl": 'exec {python} {here} {root} "$@"',
    "systemd-sysusers": "exec true",
    "runuser": '[ "$1" = -u ] && [ "$3" = -- ] && shift 3 && exec "$@"',
    "install": 'for word; do shift; case "$word" in -g) drop=1;; *) [ -n "$drop" ] && drop= || set -- "$@" "$word";; esac; done; exec {install} "$@"',  # noqa: E501  one script
    "python3": 'exec {base} "$@"',
}
_WAIT = 20.0


def checkout(folder: Path, names: Iterable[str]) -> Path:
    """Copy these entries of the project into a folder; return that."""
    folder.mkdir()
    for name in names:
        source = Path(__file__).parents[2] / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)
    return folder


class Bare:
    """The machine. Its programs run until `stop`."""

    def __init__(self, root: Path, checkout: Path, replaced: Mapping[str, str]) -> None:
        self.root, self.checkout = root, checkout
        self._replaced = replaced
        stand_ins = root / "stand-ins"
        for folder in (stand_ins, root / "run", root / "etc/systemd/system", root / "var/lib"):
            folder.mkdir(parents=True)
        for name, script in _STAND_INS.items():
            words = {
                "python": sys.executable,
                "here": __file__,
                "root": root,
                "install": _found("install"),
                "base": _base(),
            }
            (stand_ins / name).write_text(f"#!/bin/sh\n{script.format(**words)}\n")
            (stand_ins / name).chmod(0o755)

    def here(self, text: str) -> str:
        """Return a text of the document with this machine's addresses and paths."""
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        return moved(text, self.root)

    def run(self, commands: str) -> str:
        """Run the document's commands with `sh -e`; raise AssertionError with the output if one fails."""
        path = f"{self.root / 'stand-ins'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(
            ["sh", "-eu", "-c", self.here(commands)],
            cwd=self.checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            umask=0o027,  # root's, on hardened machines
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        """Return the programs' logs."""
        return "\n".join(path.read_text() for path in sorted((self.root / "run").glob("*.log")))

    def stop(self) -> None:
        """Stop the programs."""
        for path in (self.root / "run").glob("*.pid"):
            os.kill(int(path.read_text()), signal.SIGTERM)
        for path in (self.root / "run").glob("*.pid"):
            _gone(int(path.read_text()))
            path.unlink()


def moved(text: str, root: Path) -> str:
    """Return a text with its paths moved below `root`."""
    return _PLACE.sub(lambda match: f"{root}{match[0]}", text)


def _found(name: str) -> str:
    return next(str(Path(folder) / name) for folder in ("/usr/bin", "/bin") if (Path(folder) / name).exists())


def _base() -> str:
    return str(getattr(sys, "_base_executable", sys.executable))


def _gone(pid: int) -> None:
    end = time.monotonic() + _WAIT
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def systemctl(root: Path, words: list[str]) -> int:
    """Carry out `enable --now` and `reload` like systemctl, and ignore everything else."""
    status = 0
    action, *units = [word for word in words if not word.startswith("--")]
    for name in units:
        if action == "enable" and "--now" in words:
            Unit(root, name).start()
        elif action == "reload":
            status |= Unit(root, name).reload()
    return status


class Unit:
    """One service."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name
        text = (root / f"etc/systemd/system/{name}.service").read_text()
        self._directives = re.findall(r"^(\w+)=(.*)$", moved(text, root), re.MULTILINE)
        self._pid = root / f"run/{name}.pid"

    def start(self) -> None:
        """Start the service, with its state directory and its output in a file."""
        for directory in self._all("StateDirectory"):
            (self._root / "var/lib" / directory).mkdir(mode=0o700, exist_ok=True)
        with (self._root / f"run/{self._name}.log").open("ab") as log:
            process = subprocess.Popen(
                self._words(*self._all("ExecStart")),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid.write_text(str(process.pid))

    def reload(self) -> int:
        """Carry out each ExecReload until one fails."""
        for line in self._all("ExecReload"):
            done = subprocess.run(self._words(line), env=self._environment(), check=False)
            if done.returncode:
                return done.returncode
        return 0

    def _all(self, name: str) -> list[str]:
        return [value for found, value in self._directives if found == name]

    def _words(self, line: str) -> list[str]:
        known = self._environment() | {"MAINPID": self._pid.read_text() if self._pid.exists() else ""}
        found: list[str] = []
        for word in shlex.split(line):
            found += known.get(word[1:], "").split() if word.startswith("$") else [word]
        return found

    def _environment(self) -> dict[str, str]:
        said = [one for line in self._all("Environment") for one in line.split()]
        for file in self._all("EnvironmentFile"):
            path = Path(file.removeprefix("-"))
            said += path.read_text().splitlines() if path.exists() else []
        return dict(one.split("=", 1) for one in said)


if __name__ == "__main__":
    sys.exit(systemctl(Path(sys.argv[1]), sys.argv[2:]))
