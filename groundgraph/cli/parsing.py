"""`groundgraph parse` and `evaluate-parser`: captions to graphs, and how well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from groundgraph.cli.common import console
from groundgraph.terminal import Console, print_json


def parse(
    captions: Annotated[
        list[str],
        typer.Argument(help="Captions, or files of them (a caption a line, or .jsonl); - for standard input."),
    ],
) -> None:
    """Show a caption's entities and triplets as JSON; of several captions a list."""
    from groundgraph.language import load_parser
    from groundgraph.language.captions import read_captions
    from groundgraph.language.parser import LONGEST

    texts, parser = read_captions(captions), load_parser("rules")
    parsed = [
        {
            "caption": c.text,
            "entities": [
                {"name": e.name, "text": e.text, "attributes": list(e.attributes), "span": list(e.span)}
                for e in c.entities
            ],
            "triplets": [[c.entities[t.subject].name, t.predicate, c.entities[t.object].name] for t in c.triplets],
        }
        for c in parser.parse(texts)
    ]
    print_json(parsed if len(parsed) > 1 else parsed[0])
    if parser.cut:
        note = f"of {parser.cut} captions only the first {LONGEST} characters were read"
        Console(stderr=True).print(f"[yellow]note[/] {note}")


def evaluate_parser(
    gold: Annotated[Path, typer.Argument(metavar="CSV", help="Captions with known graphs: columns caption and graph.")],
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Score the parser on captions with known graphs: precision, recall and f1 of their facts."""
    from groundgraph.data.files import check_output, write_json
    from groundgraph.evaluation.parsing import evaluate_parser, read_gold
    from groundgraph.language import load_parser

    if out:
        check_output(out, [gold])
    facts = read_gold(gold)
    scores = evaluate_parser(load_parser("rules"), facts)
    table = Table("facts", "precision", "recall", "f1")
    for group, figures in scores.items():
        table.add_row(group, *("-" if value is None else f"{value:.3f}" for value in figures.values()))
    console.print(table)
    if facts.skipped:
        console.print(f"[yellow]skipped[/] {facts.skipped} malformed facts of {escape(str(gold))}")
    if out:
        write_json(out, scores, indent=1)
