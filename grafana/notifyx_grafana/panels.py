"""The kinds of panels that the dashboard has: a number, a graph, a table."""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from notifyx_grafana.queries import in_namespace

Colour = Literal["green", "orange", "red"]
Limit = tuple[float, Colour]
"""From this value on it has this colour."""

SOURCE = looks.DataSourceRef(type_val="prometheus", uid="${datasource}")
COUNT, SECONDS, SHARE = "short", "s", "percentunit"
REQUESTS, MESSAGES, EVENTS = "reqps", "mps", "ops"
"""Units by Grafana's names. The last three are per second."""

IDLE = model.SpecialValueMap(
    model.DashboardSpecialValueMapOptions(model.SpecialValueMatch.NULL_AND_NAN, model.ValueMappingResult(text="-"))
)
"""What a table shows where nothing happened, so that there is no share and no quantile of it."""

_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel, table.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL without a namespace, and what its series are called: ``{{label}}`` stands for the value of a label."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel(ABC):
    """What every panel has.

    ``number`` is its own within the row for ever; ``why`` is one sentence for who sees it for the first time;
    ``width`` is in 24ths of the page; ``limits`` follow each other upwards, and below them it is ``below``;
    ``nothing`` is said where there are no series.
    """

    number: int
    title: str
    why: str
    queries: tuple[Query, ...]
    unit: str = COUNT
    width: int = 8
    height: int = 8
    below: Colour = "green"
    limits: tuple[Limit, ...] = ()
    nothing: str = "No data"

    @abstractmethod
    def builder(self, identifier: int) -> Builder[model.Panel]:
        """The panel for Grafana, under that id."""

    def _dressed(self, panel: _Panel, identifier: int) -> _Panel:
        for reference, query in zip(string.ascii_uppercase, self.queries, strict=False):
            panel.with_target(self._target(query).ref_id(reference))
        return (
            panel.id(identifier)
            .title(self.title)
            .description(self.why)
            .datasource(SOURCE)
            .unit(self.unit)
            .no_value(self.nothing)
            .thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(self._steps()))
            .span(self.width)
            .height(self.height)
        )

    def _target(self, query: Query) -> prometheus.Dataquery:
        target = prometheus.Dataquery().datasource(SOURCE).expr(in_namespace(query.expression))
        return target.legend_format(query.legend).range()

    def _steps(self) -> list[model.Threshold]:
        return [model.Threshold(None, self.below), *(model.Threshold(value, colour) for value, colour in self.limits)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Panel):
    """How it is now: a number for each series, coloured where there are limits."""

    width: int = 4
    height: int = 4

    def builder(self, identifier: int) -> stat.Panel:
        """See :class:`Panel`."""
        named = any("{{" in query.legend for query in self.queries) or len(self.queries) > 1
        return (
            self._dressed(stat.Panel(), identifier)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .graph_mode(looks.BigValueGraphMode.NONE)
            .text_mode(looks.BigValueTextMode.VALUE_AND_NAME if named else looks.BigValueTextMode.VALUE)
            .color_mode(looks.BigValueColorMode.VALUE if self.limits else looks.BigValueColorMode.NONE)
        )

    def _target(self, query: Query) -> prometheus.Dataquery:
        # Of this moment: a value that is no longer reported is not shown as if it were.
        return Panel._target(self, query).instant()  # noqa: SLF001 - its base; a class with slots has no bare super()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(Panel):
    """How it went: a line for each series, stacked where they add up to something, with the limits as lines."""

    stacked: bool = False

    def builder(self, identifier: int) -> timeseries.Panel:
        """See :class:`Panel`."""
        panel = (
            self._dressed(timeseries.Panel(), identifier)
            .min(0)
            .fill_opacity(30 if self.stacked else 8)
            .show_points(looks.VisibilityMode.NEVER)
            .legend(
                common.VizLegendOptions()
                .show_legend(True)
                .display_mode(looks.LegendDisplayMode.LIST)
                .placement(looks.LegendPlacement.BOTTOM)
            )
            .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
        )
        if self.limits:
            mode = looks.GraphThresholdsStyleMode.DASHED
            panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(mode))
        if self.stacked:
            panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
        return panel


@dataclass(frozen=True, slots=True)
class Column:
    """A query of a table: its title, and the unit and the limits of its values."""

    title: str
    expression: str
    unit: str
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """How it is now, a line for each set of ``labels``; the first of ``columns`` says which line is on top."""

    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    queries: tuple[Query, ...] = ()
    width: int = 16
    height: int = 10

    def builder(self, identifier: int) -> table.Panel:
        """See :class:`Panel`."""
        panel = self._dressed(table.Panel(), identifier)
        lettered = dict(zip(string.ascii_uppercase, self.columns, strict=False))
        for letter, column in lettered.items():
            target = self._target(Query(column.expression, "")).format(PromQueryFormat.TABLE).instant()
            panel.with_target(target.ref_id(letter))
            panel.override_by_name(column.title, _column_looks(column))
        names = {f"Value #{letter}": column for letter, column in lettered.items()}
        order = {name: place for place, name in enumerate((*self.labels, *names))}
        renamed = {name: column.title for name, column in names.items()}
        renamed |= {label: label.capitalize() for label in self.labels}
        arrange = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": renamed}
        top = common.TableSortByFieldState().display_name(self.columns[0].title).desc(True)
        return (
            panel.with_transformation(model.DataTransformerConfig("merge", options={}))
            .with_transformation(model.DataTransformerConfig("organize", options=arrange))
            .mappings([IDLE])
            .sort_by([top])
        )


def _column_looks(column: Column) -> list[model.DynamicConfigValue]:
    looks_like = [model.DynamicConfigValue("unit", column.unit), model.DynamicConfigValue("custom.width", 120)]
    if column.limits:
        base: list[dict[str, object]] = [{"value": None, "color": "green"}]
        steps = base + [{"value": value, "color": colour} for value, colour in column.limits]
        looks_like += [
            model.DynamicConfigValue("thresholds", {"mode": "absolute", "steps": steps}),
            model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    return looks_like


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the page; ``number`` is its own for ever, and the hundreds of its panels' ids."""

    number: int
    title: str
    panels: tuple[Panel, ...]

    def identifier(self, panel: Panel) -> int:
        """The id of ``panel`` on the dashboard."""
        return self.number * 100 + panel.number
