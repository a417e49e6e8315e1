"""Captions with known graphs (FACTUAL's files), their kinds, and what may be said of them without being wrong."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from groundgraph.data.text import text_file
from groundgraph.errors import InputError
from groundgraph.language.facts import Fact, read_facts

GRAPH_COLUMNS = ("graph", "scene_graph")


@dataclass(frozen=True)
class GoldGraph:
    """What is true of one caption.

    Attributes:
        caption: Its text.
        facts: The facts of its graph.
        kind: What is hard about it; "" where the file does not say.
        alternatives: Groups of facts of which one is true, whichever the parser finds.
        optional: Facts that count neither way.
    """

    caption: str
    facts: tuple[Fact, ...]
    kind: str = ""
    alternatives: tuple[tuple[Fact, ...], ...] = ()
    optional: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class GoldGraphs:
    """A file of captions with graphs.

    Attributes:
        graphs: A caption each.
        skipped: How many malformed facts were left out.
    """

    graphs: list[GoldGraph]
    skipped: int = 0

    @property
    def captions(self) -> list[str]:
        """The captions, in the file's order."""
        return [graph.caption for graph in self.graphs]


def read_choices(text: str) -> tuple[list[tuple[Fact, ...]], int]:
    """Facts in short: "dog,on,bed|dog,in,bed ; bed=white ; bed", groups parted by ";", a group's choices by "|".

    Returns:
        The groups, and how many choices had no such form.
    """
    groups, malformed = [], 0
    for group in filter(str.strip, text.split(";")):
        parts = [choice.replace("=", ",is,").split(",") for choice in group.split("|")]
        choices = [tuple(" ".join(part.split()) for part in choice) for choice in parts]
        kept = tuple(fact for fact in choices if len(fact) in (1, 3) and all(fact))
        malformed += len(choices) - len(kept)
        groups += [kept] if kept else []
    return groups, malformed


def read_gold(path: Path | str) -> GoldGraphs:
    """Read captions with their graphs.

    Args:
        path: A CSV file with a header, a column `caption` and a column `graph` (FACTUAL's own: `scene_graph`); if
            there, `kind`, and `alternatives` and `optional` as `read_choices` says. Other columns are ignored;
            capitals and spaces around a column's name do not count.

    Raises:
        InputError: A column is missing or there twice, a row has fewer or more fields than the header, or the file
            has no row, no fact at all, or is no text.
    """
    graphs, skipped = [], 0
    try:
        with text_file(path, "a CSV file with columns caption and graph", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            column = next((name for name in GRAPH_COLUMNS if name in header), "graph")
            names = ", ".join(header)[:200] or "none"
            if header.count("caption") != 1 or header.count(column) != 1:
                raise InputError(
                    f"{path}: columns caption and graph are needed in the header; it has {names}; give each once, with "
                    "commas between"
                )
            if any(header.count(name) > 1 for name in ("kind", "alternatives", "optional")):
                raise InputError(f"{path}: the header has {names}; give kind, alternatives and optional once at most")
            for row in filter(None, reader):
                if len(row) != len(header):
                    fault = "a row cut short" if len(row) < len(header) else "a row too long"
                    raise InputError(
                        f"{path}, line {reader.line_num}: {fault}, {len(row)} fields below {len(header)} columns; give "
                        "a caption and a graph, in quotes where they hold commas"
                    )
                graph, malformed = _gold_graph(dict(zip(header, row, strict=True)), column)
                graphs.append(graph)
                skipped += malformed
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error}); save it as a CSV file") from error
    if not graphs:
        raise InputError(f"{path}: no captions below the header; give a row a caption")
    if not any(graph.facts for graph in graphs):
        raise InputError(f"{path}: no graph holds a fact; write them as ( dog , on , bed ) , ( bed )")
    return GoldGraphs(graphs, skipped)


def _gold_graph(row: dict[str, str], column: str) -> tuple[GoldGraph, int]:
    """A row's graph by column names, and how many malformed facts it had."""
    facts, malformed = read_facts(row[column])
    alternatives, wrong_alternatives = read_choices(row.get("alternatives", ""))
    optional, wrong_optional = read_choices(row.get("optional", ""))
    graph = GoldGraph(
        row["caption"],
        tuple(facts),
        row.get("kind", "").strip(),
        tuple(alternatives),
        tuple(fact for group in optional for fact in group),
    )
    return graph, malformed.total() + wrong_alternatives + wrong_optional
