"""The kinds of panels. Each has a title, a description, queries and their unit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    HideSeriesConfig,
    ReduceDataOptions,
    StackingConfig,
    TableSortByFieldState,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.builders.heatmap import HeatmapColorOptions, YAxisConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard, prometheus
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue, ValueMapping

from grafana.palette import GOOD, SERIES, Step, steps, unknown
from grafana.variables import PROMETHEUS

Panel = Builder[dashboard.Panel]
UNKNOWN: Final = "unknown: no data"
AS_ABOVE: Final = "While the numbers at the top are unknown, so is this."
NOTHING: Final = "-"
LEAST_TOP: Final = {**dict.fromkeys(("short", "cpm", "epm", "reqpm"), 1), "percentunit": 0.05, "s": 0.01}
"""By unit, the least upper end of an axis: with only zeroes it would otherwise be 100, or 10,000 %."""


class _Dressed(Protocol):
    """The methods of every kind of panel."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: dashboard.DataSourceRef) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def no_value(self, no_value: str) -> Self: ...
    def with_target(self, target: Dataquery) -> Self: ...


Kind = TypeVar("Kind", bound=_Dressed)


@dataclass(frozen=True, slots=True)
class Text:
    """A panel's title and description, and the text that it shows without data."""

    title: str
    description: str
    empty: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class Size:
    """Columns of 24, and rows of about 30 pixels."""

    width: int
    height: int


SMALL: Final = Size(3, 4)


@dataclass(frozen=True, slots=True)
class Look:
    """The presentation of a value: its unit, thresholds with their colours, words for some values, and a link."""

    unit: str = "none"
    above: Sequence[Step] = ()
    lowest: str = GOOD
    words: Sequence[ValueMapping] = ()
    decimals: int | None = None
    named: Sequence[str] = ()
    """Series with a fixed colour in the palette."""
    link: str = ""
    """The name of the dashboard with details."""


PLAIN: Final = Look(unit="string")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. `name`: a label, or "Value #" and the query's name."""

    name: str
    title: str
    look: Look = PLAIN
    width: int = 0
    bar: bool = False
    """Whether to draw a bar beside the value."""
    url: str = ""
    """The link of a cell; other cells of the row are `${__data.fields.TITLE}`."""
    hint: str = ""
    """The title of the link."""


def query(expr: str, legend: str = "__auto", name: str = "A", *, now: bool = False, rows: bool = False) -> Dataquery:
    """Return a range query. `now`: an instant query instead; `rows`: formatted as a table."""
    target = Dataquery().expr(expr).legend_format(legend).ref_id(name).datasource(PROMETHEUS)
    target = target.instant() if now else target.range()
    shape = prometheus.PromQueryFormat.TABLE if rows else prometheus.PromQueryFormat.TIME_SERIES
    return target.editor_mode(prometheus.QueryEditorMode.CODE).format(shape)


def href(name: str) -> str:
    """Return the link to another of these dashboards, with this one's time range and data source."""
    return f"/d/vendorwatch-{name}?${{__url_time_range}}&${{datasource:queryparam}}"


def stat_of(text: Text, expr: str, look: Look, size: Size = SMALL) -> Panel:
    """Return one big number, or its word, on a coloured background."""
    panel = _dress(stat.Panel(), text, [query(expr, now=True)], size, look.unit)
    panel.thresholds(steps(look.above, look.lowest)).mappings(list(look.words))
    panel.color_mode(common.BigValueColorMode.BACKGROUND_SOLID).graph_mode(common.BigValueGraphMode.NONE)
    panel.text_mode(common.BigValueTextMode.VALUE).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    if look.decimals is not None:
        panel.decimals(look.decimals)
    if look.link:
        panel.override_by_regexp(".*", [_links(href(look.link), "More")])
    return panel


def lines(text: Text, queries: Sequence[Dataquery], look: Look, size: Size, *, stacked: bool = False) -> Panel:
    """Return values over time, as lines or as stacked bars."""
    panel = _dress(timeseries.Panel(), text, queries, size, look.unit)
    panel.min(0).thresholds(steps(look.above, look.lowest))
    panel.color_scheme(FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
    panel.legend(_legend()).tooltip(_tooltip())
    for name in look.named:
        fixed = {"mode": "fixed", "fixedColor": SERIES[name]}
        panel.override_by_regexp(f"/(^|: ){name}$/", [DynamicConfigValue("color", fixed)])
    panel.show_points(common.VisibilityMode.AUTO).line_width(2).fill_opacity(60 if stacked else 0)
    if stacked:
        panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL)).draw_style(common.GraphDrawStyle.BARS)
    if look.above:
        panel.thresholds_style(_dashes())
    if look.unit in LEAST_TOP:
        panel.axis_soft_max(LEAST_TOP[look.unit])
    if look.decimals is not None:
        panel.decimals(look.decimals)
    return panel


def timeline(text: Text, expr: str, legend: str, words: Sequence[ValueMapping], size: Size) -> Panel:
    """Return the states of each series over time, as labelled bars."""
    panel = _dress(statetimeline.Panel(), text, [query(expr, legend)], size, "none")
    panel.mappings(list(words)).thresholds(steps(())).merge_values(merge_values=True)
    panel.show_value(common.VisibilityMode.AUTO).row_height(0.85).fill_opacity(85).line_width(0).per_page(20)
    return panel.legend(VizLegendOptions().show_legend(show_legend=False)).tooltip(_tooltip())


def latencies(text: Text, expr: str, size: Size) -> Panel:
    """Return a heatmap of a histogram's buckets, in one hue from dark to light."""
    target = query(expr, "{{le}}").format(prometheus.PromQueryFormat.HEATMAP)
    panel = _dress(heatmap.Panel(), text, [target], size, "s")
    colours = HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
    panel.color(colours.reverse(reverse=False).exponent(0.5).fill(GOOD))
    panel.y_axis(YAxisConfig().unit("s").axis_placement(common.AxisPlacement.LEFT))
    panel.hide_from(HideSeriesConfig().tooltip(tooltip=False).legend(legend=False).viz(viz=False))
    return panel.calculate(calculate=False).cell_gap(1).show_legend()


def table_of(text: Text, queries: Mapping[str, str], columns: Sequence[Column], size: Size, sort: str = "") -> Panel:
    """Return rows joined from these queries by their labels. `sort`: a column's title; "-Title" sorts descending."""
    targets = [query(expr, name=name, now=True, rows=True) for name, expr in queries.items()]
    panel = _dress(table.Panel(), text, targets, size, "string")
    panel.transformations(_arranged(columns))
    panel.thresholds(steps(())).filterable(filterable=True).cell_options(common.TableAutoCellOptions())
    for column in columns:
        panel.override_by_name(column.title, list(_cells(column)))
    if sort:
        panel.sort_by([TableSortByFieldState().display_name(sort.removeprefix("-")).desc(desc=sort.startswith("-"))])
    return panel


def _dress(panel: Kind, text: Text, queries: Sequence[Dataquery], size: Size, unit: str) -> Kind:
    panel.title(text.title).description(text.description).datasource(PROMETHEUS).span(size.width).height(size.height)
    empty = text.empty if text.empty == UNKNOWN or isinstance(panel, stat.Panel) else f"{text.empty} {AS_ABOVE}"
    panel.unit(unit).no_value(empty)
    for target in queries:
        panel.with_target(target)
    return panel


def _legend() -> VizLegendOptions:
    shown = VizLegendOptions().show_legend(show_legend=True).display_mode(common.LegendDisplayMode.LIST)
    return shown.placement(common.LegendPlacement.BOTTOM)


def _tooltip() -> VizTooltipOptions:
    return VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)


def _dashes() -> GraphThresholdsStyleConfig:
    return GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)


def _arranged(columns: Sequence[Column]) -> list[DataTransformerConfig]:
    """Join the queries' rows by their labels, keep only the columns, and order and rename them."""
    names = [column.name for column in columns]
    order: dict[str, object] = {
        "indexByName": {name: place for place, name in enumerate(names)},
        "renameByName": {column.name: column.title for column in columns},
        "excludeByName": {},
    }
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": names}}),
        DataTransformerConfig(id_val="organize", options=order),
    ]


def _cells(column: Column) -> Iterator[DynamicConfigValue]:
    """Yield the overrides for the cells of a column."""
    look = column.look
    yield DynamicConfigValue("unit", look.unit)
    yield DynamicConfigValue("noValue", NOTHING)
    if look.above:
        yield DynamicConfigValue("thresholds", steps(look.above, look.lowest).build())
    if look.words or look.above:
        yield DynamicConfigValue("mappings", [*look.words, unknown(NOTHING)])
    if column.bar:
        yield DynamicConfigValue("min", 0)
        yield DynamicConfigValue("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
    elif look.above or look.words:
        yield DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
    if look.decimals is not None:
        yield DynamicConfigValue("decimals", look.decimals)
    if column.width:
        yield DynamicConfigValue("custom.width", column.width)
    if column.url:
        yield _links(column.url, column.hint)


def _links(url: str, title: str) -> DynamicConfigValue:
    return DynamicConfigValue("links", [{"title": title, "url": url, "targetBlank": url.startswith("http")}])
