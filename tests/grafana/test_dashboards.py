import json
import re
from itertools import combinations
from pathlib import Path

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from jsonschema import Draft7Validator

from grafana.__main__ import main
from grafana.board import RUNBOOKS
from grafana.every import DASHBOARDS, text
from grafana.problems import PROBLEMS
from tests.deploy.shipped import DEPLOY, RULES
from tests.grafana.boards import BOARDS, FOLDER, PATHS, every, every_board, load, panels
from tests.system.running import ROOT

KINDS = {"stat", "timeseries", "table", "state-timeline", "heatmap"}
COLUMNS = 24
GRAFANAS = {
    path.stem.removeprefix("schemas-"): {
        kind: Draft7Validator(schema) for kind, schema in json.loads(path.read_text(encoding="utf-8")).items()
    }
    for path in sorted(Path(__file__).parent.glob("schemas-*.json"))
}
"""By Grafana version: the validators of a dashboard and of each kind of panel."""


def test_committed_json_matches_the_code(tmp_path):
    """`python -m grafana` writes exactly the committed files."""
    assert main([str(tmp_path)]) == 0
    assert [path.name for path in PATHS] == sorted(path.name for path in tmp_path.iterdir())
    for path in PATHS:
        assert path.read_text(encoding="utf-8") == (tmp_path / path.name).read_text(encoding="utf-8"), (
            "python -m grafana"
        )


@every_board
def test_dashboard_survives_a_round_trip_through_grafanas_types(board):
    """A dashboard read into the types of Grafana's schema and written again is unchanged."""
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert again == board


@every((f"{version} / {name}", (version, board)) for version in GRAFANAS for name, board in BOARDS.items())
def test_dashboard_is_valid_under_grafanas_schema(subject):
    """The dashboard and each panel's options are valid; `tests/grafana/schemas` writes the schemas."""
    version, board = subject
    assert problems(version, "dashboard", board) == []
    for panel in panels(board):
        assert problems(version, f"{panel['type']} options", panel.get("options", {})) == [], panel["title"]
        custom = panel["fieldConfig"]["defaults"].get("custom")
        assert custom is None or problems(version, f"{panel['type']} custom", custom) == [], panel["title"]


def test_grafanas_schema_rejects_invalid_panels():
    """An unknown value of an option, or a position that is not a number, is an error."""
    for version in GRAFANAS:
        board = load(PATHS[0])
        board["panels"][0]["gridPos"]["x"] = "left"
        assert problems(version, "dashboard", board) != []
        assert problems(version, "stat options", board["panels"][0]["options"] | {"colorMode": "rainbow"}) != []


def test_schemas_of_every_supported_grafana_are_checked():
    """The oldest version is the one whose types build the dashboards."""
    assert [version.split(".")[0] for version in GRAFANAS] == ["11", "12", "13"]


def problems(version, kind, part):
    """Return the errors of a part of a dashboard under the schema of this kind."""
    return [f"{error.json_path}: {error.message:.200}" for error in GRAFANAS[version][kind].iter_errors(part)]


@every_board
def test_dashboard_has_a_stable_identity(board):
    """The uid is the file's name, and the JSON has no ids or inputs of one Grafana."""
    assert load(FOLDER / f"{board['uid']}.json") == board
    assert board["title"].startswith("vendorwatch / ")
    assert board["description"]
    assert board["tags"] == ["vendorwatch"]
    assert board["schemaVersion"] >= 41
    assert board["timezone"] == "browser"
    assert board["graphTooltip"] == 1
    assert "id" not in board
    assert "__inputs" not in board
    assert {each["name"]: each["current"]["value"] for each in board["templating"]["list"]} == {
        each["name"]: "default" if each["type"] == "datasource" else ["$__all"] for each in board["templating"]["list"]
    }


@every_board
def test_dashboard_links_to_the_others_and_to_its_runbook(board):
    """There is a menu of all dashboards, and a link to a page of deploy/runbooks."""
    others, runbook = board["links"]
    assert (others["type"], others["tags"], others["keepTime"]) == ("dashboards", ["vendorwatch"], True)
    page = runbook["url"].removeprefix(RUNBOOKS + "/")
    assert (DEPLOY / "runbooks" / page).exists()


def test_runbook_links_have_the_same_base_url_as_in_the_rules():
    """Rules and dashboards use one base URL of the runbooks."""
    urls = {url for path in RULES for url in re.findall(r"runbook_url: (.*)/\w+\.md#", path.read_text())}
    assert urls == {RUNBOOKS}


@every(PROBLEMS.items())
def test_each_problem_links_to_an_existing_dashboard_and_runbook_section(expr):
    """Each row of the overview has both links."""
    given = dict(re.findall(r'"(level|source|board|runbook)", "([^"]+)", "", ""', expr))
    assert given["level"] in {"critical", "warning"}
    assert FOLDER / f"vendorwatch-{given['board']}.json" in PATHS
    page, anchor = given["runbook"].split("#")
    headings = (DEPLOY / "runbooks" / page).read_text(encoding="utf-8").splitlines()
    assert anchor in {line.removeprefix("## ").lower() for line in headings if line.startswith("## ")}


@every_board
def test_data_links_name_existing_dashboards(board):
    """A link to a dashboard is the uid of one of these, or a value of the row."""
    for url in re.findall(r'"url": "/d/([^?"]+)', json.dumps(board)):
        assert url == "vendorwatch-${__value.raw}" or FOLDER / f"{url}.json" in PATHS


@every_board
def test_panels_are_of_supported_kinds_and_do_not_overlap(board):
    """No panel is of a deprecated kind; each has its own number and position on the grid."""
    assert {panel["type"] for panel in panels(board)} <= KINDS
    assert sorted(panel["id"] for panel in board["panels"]) == list(range(1, len(board["panels"]) + 1))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS for panel in board["panels"])
    for one, other in combinations(board["panels"], 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def overlap(one, other):
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    return across and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]


@every_board
def test_every_colour_has_a_word(board):
    """Each mapped value has a text, and no colour is green or red, which colour-blind people confuse."""
    for panel in panels(board):
        for mapping in mappings(panel):
            assert all(result["text"] for result in mapping), panel["title"]
    assert not re.search(r'"(color|fixedColor)": "(green|red|dark-red|semi-dark-green)"', json.dumps(board))


def mappings(panel):
    """Yield the results of each mapping of a panel and its overrides."""
    config = panel["fieldConfig"]
    found = [*config["defaults"].get("mappings", [])]
    for override in config["overrides"]:
        found += [each for one in override["properties"] if one["id"] == "mappings" for each in one["value"]]
    for mapping in found:
        options = mapping["options"]
        yield list(options.values()) if mapping["type"] == "value" else [options["result"]]


def test_every_dashboard_is_documented_and_provisioned():
    """The README lists each; the provider reads the folder that compose.yml mounts."""
    readme = (ROOT / "grafana/README.md").read_text(encoding="utf-8")
    for dashboard in DASHBOARDS:
        assert f"| {dashboard.title.removeprefix('vendorwatch / ')} |" in readme
        assert text(dashboard).endswith("}\n")
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/vendorwatch.yml").read_text())["providers"][0]
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in (DEPLOY / "compose.yml").read_text()
    sources = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert [(source["type"], source["isDefault"]) for source in sources] == [("prometheus", True)]
