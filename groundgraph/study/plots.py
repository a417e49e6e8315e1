"""A table as a picture: a dot with its interval for every row and figure, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.files import atomic_write
from groundgraph.study.plan import TableSpec
from groundgraph.study.tables import Line, Results, lines
from groundgraph.study.writing import MODEL_TITLES, SETTING_TITLES


def plot_table(path: Path, spec: TableSpec, results: Results) -> bool:
    """Write a table's plot: a panel a setting and SGG model, a line a method, a colour a figure.

    The text stays text; the same figures give the same file.

    Returns:
        Whether there was anything to show.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines(spec, results):
        if any(line.estimates.values()):
            groups.setdefault(line.row.group, []).append(line)
    if not groups:
        return False
    models = list(dict.fromkeys(model for _, model in groups))
    settings = list(dict.fromkeys(setting for setting, _ in groups))
    tallest = max(map(len, groups.values()))
    with matplotlib.rc_context({"svg.hashsalt": "groundgraph", "svg.fonttype": "none", "font.size": 9}):
        size = (1.6 + 2.9 * len(settings), 0.9 + len(models) * (0.6 + 0.15 * tallest * min(len(spec.metrics), 2)))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(models), len(settings), squeeze=False, sharex=True)
        for i, model in enumerate(models):
            for j, setting in enumerate(settings):
                _draw(panels[i, j], groups.get((setting, model), []), spec.metrics)
                kind = f", {MODEL_TITLES[model]}" if spec.modelled else ""
                panels[i, j].set_title(SETTING_TITLES[setting] + kind, fontsize=9)
        for panel in panels[-1]:
            panel.set_xlabel("per cent" if len(spec.metrics) > 1 else f"{spec.metrics[0]}, per cent")
        if len(spec.metrics) > 1:
            handles, labels = panels[0, 0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        with atomic_write(path) as temporary:
            FigureCanvasSVG(figure).print_svg(temporary, metadata={"Date": None, "Title": spec.title})
    return True


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
