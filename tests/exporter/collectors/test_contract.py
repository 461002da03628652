"""Every collector against what its `testdata/<case>/` records; a case needs no code.

    settings.yml    a target as in exporter.yml, without `collector`
    steps.yml       now:    when the page is rendered
                    steps:  what the vendor answers, in order:
                      - at: 2026-11-20T12:00:00Z        or epoch seconds
                        get: /monitors?page=2           the path and params that must be the most urgent GET then
                        body: monitors-2.json           a file of the case, byte for byte as the vendor sends it
                        status: 200                     the default
                        headers: {x-rate: "1"}          names in lower case
                        malformed: "data: missing"      instead of learning: the message this answer must raise
                      - at: 2026-11-20T12:00:01Z
                        probe: www.example.com@192.0.2.1:443   the most urgent probe: server name, address and port
                        certificate: {not_after: …, valid: true, reason: "", chain_not_after: …,
                                      issuer: "", serial: ""}    all optional
    page.prom       the page that must come out: text format 0.0.4, with the label `account`

A step `- at: …, nothing: get` (or `probe`) states that nothing of that kind is due then.
VENDORWATCH_REWRITE_PAGES=1 rewrites the pages: review the difference before you commit it.

Beside the page, each step is held to what every collector owes: knowledge survives a trip through JSON, and no body,
however wrong, raises anything but `Malformed`.
"""

import importlib
import json
import os
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

import exporter.collectors
from exporter.collectors.contract import Certificate, Get, Probe, Request, Response
from exporter.metrics.families import Family, Metric
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.text import valid_json

COLLECTORS = Path(exporter.collectors.__file__).parent
VENDORS = sorted(folder.parent.name for folder in COLLECTORS.glob("*/collector.py"))
CASES = sorted(steps.parent for steps in COLLECTORS.glob("*/testdata/*/steps.yml"))
WRONG = [None, True, -1, 1e300, "", "no such thing", [], [[]], [5], {}, {"": None}]
HOSTILE = [b"", b"\xff\xfe", b"{", b"null", b"[]", b"5", b'"text"', b"NaN", b"{}", b'{"data": 5}', b"[" * 100_000]


def named(case: Path) -> str:
    return f"{case.parent.parent.name}-{case.name}"


def collector_of(vendor: str, settings: Any) -> Any:
    return importlib.import_module(f"exporter.collectors.{vendor}.collector").Collector(settings)


def settings_of(vendor: str, case: Path) -> Any:
    target = yaml.safe_load((case / "settings.yml").read_text(encoding="utf-8"))
    return importlib.import_module(f"exporter.collectors.{vendor}.config").Settings(collector=vendor, **target)


def epoch(moment: float | datetime) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def most_urgent(requests: Iterable[Request], kind: type[Request], now: float) -> Request | None:
    """Return the ask that goes next: by reason, then by how many of its own intervals it is overdue."""
    due = [request for request in requests if isinstance(request, kind) and request.due <= now]
    return min(due, key=lambda request: (request.reason, (request.due - now) / request.every), default=None)


def spelled(request: Request | None) -> str:
    """Return an ask as steps.yml writes it."""
    if isinstance(request, Get):
        query = "&".join(f"{name}={value}" for name, value in request.params)
        return f"{request.path}?{query}" if query else request.path
    if isinstance(request, Probe):
        return request.to.written
    return "nothing"


def answer_of(step: dict[str, Any], case: Path) -> Response | Certificate:
    if "probe" not in step:
        body = valid_json((case / step["body"]).read_bytes())  # as a Session hands it on
        return Response(epoch(step["at"]), step.get("status", 200), body, step.get("headers", {}))
    recorded = step["certificate"]
    moments = {
        name: None if recorded.get(name) is None else epoch(recorded[name]) for name in ("not_after", "chain_not_after")
    }
    words = {name: recorded.get(name, "") for name in ("reason", "issuer", "serial")}
    return Certificate(at=epoch(step["at"]), valid=recorded.get("valid"), **moments, **words)


def page(families: Iterable[Family], account: str) -> str:
    return "".join(line for family in families if family.samples for line in lines(family, account))


def lines(family: Family, account: str) -> Iterator[str]:
    metric = family.metric
    yield f"# HELP {metric.name} {escaped(metric.help)}\n"
    yield f"# TYPE {metric.name} {metric.kind}\n"
    for values, value in family.samples:
        pairs = zip(("account", *metric.labels), (account, *values), strict=True)
        labels = ",".join(f'{name}="{quoted(text)}"' for name, text in pairs)
        yield f"{metric.name}{{{labels}}} {number(value)}\n"


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def quoted(text: str) -> str:
    return escaped(text).replace('"', r"\"")


def number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def through_json(knowledge: Any) -> Any:
    adapter = TypeAdapter(type(knowledge))
    return adapter.validate_json(adapter.dump_json(knowledge))


def wrong_bodies(body: bytes) -> Iterator[bytes]:
    """Yield bodies that no contract promises: not JSON, other JSON, and this one with single members gone bad."""
    yield from HOSTILE
    document = json.loads(body)
    places = list(places_in(document))
    chosen = random.Random(len(body)).sample(places, min(len(places), 40))
    yield from (json.dumps(replaced(document, place, wrong)).encode() for place in chosen for wrong in WRONG)


def places_in(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in inside:
        yield (*above, name)
        if isinstance(value, dict | list):
            yield from places_in(value, (*above, name))


def replaced(document: Any, place: tuple[Any, ...], wrong: Any) -> Any:
    name, *below = place
    whole = dict(document) if isinstance(document, dict) else list(document)
    whole[name] = replaced(document[name], tuple(below), wrong) if below else wrong
    return whole


class Played(NamedTuple):
    """One step as it was played."""

    step: dict[str, Any]
    request: Request
    response: Response | Certificate
    before: Any
    after: Any


@dataclass(frozen=True)
class Case:
    """A recorded case, ready to be played by a fresh collector."""

    folder: Path

    @cached_property
    def settings(self) -> Any:
        return settings_of(self.folder.parent.parent.name, self.folder)

    @cached_property
    def collector(self) -> Any:
        return collector_of(self.folder.parent.parent.name, self.settings)

    @cached_property
    def script(self) -> dict[str, Any]:
        script: dict[str, Any] = yaml.safe_load((self.folder / "steps.yml").read_text(encoding="utf-8"))
        return script

    @property
    def now(self) -> float:
        return epoch(self.script["now"])

    def turns(self) -> Iterator[Played]:
        """Play the steps, each of which must be what the collector wants most then."""
        knowledge = self.collector.start()
        for place, step in enumerate(self.script["steps"]):
            kind = "probe" if "probe" in step or step.get("nothing") == "probe" else "get"
            now = epoch(step["at"])
            request = most_urgent(self.collector.requests(knowledge, now), Probe if kind == "probe" else Get, now)
            assert spelled(request) == step.get(kind, "nothing"), f"step {place}: {step}"
            if request is None:
                continue
            response = answer_of(step, self.folder)
            learned = knowledge if "malformed" in step else self.collector.update(knowledge, request, response)
            yield Played(step, request, response, knowledge, learned)
            knowledge = learned

    def families(self) -> list[Family]:
        """Return what is recorded after the last step."""
        *_, last = self.turns()
        return list(self.collector.families(last.after, self.now))


@pytest.fixture(params=CASES, ids=named)
def case(request):
    return Case(request.param)


def test_recorded_responses_give_the_expected_page(case):
    """The most urgent request at every step is as expected, too."""
    shown = page(case.families(), case.settings.account)

    recorded = case.folder / "page.prom"
    if os.environ.get("VENDORWATCH_REWRITE_PAGES"):
        recorded.write_text(shown, encoding="utf-8")
    assert shown == recorded.read_text(encoding="utf-8")


def test_families_are_those_of_the_collector(case):
    """In their order, each once, with a value for each label."""
    families = case.families()

    stated = [family.metric for family in families]
    assert stated == [metric for metric in case.collector.metrics if metric in stated]
    assert all(len(values) == len(family.metric.labels) for family in families for values, _ in family.samples)
    assert all(len({values for values, _ in family.samples}) == len(family.samples) for family in families)


def test_malformed_response_names_the_wrong_member(case):
    """A recorded malformed response is an error with the member's name."""
    for action in case.turns():
        if "malformed" in action.step:
            with pytest.raises(Malformed) as caught:
                case.collector.update(action.before, action.request, action.response)
            assert str(caught.value) == action.step["malformed"]


@pytest.mark.slow
def test_any_body_is_read_or_malformed(case):
    """After any body the knowledge can be rendered and stored."""
    for action in case.turns():
        if not isinstance(action.response, Response) or "malformed" in action.step:
            continue
        for body in wrong_bodies(action.response.body):
            try:
                learned = case.collector.update(action.before, action.request, replace(action.response, body=body))
            except Malformed:
                continue
            page(case.collector.families(learned, action.response.at), "any")
            list(case.collector.figures(learned, action.response.at))
            list(case.collector.requests(learned, action.response.at))


def test_knowledge_survives_a_restart(case):
    """After each response the knowledge is equal after a round trip through JSON, in the same order."""
    for action in case.turns():
        restored = through_json(action.after)
        assert restored == action.after
        assert repr(restored) == repr(action.after)


def test_empty_knowledge_has_requests_and_no_series(case):
    """Before the first response nothing is exported, nothing is a success, and a request is due."""
    knowledge = case.collector.start()

    assert page(case.collector.families(knowledge, 1e9), "any") == ""
    assert knowledge.as_of is None
    assert knowledge.truncated is False
    assert any(request.due <= 1e9 for request in case.collector.requests(knowledge, 1e9))
    assert through_json(knowledge) == knowledge


def test_figures_summarise_the_knowledge(case):
    """The status page has a short summary at any time, without repeats."""
    for action in case.turns():
        figures = list(case.collector.figures(action.after, action.response.at))
        assert figures
        assert len({figure.text for figure in figures}) == len(figures)
        assert all(figure.text and len(figure.text) < 500 for figure in figures)


def test_metric_names_are_unique_among_vendors():
    """A family belongs to one vendor: its samples are together, and no series is duplicated."""
    names = [
        metric.name
        for vendor in VENDORS
        for metric in importlib.import_module(f"exporter.collectors.{vendor}.collector").Collector.metrics
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("vendor", VENDORS)
def test_collector_folder_is_complete(vendor):
    """It has a README and at least one recorded case."""
    assert (COLLECTORS / vendor / "README.md").is_file()
    assert [case for case in CASES if case.parent.parent.name == vendor]


@pytest.mark.parametrize("vendor", VENDORS)
def test_readme_has_the_defaults(vendor):
    """Each is written there as in exporter.yml."""
    settings = importlib.import_module(f"exporter.collectors.{vendor}.config").Settings
    keys = {each.alias or name for name, each in settings.model_fields.items()}
    rows = re.findall(
        r"(?m)^\| (`[^|]+`) \| (`[^|]+`) \|", (COLLECTORS / vendor / "README.md").read_text(encoding="utf-8")
    )
    pairs = [pair for row in rows for pair in zip(*(re.findall("`(.+?)`", cell) for cell in row), strict=False)]
    stated = {key: yaml.safe_load(value) for key, value in pairs if key in keys}
    required = {"token": "t", "url": "https://a.example", "endpoints": ["a.example:443"]}
    least = {"collector": vendor, "account": "a"} | {key: required[key] for key in keys & required.keys()}
    assert len(stated) > 2
    assert settings(**least, **stated) == settings(**least)


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_interval_rate_or_limit_is_zero(vendor):
    """Nor is a rate infinite: requests would be due again at once, or never."""
    settings = importlib.import_module(f"exporter.collectors.{vendor}.config").Settings
    numbers = {name for name, each in settings.model_fields.items() if type(each.default) in {int, float}}
    for given in (dict.fromkeys(numbers, 0.0), {"requests_per_minute": float("inf")}):
        with pytest.raises(ValidationError) as caught:
            settings(**given)
        assert given.keys() <= {problem["loc"][0] for problem in caught.value.errors()}
    counts = {name for name, each in settings.model_fields.items() if type(each.default) is int}
    with pytest.raises(ValidationError) as caught:
        settings(**dict.fromkeys(counts, 1))
    assert counts.isdisjoint(problem["loc"][0] for problem in caught.value.errors())


@pytest.mark.parametrize("vendor", VENDORS)
def test_metric_names_follow_the_conventions(vendor):
    """Snake case, `_total` only for counters, and HELP is a sentence."""
    module = importlib.import_module(f"exporter.collectors.{vendor}.collector")
    metrics: tuple[Metric, ...] = module.Collector.metrics

    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.name == metric.name.lower()
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not metric.help[0].islower()
        assert "account" not in metric.labels
