"""One self-contained HTML file about a run: figures, cases, scene graphs, curves, and what was left out."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from groundgraph.data.files import write_text
from groundgraph.errors import InputError
from groundgraph.report.cases import Case, case_record, fractions, picture_record
from groundgraph.report.charts import PredicateRecall, chart_record, predicate_record
from groundgraph.report.pictures import PALETTE, ink, numbered

NAMES = {
    "truth": "True boxes",
    "ours": "This method",
    "sgnls": "SGNLS rule (detector's category names, no training)",
    "wsgm": "WSGM's grounder (bipartite matching)",
    "lsws": "LSWS's grounder (linguistic structure)",
    "vspnet": "VSPNet's grounder (graph alignment)",
    "mil": "MIL alone (no teacher)",
    "full": "Full supervision (annotated boxes: the upper bound)",
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
_HERE = Path(__file__).parent
_LIBRARIES = (("Cytoscape.js", "cytoscape"), ("Chart.js", "chart"))


@dataclass(frozen=True)
class GraphPicture:
    """A predicted scene graph (as `graph_json` gives it) with its image and a caption."""

    image: Image.Image
    caption: str
    graph: dict


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
             figure that is None or missing is shown as "-", a row or column of none is left out, and "notes" says why.
             chance is keyed as a method is, or by grounding group.
    seconds  stage -> duration
    curves   chart -> line -> values in order; the lines of a chart share their scale, each spans the chart's width
    skipped  (what, why)
    tables   shown in order below the figures
    cases_note, graphs_note  where the images are from and how they were chosen
    predicates  each predicate's recall
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
    cases_note: str = ""
    graphs_note: str = ""
    predicates: PredicateRecall | None = None


def write_report(path: Path, data: ReportData) -> None:
    """Write the report as one HTML file that needs no network; replaced in one step.

    Its scripts (the two libraries under vendor/ and report.js) are in the file and are the only ones that its
    Content-Security-Policy lets run; what they show is one block of JSON, from which they make text, never markup.
    The folder is made if missing. Raises InputError where a case has not one answer and one verdict an entity.
    """
    path = Path(path)
    charts = [chart_record(name, lines) for name, lines in data.curves.items()]
    predicates = predicate_record(data.predicates, NAMES) if data.predicates else None
    content = {
        "names": NAMES,
        "palette": PALETTE,
        "cases": [case_record(case) for case in data.cases],
        "graphs": [_graph(picture) for picture in data.graphs],
        "charts": charts,
        "predicates": predicates,
    }
    scripts = [_script(name) for name in ("vendor/cytoscape.min.js", "vendor/chart.umd.min.js", "report.js")]
    methods = data.metrics.get("methods", {})
    columns, rows = _shown(COLUMNS, _headline(data.metrics))
    label_columns, label_rows = _shown(LABELS, _rows(methods, LABELS))
    text = _environment().get_template("template.html").render(
        title=data.title,
        columns=columns,
        rows=rows,
        notes=data.metrics.get("notes", []),
        label_columns=label_columns,
        label_rows=label_rows,
        counts=_flat(data.metrics.get("counts", {})),
        config=data.config_yaml,
        seconds=list(data.seconds.items()),
        total=sum(data.seconds.values()),
        cases=len(data.cases),
        cases_note=data.cases_note,
        graphs=len(data.graphs),
        graphs_note=data.graphs_note,
        charts=charts,
        predicates=predicates,
        reasons=Counter(why for _, why in data.skipped).most_common(_SHOWN),
        skipped=data.skipped[:_SHOWN],
        skipped_total=len(data.skipped),
        tables=[(t.title, t.note, [(c, _numeric(t, i)) for i, c in enumerate(t.columns)], t.rows) for t in data.tables],
        palette=[(colour, ink(colour)) for colour in PALETTE],
        style=Markup(_text("report.css")),
        content=_embedded(content),
        scripts=[script for script, _ in scripts],
        hashes=" ".join(f"'sha256-{digest}'" for _, digest in scripts),
        licences=[(name, _text(f"vendor/{file}.LICENSE")) for name, file in _LIBRARIES],
    )  # fmt: skip
    write_text(path, text)


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _script(name: str) -> tuple[Markup, str]:
    """One of our script files as it is put into the page, and its hash for the policy."""
    lines = _text(name).split("\n")
    # A source map is another file, which the page does not have.
    text = "\n".join(line for line in lines if not line.startswith("//# sourceMappingURL"))
    if "</script" in text.lower() or "<!--" in text:
        raise InputError(f"{name} cannot be put into a page: it holds a tag that ends or hides a script")
    return Markup(text), base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(content: Any) -> Markup:
    """JSON that cannot end the script element it stands in, whatever the captions say."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _graph(picture: GraphPicture) -> dict[str, Any]:
    objects, relations = picture.graph["objects"], picture.graph["relations"]
    return {
        **picture_record(picture.image),
        "caption": picture.caption,
        "names": numbered([item["category"] for item in objects]),
        "scores": [item["score"] for item in objects],
        "boxes": [fractions(item["box"], picture.image.size) for item in objects],
        "relations": [[r["subject"], r["predicate"], r["object"], r["score"]] for r in relations],
    }


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


def _shown(columns: Sequence[tuple], rows: Sequence[tuple]) -> tuple[list[tuple[str, str]], list[tuple]]:
    """(name, meaning) of the columns that hold a figure, and the rows that do, without the other columns."""
    kept = [i for i in range(len(columns)) if any(cells[i][0] != "-" for _, cells in rows)]
    left = [(name, [cells[i] for i in kept]) for name, cells in rows]
    named = [(name, meaning) for name, _, meaning in columns]
    return [named[i] for i in kept], [row for row in left if any(text != "-" for text, _ in row[1])]


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


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
