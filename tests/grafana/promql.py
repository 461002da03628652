"""The parts of a PromQL query: its nodes, its selectors, and the labels that its series can have."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser

from tests.deploy.shipped import stated

CLIENT = {"process_resident_memory_bytes": {"job", "instance"}}
"""Metrics of prometheus_client that the dashboards show."""
SHARD = {"shard"}
"""The label that the scrape configuration sets on exporters that divide their targets."""


@cache
def parse(expr: str) -> Any:
    """Return a query's syntax tree; raise ValueError if it is not PromQL."""
    return promql_parser.parse(expr)


def nodes(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every node with its ancestors, the parent first."""
    yield node, above
    below = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector", "param")]
    for each in [*below, *(getattr(node, "args", None) or [])]:
        if each is not None:
            yield from nodes(each, (node, *above))


def selectors(tree: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every selector with its ancestors."""
    return ((node, above) for node, above in nodes(tree) if isinstance(node, promql_parser.VectorSelector))


def matchers(selector: Any) -> dict[str, str]:
    """Return a selector's matchers as label to operator and value."""
    operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    return {each.name: operators[str(each.op).split(".")[1]] + each.value for each in selector.matchers.matchers}


def names(selector: Any) -> list[str]:
    """Return the metrics that a selector names."""
    return [selector.name] if selector.name else matchers(selector)["__name__"].removeprefix("=~").split("|")


@cache
def served() -> dict[str, set[str]]:
    """Return every metric that the programs serve, with its labels."""
    return stated() | CLIENT


def labels(tree: Any) -> set[str]:
    """Return every label that a metric of the query has, or that the query adds."""
    found = {label for selector, _ in selectors(tree) for name in names(selector) for label in served()[name]}
    return found | {node.args[1].val for node, _ in nodes(tree) if is_call(node, "label_replace")}


def used_labels(tree: Any) -> set[str]:
    """Return every label by which the query groups or joins, or that it copies."""
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
