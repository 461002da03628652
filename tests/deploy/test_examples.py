"""The example files pass the programs' check and have every key with its default."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import trustme
import yaml
from pydantic import BaseModel

import bridge.__main__
import bridge.config
import exporter.__main__
import exporter.config
import exporter.toolkit.config_types
from bridge.receivers.contract import sender, senders
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.config_types import secret_keys
from exporter.toolkit.web_config import WebConfig

EXAMPLES = Path(__file__).parents[2] / "deploy/examples"
OFF = re.compile(r"^(\s*)#(?=[a-z][a-z0-9_-]*:)", re.MULTILINE)
SECRET_FILE = re.compile(r"(_file: )/etc/vendorwatch/([\w.-]+)")
CONTENT = {"packetvis.url": "https://packetvis.example.com/api?key=k", "proxy.url": "http://proxy:3128"}


def whole(text: str) -> Any:
    """Return the file with every commented-out key enabled."""
    return yaml.safe_load(OFF.sub(r"\1", text))


def usable(name: str, folder: Path) -> Path:
    """Write the example with secrets and a certificate."""

    def placed(match: re.Match[str]) -> str:
        (folder / match[2]).write_text(CONTENT.get(match[2], "a-secret") + "\n")
        return f"{match[1]}{folder / match[2]}"

    path = folder / name
    path.write_text(SECRET_FILE.sub(placed, (EXAMPLES / name).read_text()))
    return path


def sections() -> Iterator[Any]:
    """Yield each part of the examples: its place, with all keys, as shipped, and its model."""
    text = {name: (EXAMPLES / f"{name}.yml").read_text() for name in ("exporter", "bridge", "web")}
    full = {name: whole(content) for name, content in text.items()}
    used = {name: yaml.safe_load(content) for name, content in text.items()}
    for index, target in enumerate(full["exporter"]["targets"]):
        yield from parts(
            target["collector"], target, used["exporter"]["targets"][index], settings(exporter.config, target)
        )
    for index, receiver in enumerate(full["bridge"]["receivers"]):
        yield from parts(
            f"receivers.{receiver['receiver']}",
            receiver,
            used["bridge"]["receivers"][index],
            settings(bridge.config, receiver),
        )
    rest = [{key: found["bridge"][key] for key in found["bridge"] if key != "receivers"} for found in (full, used)]
    yield from parts("bridge", *rest, bridge.config.Config)
    yield from parts("web", full["web"], used["web"], WebConfig)


def settings(config: Any, item: dict[str, Any]) -> type[BaseModel]:
    if config is bridge.config:
        found: type[ReceiverSettings] = sender(item["receiver"]).Settings
        return found
    name = f"exporter.collectors.{item['collector']}.config"
    return __import__(name, fromlist=["Settings"]).Settings


def parts(place: str, full: dict[str, Any], used: dict[str, Any], model: type[BaseModel]) -> Iterator[Any]:
    yield place, full, used, model
    for name, field in model.model_fields.items():
        if inner := next(_models(field.annotation), None):
            yield from parts(f"{place}.{name}", full[name], used[name], inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        for part in get_args(annotation):
            yield from _models(part)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def is_secret(annotation: Any) -> bool:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return any(is_secret(part) for part in get_args(annotation))
    return annotation in (exporter.toolkit.config_types.Secret, exporter.toolkit.config_types.Secret)


def keys(model: type[BaseModel]) -> set[str]:
    names = {field.alias or name: field for name, field in model.model_fields.items()}
    return set(names) | {f"{name}_file" for name, field in names.items() if is_secret(field.annotation)}


CASES = {place: rest for place, *rest in sections()}


@pytest.mark.parametrize("place", CASES)
def test_example_has_every_key(place):
    """The example has every key of the model, and no other."""
    full, _, model = CASES[place]
    assert set(full) - {"basic_auth_users"} == keys(model) - {"basic_auth_users", "receivers"}


def test_every_collector_and_receiver_has_an_example():
    """Every collector, receiver and top-level key is in an example."""
    exporter_yml, bridge_yml = (whole((EXAMPLES / f"{name}.yml").read_text()) for name in ("exporter", "bridge"))
    assert {target["collector"] for target in exporter_yml["targets"]} == set(exporter.config.known())
    assert {one["receiver"] for one in bridge_yml["receivers"]} == set(senders())
    assert set(exporter_yml) == {"targets"}


@pytest.mark.parametrize("name", ["exporter.yml", "bridge.yml", "web.yml"])
def test_disabled_key_has_its_default_in_a_comment(name):
    """A commented-out key has its default in the comment."""
    for line in (EXAMPLES / name).read_text().splitlines():
        if OFF.match(line):
            assert re.search(r" # default: ", line), line


@pytest.mark.parametrize("place", CASES)
def test_key_without_a_comment_has_its_default(place):
    """An uncommented example changes no default."""
    _, used, model = CASES[place]
    text = "".join((EXAMPLES / f"{name}.yml").read_text() for name in ("exporter", "bridge", "web"))
    for name, field in model.model_fields.items():
        if name not in used or is_secret(field.annotation) or any(_models(field.annotation)):
            continue
        lines = [line for line in text.splitlines() if re.match(rf"\s*(- )?{name}:", line)]
        if (
            name in ("collector", "receiver")
            or "# required" in "".join(lines)
            or all("# default" in one for one in lines)
        ):
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        expected = taken(model, name, default, used) if field.validate_default else default
        assert taken(model, name, used[name], used) == expected, name


def taken(model: type[BaseModel], name: str, value: Any, used: dict[str, Any]) -> Any:
    """Return the value of a setting after validation, beside the example's other keys."""
    # Keys that are only valid together are set as in the example.
    beside = {key: used[key] for key in ("cert_file", "key_file") if key in used}
    bare = model.model_construct(**beside)
    # Unlike a secret that is not there, one without its value is invalid, and an assignment cannot tell them apart.
    bare.__dict__ |= {key: "x" for key in [*secret_keys(model), "username"] if key in model.model_fields}
    return getattr(model.__pydantic_validator__.validate_assignment(bare, name, value), name)


def test_examples_pass_the_programs_check(tmp_path, capsys):
    """`--config.check` reports no problem and no warning."""
    certificate = trustme.CA().issue_cert("vendorwatch.example.com")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "vendorwatch.crt"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "vendorwatch.key"))
    web = f"--web.config.file={usable('web.yml', tmp_path)}"
    for program, name in ((exporter, "exporter.yml"), (bridge, "bridge.yml")):
        status = program.__main__.main([f"--config.file={usable(name, tmp_path)}", "--config.check", web])
        assert (status, capsys.readouterr().err) == (0, "")
