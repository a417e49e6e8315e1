"""What became of the captions' words, as tables of the report: the commonest rows of each."""

from __future__ import annotations

from typing import Any

from groundgraph.report.html import Table

SHOWN = 15  # rows of a table
WORDS = 6  # words listed in a cell


def word_tables(concepts: dict[str, Any], matches: dict[str, Any]) -> list[Table]:
    """Three tables: nouns and predicates in the evaluation vocabulary, nouns of the detector's categories.

    Args:
        concepts: The content of concepts.json.
        matches: The content of matches.json.
    """
    return [
        _mapped("Nouns and the vocabulary's categories", "category", concepts["nouns"]),
        _mapped("Predicates and the vocabulary's", "predicate", concepts["predicates"]),
        _matched(matches),
    ]


def _mapped(title: str, key: str, rows: list[dict[str, Any]]) -> Table:
    """One row a category or predicate, the commonest first; the first row: what is dropped."""
    groups: dict[str | None, list[dict[str, Any]]] = {None: []}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    dropped = groups.pop(None)
    total, lost = sum(r["said"] for r in rows), sum(r["said"] for r in dropped)
    order = sorted(groups, key=lambda name: -sum(r["said"] for r in groups[name]))[:SHOWN]
    note = (
        f"{total - lost:,} of {total:,} in the training captions are in the vocabulary, {lost:,} are dropped"
        f"{f'; the commonest {SHOWN} of {len(groups)} are shown' if len(groups) > SHOWN else ''}."
    )
    lines = [("(dropped)", dropped), *((name, groups[name]) for name in order)]
    cells = [(name, f"{sum(r['said'] for r in part):,}", _words(part)) for name, part in lines if part]
    return Table(title, note, (key.capitalize(), "Said", "By the words"), cells)


def _matched(matches: dict[str, Any]) -> Table:
    """One row a detector category that a noun means, the commonest in the regions first."""
    rows = sorted((r for r in matches["categories"] if r["nouns"]), key=lambda r: -r["regions"])
    unknown = matches["nouns of no category"]
    shown = f"; the commonest {SHOWN} are shown" if len(rows) > SHOWN else ""
    note = (
        f"A noun means {len(rows)} of the {len(matches['categories'])} categories{shown}. {len(unknown):,} nouns mean "
        f"none, and there the object-aware teacher is silent: {_words(unknown) or '-'}."
    )
    cells = [(r["category"], f"{r['regions']:,}", _words(r["nouns"])) for r in rows[:SHOWN]]
    return Table(
        "The detector's categories and the captions' nouns", note, ("Category", "Regions", "Nouns that mean it"), cells
    )


def _words(rows: list[dict[str, Any]]) -> str:
    more = f" and {len(rows) - WORDS:,} more" if len(rows) > WORDS else ""
    return ", ".join(f"{r['word']} ({r['said']:,})" for r in rows[:WORDS]) + more
