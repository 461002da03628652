import re

from exporter.collectors.contract import PROBE_FAILURES
from grafana import palette
from tests.grafana.boards import LABEL_VALUES, PANELS, every, every_board, every_panel, every_query, filled, variables
from tests.grafana.promql import SHARD, labels, matchers, names, nodes, parse, selectors, served, used_labels

VALUE = re.compile(r"Value(?: #(?P<query>.+))?")
TABLES = [(place, panel) for place, panel in PANELS if panel["type"] == "table"]


def assert_names_exist(tree):
    """Assert that the programs serve the query's metrics, with its labels."""
    for selector, _ in selectors(tree):
        for name in names(selector):
            assert name in served(), name
            assert set(matchers(selector)) - {"__name__"} <= served()[name], (name, matchers(selector))
    assert used_labels(tree) <= labels(tree) | SHARD


OF_POLLS = {"vendorwatch_poll_success", "vendorwatch_poll_last_success_timestamp_seconds"}


@every_query
def test_poll_metrics_are_grouped_by_shard(query):
    """The best of a pair counts, but the worst of several shards: a failing shard must not be hidden by the others."""
    for selector, above in selectors(parse(query.filled)):
        if OF_POLLS & set(names(selector)):
            grouped = next(node.modifier for node in above if getattr(node, "modifier", None))
            assert set(grouped.labels) >= SHARD


@every_query
def test_names_are_joined_once_for_each_subject(query):
    """While one of two exporters still has an old name there are two: with both, Prometheus rejects the whole query."""
    for node, _ in nodes(parse(query.filled)):
        if getattr(getattr(node, "modifier", None), "group_labels", None):
            assert str(node.rhs.op) == "topk"
            assert node.rhs.modifier.labels == node.modifier.matching.labels


@every_query
def test_query_uses_existing_metrics_and_labels(query):
    """A program serves every metric, and each label belongs to a metric of the query."""
    assert_names_exist(parse(query.filled))


@every_board
def test_variable_uses_existing_metrics_and_labels(board):
    """A variable without values would leave every panel empty."""
    for name, variable in variables(board).items():
        query = LABEL_VALUES.fullmatch(filled(variable["query"]))
        tree = parse(query["selector"])
        assert_names_exist(tree)
        assert query["label"] == name
        assert name in labels(tree)


@every_panel
def test_legend_uses_labels_of_its_query(panel):
    """A missing label would make an empty name."""
    for target in panel["targets"]:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert named <= labels(parse(filled(target["expr"])))


@every(TABLES)
def test_table_columns_exist_in_its_queries(panel):
    """Each column is a label or the value of a query, and has its own title and overrides."""
    trees = {target["refId"]: parse(filled(target["expr"])) for target in panel["targets"]}
    organize = next(each for each in panel["transformations"] if each["id"] == "organize")["options"]
    for column in organize["indexByName"]:
        value = VALUE.fullmatch(column)
        if value is None:
            assert any(column in labels(tree) for tree in trees.values()), column
        else:
            assert (value["query"] in trees) if len(trees) > 1 else value["query"] is None
    titles = sorted(organize["renameByName"].values())
    assert titles == sorted(override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"])
    sorted_by = [each["displayName"] for each in panel["options"].get("sortBy", [])]
    assert set(sorted_by) <= set(titles)


def test_every_probe_failure_reason_has_a_word():
    """The mapping of reasons covers every reason that the exporter exports."""
    (mapping,) = palette.REASON
    assert set(mapping.options) == set(PROBE_FAILURES)
