"""The variables of every dashboard, and those that depend on them."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableOption, VariableRefresh, VariableSort

from grafana.queries import EVERYWHERE

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")


def datasource() -> DatasourceVariable:
    """Return the variable for the Prometheus data source."""
    chosen = VariableOption(selected=True, text="default", value="default")
    return DatasourceVariable("datasource").label("Data source").type("prometheus").current(chosen)


def job(metrics: Sequence[str]) -> QueryVariable:
    """Return the variable for the jobs whose programs serve one of these metrics."""
    return _query("job", "Job", f"label_values({_any(metrics)}, job)")


def instance(metrics: Sequence[str]) -> QueryVariable:
    """Return the variable for the instances of those jobs."""
    chosen = _any(metrics, 'job=~"$job"')
    return _query("instance", "Instance", f"label_values({chosen}, instance)")


def _any(metrics: Sequence[str], *matchers: str) -> str:
    names = "|".join(metrics)
    return "{" + ", ".join((f'__name__=~"{names}"', *matchers)) + "}"


def chained(name: str, metric: str, *matchers: str) -> QueryVariable:
    """Return the variable for a label's values, restricted by job, instance and the matchers."""
    selector = ", ".join((EVERYWHERE, *matchers))
    return _query(name, name.capitalize(), f"label_values({metric}{{{selector}}}, {name})")


def _query(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".+")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
