"""The commands of each program, with its log and its address."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.system.running import Program, free_port, python


def write(file: Path, content: object) -> Path:
    """Write a YAML file, and return its path."""
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def sandbox(folder: Path, address: str) -> Program:
    """Make the vendors' APIs, with an empty world."""
    command = python("tests.sandbox", "--empty", "--listen", address)
    return Program("sandbox", command, folder / "sandbox.log", f"http://{address}", ready="/control/")


def exporter(folder: Path, address: str) -> Program:
    """Make the exporter, with the folder's exporter.yml. Ready once it listens: its targets may be ill."""
    flags = (f"--config.file={folder / 'exporter.yml'}", f"--web.listen-address={address}")
    return Program("exporter", python("exporter", *flags), folder / "exporter.log", f"http://{address}", "/-/healthy")


def bridge(folder: Path, address: str) -> Program:
    """Make the bridge, with the folder's bridge.yml."""
    flags = (f"--config.file={folder / 'bridge.yml'}", f"--web.listen-address={address}")
    return Program("bridge", python("bridge", *flags), folder / "bridge.log", f"http://{address}")


def prometheus(folder: Path, address: str, name: str = "prometheus", *, resend: str = "15s") -> Program:
    """Make Debian's Prometheus, with the folder's prometheus.yml."""
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / name}",
        f"--web.listen-address={address}",
        "--storage.tsdb.retention.time=1d",
        f"--rules.alert.resend-delay={resend}",
        "--web.enable-lifecycle",
    ]
    return Program(name, command, folder / f"{name}.log", f"http://{address}")


def blackbox(folder: Path, address: str) -> Program:
    """Make Debian's blackbox_exporter, with the module of its own example."""
    path = folder / "blackbox.yml"
    path.write_text("modules: {http_2xx: {prober: http}}\n")
    command = ["prometheus-blackbox-exporter", f"--config.file={path}", f"--web.listen-address={address}"]
    return Program("blackbox", command, folder / "blackbox.log", f"http://{address}", ready="/-/healthy")


def victoria_metrics(folder: Path, address: str) -> Program:
    """Make VictoriaMetrics, which scrapes as the folder's prometheus.yml says."""
    command = [
        "victoria-metrics",
        f"-promscrape.config={folder / 'prometheus.yml'}",
        "-promscrape.config.strictParse=false",  # it has no rule_files and no alerting: those are vmalert's
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr={address}",
        "-search.latencyOffset=0s",
    ]
    return Program("victoria-metrics", command, folder / "victoria.log", f"http://{address}", ready="/health")


def vmalert(folder: Path, address: str, victoria: str, alertmanager: str) -> Program:
    """Make vmalert, with the folder's rules, between a VictoriaMetrics and an Alertmanager at these URLs."""
    command = [
        "vmalert",
        f"-rule={folder / 'rules'}/*.yml",
        f"-datasource.url={victoria}",
        f"-remoteWrite.url={victoria}",  # where what the recording rules find goes
        f"-notifier.url={alertmanager}",
        f"-httpListenAddr={address}",
        "-evaluationInterval=1s",
        "-rule.evalDelay=0s",
    ]
    return Program("vmalert", command, folder / "vmalert.log", f"http://{address}", ready="/health")


def alertmanagers(folder: Path, address: str, peers: int) -> tuple[Program, ...]:
    """Make an Alertmanager at this address and so many peers at free ones; without peers it gossips with nobody."""
    if not peers:
        return (alertmanager(folder, address),)
    gossip = [f"127.0.0.1:{free_port()}" for _ in range(peers + 1)]
    addresses = [address, *(f"127.0.0.1:{free_port()}" for _ in range(peers))]
    names = ["alertmanager", *(f"alertmanager{number}" for number in range(2, peers + 2))]
    return tuple(
        alertmanager(folder, at, name, [own, *(other for other in gossip if other != own)])
        for at, name, own in zip(addresses, names, gossip, strict=True)
    )


def alertmanager(folder: Path, address: str, name: str = "alertmanager", gossip: Sequence[str] = ()) -> Program:
    """Make Debian's Alertmanager, with the folder's alertmanager.yml.

    `gossip`: the address its peers reach it at, then theirs; empty: alone.
    """
    command = [
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / name}",
        f"--web.listen-address={address}",
        f"--cluster.listen-address={gossip[0] if gossip else ''}",
        *(f"--cluster.peer={peer}" for peer in gossip[1:]),
    ]
    return Program(name, command, folder / f"{name}.log", f"http://{address}")
