"""`groundgraph parse` and `evaluate-parser`: captions to graphs, and how well."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from groundgraph.cli.common import console
from groundgraph.terminal import Console, print_json

ParserOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="A parser's name, or what a recipe's parser says: '{name: seq2seq, model: FOLDER}'."
    ),
]


def parse(
    captions: Annotated[
        list[str],
        typer.Argument(help="Captions, or files of them (a caption a line, or .jsonl); - for standard input."),
    ],
    parser: ParserOption = "rules",
) -> None:
    """Show a caption's entities and triplets as JSON; of several captions a list."""
    from groundgraph.language.captions import read_captions

    texts, reader = read_captions(captions), _open(parser)
    parsed = [
        {
            "caption": c.text,
            "entities": [
                {"name": e.name, "text": e.text, "attributes": list(e.attributes), "span": list(e.span)}
                for e in c.entities
            ],
            "triplets": [[c.entities[t.subject].name, t.predicate, c.entities[t.object].name] for t in c.triplets],
        }
        for c in reader.parse(texts)
    ]
    print_json(parsed if len(parsed) > 1 else parsed[0])
    _note_counts(reader)


def evaluate_parser(
    gold: Annotated[Path, typer.Argument(metavar="CSV", help="Captions with known graphs: columns caption and graph.")],
    parser: ParserOption = "rules",
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Score a parser on captions with known graphs: precision, recall and f1 of their facts."""
    from groundgraph.data.files import check_output, write_json
    from groundgraph.evaluation.gold_graphs import read_gold
    from groundgraph.evaluation.parsing import evaluate_parser

    if out:
        check_output(out, [gold])
    graphs = read_gold(gold)
    reader = _open(parser)
    scores, kinds = evaluate_parser(reader, graphs)
    table = Table("facts", "precision", "recall", "f1")
    for group, figures in scores.items():
        table.add_row(group, *map(_share, figures.values()))
    console.print(table)
    if kinds:
        measures = [(group, measure) for group in ("objects", "relations") for measure in ("precision", "recall")]
        table = Table("kind", "captions", *(f"{group}: {measure}" for group, measure in measures))
        counts = Counter(graph.kind or "other" for graph in graphs.graphs)
        for kind, figures_of in [*kinds.items(), ("all", scores)]:
            count = counts[kind] if kind in kinds else len(graphs.graphs)
            table.add_row(escape(kind), str(count), *(_share(figures_of[group][m]) for group, m in measures))
        console.print(table)
    _note_counts(reader)
    if graphs.skipped:
        console.print(f"[yellow]skipped[/] {graphs.skipped} malformed facts of {escape(str(gold))}")
    if out:
        write_json(out, scores | ({"kinds": kinds} if kinds else {}), indent=1)


def _open(parser: str) -> Any:
    """The parser of --parser."""
    from groundgraph.language import open_parser
    from groundgraph.stages.parsers import parser_config

    return open_parser(parser_config(parser))


def _note_counts(parser: Any) -> None:
    """Say what a parser counted of the captions it read."""
    for what, count in getattr(parser, "counts", {}).items():
        if count:
            Console(stderr=True).print(f"[yellow]note[/] {count} {what}", soft_wrap=True)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
