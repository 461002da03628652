"""The rules of Grafana's dashboard-linter, each as a test of every dashboard, without exclusions."""

import promql_parser

from tests.grafana.boards import BUILT_IN, LABEL_VALUES, every_board, every_panel, every_query, variables
from tests.grafana.promql import is_call, matchers, nodes, parse, selectors

UNITS = {
    "none", "short", "string", "s", "percent", "percentunit", "bytes", "cpm", "epm", "reqpm", "dateTimeFromNow"
}  # fmt: skip
"""The units in use; dashboard-linter accepts each of them."""


def without_ranges(expr):
    """Return the query with only its time variables replaced."""
    for name, value in BUILT_IN.items():
        expr = expr.replace(f"${name}", value)
    return expr


@every_board
def test_template_datasource_rule(board):
    """There is one data source variable, named `datasource` and labelled "Data source"."""
    (source,) = variables(board, "datasource").values()
    assert (source["name"], source["label"], source["query"]) == ("datasource", "Data source", "prometheus")


@every_board
def test_template_job_and_instance_rules(board):
    """`job` and `instance` are labelled query variables with multiple values, and "All" matches any value."""
    for name, label in (("job", "Job"), ("instance", "Instance")):
        variable = variables(board)[name]
        assert variable["label"] == label
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert variable["multi"] is True
        assert variable["includeAll"] is True
        assert variable["allValue"] == ".+"


@every_board
def test_template_label_promql_rule(board):
    """Every variable's query is `label_values(selector, label)`, and the selector is PromQL."""
    for variable in variables(board).values():
        found = LABEL_VALUES.fullmatch(variable["query"])
        assert found, variable["query"]
        parse(found["selector"])


@every_board
def test_template_on_time_change_reload_rule(board):
    """A query variable is refreshed when the time range changes."""
    assert {variable["refresh"] for variable in variables(board).values()} == {2}


@every_board
def test_variables_are_chained(board):
    """`instance` depends on `job`, and the dashboard's other variables depend on both."""
    names = list(variables(board))
    assert names[:2] == ["job", "instance"]
    assert 'job=~"$job"' in variables(board)["instance"]["query"]
    for name in names[2:]:
        assert 'job=~"$job", instance=~"$instance"' in variables(board)[name]["query"]


@every_board
def test_uneditable_dashboard(board):
    """Dashboards are read-only: changes are made in the code."""
    assert board["editable"] is False


@every_panel
def test_panel_datasource_rule(panel):
    """Every panel and every query uses the selected data source."""
    for part in [panel, *panel["targets"]]:
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@every_panel
def test_panel_title_description_rule(panel):
    """Every panel has a title and a description."""
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].rstrip("?").endswith(".") or panel["description"].endswith("?")


@every_panel
def test_panel_units_rule(panel):
    """Every panel and every column has a unit that Grafana knows."""
    config = panel["fieldConfig"]
    units = [value["value"] for each in config["overrides"] for value in each["properties"] if value["id"] == "unit"]
    assert {config["defaults"]["unit"], *units} <= UNITS


@every_panel
def test_panel_no_targets_rule(panel):
    """Every panel has queries with distinct names."""
    assert panel["targets"]
    assert all(target["expr"] for target in panel["targets"])
    names = [target["refId"] for target in panel["targets"]]
    assert len(names) == len(set(names))


@every_panel
def test_panel_without_data_shows_a_text(panel):
    """Every panel has its own text in place of Grafana's "No data", and none looks good while its program is down."""
    assert "unknown" in panel["fieldConfig"]["defaults"]["noValue"]


@every_query
def test_target_promql_rule(query):
    """Every query is PromQL."""
    parse(without_ranges(query.expr))


@every_query
def test_target_job_and_instance_rules(query):
    """Every selector matches job and instance."""
    for selector, _ in selectors(parse(without_ranges(query.expr))):
        matched = matchers(selector)
        assert (matched["job"], matched["instance"]) == ("=~$job", "=~$instance"), selector


@every_query
def test_target_rate_interval_rule(query):
    """`rate` and `irate` use $__rate_interval; any other range is an argument of a function."""
    marked = query.expr.replace("$__rate_interval", "77s").replace("$__range", "10m")
    for node, above in nodes(parse(marked)):
        if isinstance(node, promql_parser.MatrixSelector | promql_parser.SubqueryExpr):
            assert isinstance(above[0], promql_parser.Call), query.expr
        if is_call(node, "rate", "irate"):
            assert node.args[0].range.total_seconds() == 77, query.expr


@every_query
def test_target_counter_agg_rule(query):
    """A counter is used only within rate, irate or increase."""
    for selector, above in selectors(parse(without_ranges(query.expr))):
        if (selector.name or "").endswith("_total"):
            assert any(is_call(node, "rate", "irate", "increase") for node in above), query.expr
