"""What a query consists of: its nodes with those above them, its selectors, and the labels its series can have."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser

from tests.deploy.shipped import stated

CLIENT = {"process_resident_memory_bytes": {"job", "instance"}}
"""Metrics of client_python that the dashboards show."""
SHARD = {"shard"}
"""What the scrape adds to the series of exporters that divide their targets."""


@cache
def parse(expr: str) -> Any:
    """Return a query's tree; ValueError when it is not PromQL."""
    return promql_parser.parse(expr)


def nodes(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every node with those above it, the nearest first."""
    yield node, above
    below = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector", "param")]
    for each in [*below, *(getattr(node, "args", None) or [])]:
        if each is not None:
            yield from nodes(each, (node, *above))


def selectors(tree: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every selector with the nodes above it."""
    return ((node, above) for node, above in nodes(tree) if isinstance(node, promql_parser.VectorSelector))


def matchers(selector: Any) -> dict[str, str]:
    """Return a selector's matchers as label to operator and value."""
    operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    return {each.name: operators[str(each.op).split(".")[1]] + each.value for each in selector.matchers.matchers}


def names(selector: Any) -> list[str]:
    """Return the metrics that a selector asks for."""
    return [selector.name] if selector.name else matchers(selector)["__name__"].removeprefix("=~").split("|")


@cache
def served() -> dict[str, set[str]]:
    """Return every metric that the programs serve, with its labels."""
    return stated() | CLIENT


def labels(tree: Any) -> set[str]:
    """Return every label that something in the query has, those it makes itself included."""
    found = {label for selector, _ in selectors(tree) for name in names(selector) for label in served()[name]}
    return found | {node.args[1].val for node, _ in nodes(tree) if is_call(node, "label_replace")}


def asked_labels(tree: Any) -> set[str]:
    """Return every label that the query groups, joins or copies by."""
    found: set[str] = set()
    for node, _ in nodes(tree):
        modifier = getattr(node, "modifier", None)
        matching = getattr(modifier, "matching", None)
        found |= set(getattr(modifier, "labels", None) or ()) | set(getattr(matching, "labels", None) or ())
        found |= set(getattr(modifier, "group_labels", None) or ())
        if is_call(node, "label_replace") and node.args[3].val:
            found.add(node.args[3].val)
    return found


def is_call(node: Any, *functions: str) -> bool:
    """Return whether a node calls one of these functions."""
    return isinstance(node, promql_parser.Call) and node.func.name in functions
