"""A table as a picture: a dot with its interval for every row and figure, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundgraph.data.files import atomic_write
from groundgraph.study.plan import TableSpec
from groundgraph.study.statistics import Estimate
from groundgraph.study.tables import Line, Results, lines
from groundgraph.study.writing import MODEL_TITLES, SETTING_TITLES


def plot_table(path: Path, spec: TableSpec, results: Results) -> bool:
    """Write a table's plot: a panel a setting and SGG model, a line a method, a colour a figure.

    Returns:
        Whether there was anything to show.
    """
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines(spec, results):
        if any(line.estimates.values()):
            groups.setdefault((line.row.setting, line.row.model), []).append(line)
    if not groups:
        return False
    models = list(dict.fromkeys(model for _, model in groups))
    settings = list(dict.fromkeys(setting for setting, _ in groups))
    tallest = max(map(len, groups.values()))
    size = (1.6 + 2.9 * len(settings), 0.9 + len(models) * (0.6 + 0.15 * tallest * min(len(spec.metrics), 2)))
    with _figure(path, size, spec.title) as figure:
        panels = figure.subplots(len(models), len(settings), squeeze=False, sharex=True)
        for i, model in enumerate(models):
            for j, setting in enumerate(settings):
                _draw(panels[i, j], groups.get((setting, model), []), spec.metrics)
                kind = f", {MODEL_TITLES[model]}" if spec.modelled else ""
                panels[i, j].set_title(SETTING_TITLES[setting] + kind, fontsize=9)
        for panel in panels[-1]:
            panel.set_xlabel("per cent" if len(spec.metrics) > 1 else f"{spec.metrics[0]}, per cent")
        if len(spec.metrics) > 1:
            _legend(figure, panels[0, 0])
    return True


def plot_curves(path: Path, specs: Sequence[TableSpec], results: Results) -> bool:
    """Write the curves of the tables that have some: a column of panels a table, a row a figure, a line a method.

    Returns:
        Whether there was anything to show.
    """
    specs = [spec for spec in specs if spec.curves]
    drawn = {spec.name: [line for line in lines(spec, results) if any(line.estimates.values())] for spec in specs}
    if not any(drawn.values()):
        return False
    metrics = list(dict.fromkeys(metric for spec in specs for metric in spec.curves))
    with _figure(path, (1 + 2.4 * len(specs), 0.8 + 2 * len(metrics)), specs[0].title.partition(":")[0]) as figure:
        panels = figure.subplots(len(metrics), len(specs), squeeze=False, sharex=True, sharey="row")
        for j, spec in enumerate(specs):
            panels[0, j].set_title(spec.title.partition(": ")[2], fontsize=9)
            panels[-1, j].set_xlabel("kinds that the detector knows")
            for i, metric in enumerate(metrics):
                _draw_curves(panels[i, j], drawn[spec.name], metric)
        for panel, metric in zip(panels[:, 0], metrics, strict=True):
            panel.set_ylabel(f"{metric}, per cent")
        _legend(figure, panels[0, 0])
    return True


def _draw_curves(panel: Any, table_lines: Sequence[Line], metric: str) -> None:
    methods: dict[str, list[tuple[float, Estimate]]] = {}
    for line in table_lines:
        if line.row.condition and (estimate := line.estimates[metric]) is not None:
            methods.setdefault(line.row.variant.title, []).append((line.row.condition.value, estimate))
    for title, points in methods.items():
        values = [value for value, _ in points]
        means, halves = [e.mean for _, e in points], [e.half or 0.0 for _, e in points]
        panel.errorbar(values, means, yerr=halves, fmt="o-", markersize=3.5, capsize=2, linewidth=1, label=title)
    panel.set_xticks(sorted({value for points in methods.values() for value, _ in points}))
    panel.grid(axis="y", linewidth=0.4, alpha=0.5)
    panel.spines[["top", "right"]].set_visible(False)


@contextmanager
def _figure(path: Path, size: tuple[float, float], title: str) -> Iterator[Any]:
    """A figure to draw in, written as SVG at the end: its text stays text, and the same figures give the same file."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "groundgraph", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        with atomic_write(path) as temporary:
            FigureCanvasSVG(figure).print_svg(temporary, metadata={"Date": None, "Title": title})


def _legend(figure: Any, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def _draw(panel: Any, table_lines: Sequence[Line], metrics: tuple[str, ...]) -> None:
    step = 0.7 / len(metrics)
    for k, metric in enumerate(metrics):
        shift = (k - (len(metrics) - 1) / 2) * step
        points = [(i + shift, e) for i, line in enumerate(table_lines) if (e := line.estimates[metric]) is not None]
        panel.errorbar(
            [value.mean for _, value in points],
            [height for height, _ in points],
            xerr=[value.half or 0.0 for _, value in points],
            fmt="o",
            markersize=3.5,
            capsize=2,
            linewidth=1,
            label=metric,
        )
    panel.set_yticks(range(len(table_lines)), [line.row.variant.title for line in table_lines])
    panel.set_ylim(len(table_lines) - 0.5, -0.5)
    panel.grid(axis="x", linewidth=0.4, alpha=0.5)
    panel.spines[["top", "right"]].set_visible(False)
