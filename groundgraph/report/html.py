"""One self-contained HTML file about a run: figures, cases, scene graphs, curves, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from groundgraph.data.files import write_text
from groundgraph.report.cases import Case, case_record, graph_values, picture_record
from groundgraph.report.charts import PredicateRecall, chart_record, predicate_record, reliability_records
from groundgraph.report.embedding import embedded, file_text, script, templates
from groundgraph.report.pictures import PALETTE, ink
from groundgraph.report.tables import HEADLINE, PSEUDO_LABELS, SCORES, count_rows, metric_table

_SHOWN = 20  # rows of a list that may be long
_LIBRARIES = (("Cytoscape.js", "cytoscape"), ("Chart.js", "chart"))


@dataclass(frozen=True)
class GraphPicture:
    """A predicted scene graph on its image.

    Attributes:
        image: the image.
        caption: the words below it.
        graph: as `graph_json` gives it.
    """

    image: Image.Image
    caption: str
    graph: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Anything else in rows of text.

    Attributes:
        title: above it.
        note: a sentence on it.
        columns: their heads; a column of digits is set to the right.
        rows: as many cells a row as columns.
    """

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Attributes:
        title: of the page.
        metrics: {"methods": {name: {"grounding", "sgdet", "mAP50"}}, "chance": {...}, "counts": {...}}, fractions of
            1; a metric that is None or missing is shown as "-", a row or column of none is left out, and "notes" says
            why. chance is keyed as a method is, or by grounding group.
        methods: what each method is called, in the tables' order; one that is not here goes by its name.
        config_yaml: the recipe.
        seconds: stage -> duration.
        cases: captions whose words are explained.
        graphs: scene graphs on their images.
        curves: chart -> line -> values in order; the lines of a chart share their scale, each spans the chart's width.
        skipped: (what, why) of what was left out.
        tables: shown in order below the metrics.
        cases_note: where the cases' images are from and how they were chosen.
        graphs_note: likewise of the graphs.
        predicates: each predicate's recall.
    """

    title: str
    metrics: dict[str, Any]
    methods: dict[str, str] = field(default_factory=dict)
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

    Args:
        path: the file; its folder is made if missing.
        data: what it shows.

    Raises:
        InputError: where a case has not one answer and one verdict an entity.
    """
    path = Path(path)
    titles = {"truth": "True boxes", **data.methods}
    charts = [chart_record(name, lines) for name, lines in data.curves.items()]
    predicates = predicate_record(data.predicates, titles) if data.predicates else None
    content = {
        "names": titles,
        "palette": PALETTE,
        "cases": [case_record(case) for case in data.cases],
        "graphs": [_graph(picture) for picture in data.graphs],
        "charts": charts,
        "predicates": predicates,
    }
    scripts = [script(name) for name in ("vendor/cytoscape.min.js", "vendor/chart.umd.min.js", "report.js")]
    methods = data.metrics.get("methods", {})
    columns, rows = metric_table(HEADLINE, methods, titles, data.metrics.get("chance"))
    label_columns, label_rows = metric_table(PSEUDO_LABELS, methods, titles)
    score_columns, score_rows = metric_table(SCORES, methods, titles)
    text = templates().get_template("template.html").render(
        title=data.title,
        columns=columns,
        rows=rows,
        notes=data.metrics.get("notes", []),
        label_columns=label_columns,
        label_rows=label_rows,
        score_columns=score_columns,
        score_rows=score_rows,
        reliability=reliability_records(methods, titles),
        counts=count_rows(data.metrics.get("counts", {})),
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
        style=Markup(file_text("report.css")),
        content=embedded(content),
        scripts=[script for script, _ in scripts],
        hashes=" ".join(f"'sha256-{digest}'" for _, digest in scripts),
        licences=[(name, file_text(f"vendor/{file}.LICENSE")) for name, file in _LIBRARIES],
    )  # fmt: skip
    write_text(path, text)


def _graph(picture: GraphPicture) -> dict[str, Any]:
    """The picture and its graph in plain values for the page's script."""
    values = graph_values(picture.graph, picture.image.size)
    return {**picture_record(picture.image), "caption": picture.caption, **values}


def _numeric(table: Table, column: int) -> bool:
    return bool(table.rows) and all(row[column].replace(",", "").isdigit() for row in table.rows)
