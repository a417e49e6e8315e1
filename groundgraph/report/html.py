"""One self-contained HTML file about a run: figures, cases, scene graphs, curves, and what was left out."""

from __future__ import annotations

import base64
import io
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, features

from groundgraph.data.types import Span
from groundgraph.report.pictures import PALETTE, draw_grounding

NAMES = {
    "truth": "True boxes",
    "ours": "This method",
    "sgnls": "SGNLS rule (detector's category names, no training)",
    "wsgm": "WSGM's grounder (bipartite matching)",
    "lsws": "LSWS's grounder (linguistic structure)",
    "vspnet": "VSPNet's grounder (graph alignment)",
    "mil": "MIL alone (no teacher)",
}
COLUMNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Grounding, all",
        ("grounding", "all"),
        "Share of the captions' entities whose best region overlaps the true box by IoU 0.5 or more.",
    ),
    (
        "Grounding, ambiguous",
        ("grounding", "ambiguous"),
        "The same, over entities of whose category the image holds another object that the caption does not mean.",
    ),
    (
        "Grounding, unseen",
        ("grounding", "unseen"),
        "The same, over entities of a category that the detector was never taught.",
    ),
    (
        "R@20",
        ("sgdet", "R@20"),
        "Scene graph detection: share of an image's true triplets among its 20 best predictions; the three labels "
        "must be right and both boxes overlap theirs by IoU 0.5 or more.",
    ),
    ("R@50", ("sgdet", "R@50"), "The same, among the 50 best."),
    ("R@100", ("sgdet", "R@100"), "The same, among the 100 best."),
    ("mAP50", ("mAP50",), "Mean average precision over the categories of the graphs' boxes at IoU 0.5."),
)
LABELS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Box recall at 1",
        ("pseudo labels", "box recall@1"),
        "Over the training images' entities whose true box is known: the best region overlaps it by IoU 0.5 or more.",
    ),
    ("Box recall at 3", ("pseudo labels", "box recall@3"), "The same, for one of the three best regions."),
    (
        "Triplet precision",
        ("pseudo labels", "triplet precision"),
        "Share of the triplets for which the best regions of subject and object are both right.",
    ),
    (
        "Bound: best region",
        ("pseudo labels", "best region"),
        "What a grounder that always chose the right region would reach: some region is right.",
    ),
    (
        "Bound: better teacher",
        ("pseudo labels", "better teacher"),
        "What choosing the better of the two teachers for every entity would reach.",
    ),
)
_SHOWN = 20  # rows of a list that may be long
_CHART = (560, 200)  # px, the plotting area of a curve
_POINTS = 300  # a longer curve is averaged in steps of equal length
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Case:
    """One image and caption, with where each method sees the caption's entities.

    spans    [start, end) characters of each entity in the caption
    answers  method -> one box (xyxy in pixels of the image) or None an entity; "truth" among them
    correct  method -> whether each box is right; a method may be missing, "truth" needs none
    """

    image: Image.Image
    caption: str
    spans: list[Span]
    answers: dict[str, list[Sequence[float] | None]]
    correct: dict[str, list[bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphPicture:
    """A predicted scene graph: its picture (`draw_graph`), the image's caption, its triplets in words."""

    image: Image.Image
    caption: str
    triplets: list[str]


@dataclass(frozen=True)
class Table:
    """Anything else in rows of text, as many cells a row as columns; a cell of digits is set to the right."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    metrics  {"methods": {name: {"grounding", "sgdet", "mAP50"}}, "chance": {...}, "counts": {...}}, fractions of 1; a
             figure that is None or missing is shown as "-". chance is keyed as a method is, or by grounding group.
    seconds  stage -> duration
    curves   chart -> line -> values in order; the lines of a chart share their scale, each spans the chart's width
    skipped  (what, why)
    tables   shown in order below the figures
    """

    title: str
    metrics: dict
    config_yaml: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    graphs: list[GraphPicture] = field(default_factory=list)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def write_report(path: Path, data: ReportData) -> None:
    """Write the report as one HTML file that needs no network and runs no script; replaced in one step.

    The folder is made if missing. Raises ValueError where a case has not one answer and one verdict an entity.
    """
    path = Path(path)
    text = _environment().get_template("template.html").render(
        title=data.title,
        columns=[(name, meaning) for name, _, meaning in COLUMNS],
        rows=_headline(data.metrics),
        label_columns=[(name, meaning) for name, _, meaning in LABELS],
        label_rows=[r for r in _rows(data.metrics.get("methods", {}), LABELS) if any(text != "-" for text, _ in r[1])],
        counts=_flat(data.metrics.get("counts", {})),
        config=data.config_yaml,
        seconds=list(data.seconds.items()),
        total=sum(data.seconds.values()),
        cases=[_case(case) for case in data.cases],
        graphs=[(_embedded(g.image), g.caption, g.triplets) for g in data.graphs],
        charts=[_chart(name, lines) for name, lines in data.curves.items()],
        chart_size=_CHART,
        reasons=Counter(why for _, why in data.skipped).most_common(_SHOWN),
        skipped=data.skipped[:_SHOWN],
        skipped_total=len(data.skipped),
        tables=[(t.title, t.note, [(c, _numeric(t, i)) for i, c in enumerate(t.columns)], t.rows) for t in data.tables],
        palette=PALETTE,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _numeric(table: Table, column: int) -> bool:
    return bool(table.rows) and all(row[column].replace(",", "").isdigit() for row in table.rows)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = _duration
    return environment


def _headline(metrics: Mapping) -> list[tuple[str, list[tuple[str, bool]]]]:
    """The rows of the methods, then chance."""
    rows = _rows(metrics.get("methods", {}), COLUMNS)
    chance = metrics.get("chance") or {}
    if chance:
        chance = chance if "grounding" in chance else {**chance, "grounding": chance}
        rows.append(
            ("Chance (a region at random)", [(_percent(_figure(chance, keys)), False) for _, keys, _ in COLUMNS])
        )
    return rows


def _rows(methods: Mapping, columns: Sequence[tuple]) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Rows (name, cells (text, whether the column's best)): NAMES' methods in that order, then others."""
    order = sorted(methods, key=lambda m: list(NAMES).index(m) if m in NAMES else len(NAMES))
    figures = [[_figure(methods[m], keys) for _, keys, _ in columns] for m in order]
    # Compared as printed: two figures that read the same are both the best.
    best = [max((round(100 * v, 1) for v in column if v is not None), default=None) for column in zip(*figures)]  # noqa: B905
    return [
        (
            NAMES.get(m, m),
            [(_percent(v), v is not None and round(100 * v, 1) == b) for v, b in zip(row, best, strict=True)],
        )
        for m, row in zip(order, figures, strict=True)
    ]


def _figure(figures: Mapping, keys: Sequence[str]) -> float | None:
    for key in keys:
        figures = figures.get(key) if isinstance(figures, Mapping) else None
    return figures if isinstance(figures, (int, float)) and math.isfinite(figures) else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _flat(counts: Mapping, above: str = "") -> list[tuple[str, str]]:
    """Counts that may be nested, as rows ("images, train", "4,000")."""
    rows = []
    for key, value in counts.items():
        name = f"{above}, {key}" if above else str(key)
        if isinstance(value, Mapping):
            rows += _flat(value, name)
        else:
            whole = isinstance(value, int) and not isinstance(value, bool)
            rows.append((name.replace("_", " "), f"{value:,}" if whole else "-" if value is None else str(value)))
    return rows


def _case(case: Case) -> dict:
    """A case for the template: caption in pieces, and a picture a method with a verdict an entity."""
    entities = len(case.spans)
    for what, lists in (("boxes", case.answers), ("verdicts", case.correct)):
        for method, values in lists.items():
            if len(values) != entities:
                raise ValueError(f"case {case.caption!r}: {method} has {len(values)} {what} for {entities} entities")
    words = [case.caption[start:end] for start, end in case.spans]
    colours = [PALETTE[i % len(PALETTE)] for i in range(entities)]
    pictures = []
    for method in sorted(case.answers, key=lambda m: list(NAMES).index(m) if m in NAMES else len(NAMES)):
        boxes, right = case.answers[method], case.correct.get(method)
        name = NAMES.get(method, method)
        verdicts = (
            [] if right is None else [(w, bool(r), b is None) for w, r, b in zip(words, right, boxes, strict=True)]
        )
        found = ", ".join(w for w, b in zip(words, boxes, strict=True) if b is not None) or "none"
        picture = _embedded(draw_grounding(case.image, boxes, words, colours))
        pictures.append({"name": name, "src": picture, "alt": f"{name}: boxes for {found}", "verdicts": verdicts})
    return {"caption": case.caption, "pieces": _pieces(case.caption, case.spans), "pictures": pictures}


def _pieces(text: str, spans: Sequence[Span]) -> list[tuple[str, int | None]]:
    """The text cut at the spans: (piece, colour number or None). Of two spans that overlap, the later is not marked."""
    pieces, at = [], 0
    for start, end, number in sorted((*span, i) for i, span in enumerate(spans)):
        if start < at or end <= start:
            continue
        pieces += [(text[at:start], None), (text[start:end], number % len(PALETTE))]
        at = end
    return [piece for piece in (*pieces, (text[at:], None)) if piece[0]]


def _embedded(image: Image.Image) -> str:
    """An image as a data: address; WebP where Pillow has it, a tenth of PNG's size on such pictures."""
    buffer, kind = io.BytesIO(), "webp" if features.check("webp") else "png"
    image.convert("RGB").save(buffer, kind, quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _chart(name: str, lines: Mapping[str, Sequence[float]]) -> dict:
    """Curves as polylines of the plotting area. Values that are no numbers are left out."""
    width, height = _CHART
    kept = {label: _averaged(values) for label, values in lines.items()}
    finite = np.concatenate([np.zeros(0), *(v[np.isfinite(v)] for v in kept.values())])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    span = high - low or 1.0
    drawn = []
    for i, (label, values) in enumerate(kept.items()):
        x = np.linspace(0, width, len(values)) if len(values) > 1 else np.full(len(values), width / 2)
        real = np.isfinite(values)
        y = height - (values - low) / span * height
        drawn.append(
            {
                "label": label,
                "points": " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[real], y[real], strict=True)),
                "colour": PALETTE[(i + 1) % len(PALETTE)],
                "dash": _DASHES[i % len(_DASHES)],
                "ends": tuple(f"{v:.3g}" for v in (values[real][0], values[real][-1])) if real.any() else None,
                "values": len(lines[label]),
            }
        )
    return {"name": name, "low": f"{low:.3g}", "high": f"{high:.3g}", "lines": drawn}


def _averaged(values: Sequence[float]) -> np.ndarray:
    values = np.array([math.nan if v is None else v for v in values], float)
    if len(values) <= _POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, _POINTS)])


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
