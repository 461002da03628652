import re

from exporter.collectors.contract import PROBE_FAILURES
from grafana import palette
from tests.grafana.boards import LABEL_VALUES, PANELS, every, every_board, every_panel, every_query, filled, variables
from tests.grafana.promql import SHARD, asked_labels, labels, matchers, names, parse, selectors, served

VALUE = re.compile(r"Value(?: #(?P<query>.+))?")
TABLES = [(place, panel) for place, panel in PANELS if panel["type"] == "table"]


def holds(tree):
    """See that a query names metrics that are served, and labels that they have."""
    for selector, _ in selectors(tree):
        for name in names(selector):
            assert name in served(), name
            assert set(matchers(selector)) - {"__name__"} <= served()[name], (name, matchers(selector))
    assert asked_labels(tree) <= labels(tree) | SHARD


OF_POLLS = {"vendorwatch_poll_success", "vendorwatch_poll_last_success_timestamp_seconds"}


@every_query
def test_a_shard_that_fails_does_not_hide_behind_the_others(query):
    """Of a pair the best counts and of shards the worst, so how polls go is first told shard by shard."""
    for selector, above in selectors(parse(query.filled)):
        if OF_POLLS & set(names(selector)):
            grouped = next(node.modifier for node in above if getattr(node, "modifier", None))
            assert set(grouped.labels) >= SHARD


@every_query
def test_a_query_names_what_the_programs_serve(query):
    """Every metric is stated by a program; a label in a selector is its own, any other that of a metric asked."""
    holds(parse(query.filled))


@every_board
def test_a_variable_names_what_the_programs_serve(board):
    """A choice that no series has would be empty, and all panels with it."""
    for name, variable in variables(board).items():
        asked = LABEL_VALUES.fullmatch(filled(variable["query"]))
        tree = parse(asked["selector"])
        holds(tree)
        assert asked["label"] == name
        assert name in labels(tree)


@every_panel
def test_a_legend_names_labels_that_the_query_has(panel):
    """A label that is not there would be an empty name."""
    for target in panel["targets"]:
        told = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert told <= labels(parse(filled(target["expr"])))


@every(TABLES)
def test_a_table_has_its_columns(panel):
    """Each column is a label of a query or the value of one, and each has its own title and look."""
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


def test_every_reason_of_a_probe_has_its_word():
    """A reason without a word would be shown in the exporter's spelling and in no colour."""
    (mapping,) = palette.REASON
    assert set(mapping.options) == set(PROBE_FAILURES)
