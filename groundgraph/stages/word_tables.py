"""What became of the captions' words, as tables of the report: the commonest rows of each."""

from __future__ import annotations

from typing import Any

from groundgraph.language.induction import APART, BEYOND, NO_BOX, RARE
from groundgraph.report.html import Table

SHOWN = 15  # rows of a table
WORDS = 6  # words listed in a cell
DROPPED = {  # of an induced vocabulary
    NO_BOX: ": no box can be drawn around it",
    RARE: ": said too rarely",
    BEYOND: ": beyond the limit",
    APART: ": of nothing in the vocabulary",
}


def word_tables(concepts: dict[str, Any], matches: dict[str, Any]) -> list[Table]:
    """What became of triplets, of nouns and of predicates in the evaluation vocabulary; the detector's categories.

    Args:
        concepts: The content of concepts.json.
        matches: The content of matches.json.
    """
    return [
        _triplets(concepts["counts"]),
        _mapped("Nouns and the vocabulary's categories", "category", concepts["nouns"]),
        _mapped("Predicates and the vocabulary's", "predicate", concepts["predicates"]),
        _matched(matches),
    ]


def novel_table(figures: dict[str, Any], withheld: dict[str, Any]) -> list[Table]:
    """Recall of base and of novel names by every method, where names were withheld.

    Args:
        figures: "methods" of metrics.json, by the methods' names.
        withheld: `vocabulary.novel` of the recipe.
    """
    rows = [
        (method, group, values) for method, row in figures.items() for group, values in row.get("novel", {}).items()
    ]
    if not rows:
        return []
    names = [", ".join(part) or "none" for part in (withheld["categories"], withheld["predicates"])]
    note = f"Per cent. No label in training was of the categories {names[0]}, or of the predicates {names[1]}."
    keys = list(rows[0][2])
    cells = [
        (name, group, *("-" if values[key] is None else f"{100 * values[key]:.1f}" for key in keys))
        for name, group, values in rows
    ]
    return [Table("Names that were withheld", note, ("Method", "True relations", *keys), cells)]


def _triplets(counts: dict[str, int]) -> Table:
    """How many triplets of the captions the scene-graph model can learn from."""
    mentioned = counts["predicates"]
    rows = [("said by the captions", mentioned)]
    steps = ("triplets of two things that can be boxed", "mapped triplets", "distinct mapped triplets")
    meant = ("of two things that can be boxed", "in the vocabulary, all three words", "these counted once an image")
    rows += [(words, counts[step]) for step, words in zip(steps, meant, strict=True) if step in counts]
    note = f"{counts['mapped triplets']:,} of {mentioned:,} triplets of the training captions are in the vocabulary."
    cells = [(words, f"{count:,}", f"{count / max(mentioned, 1):.0%}") for words, count in rows]
    return Table("What became of the triplets", note, ("Triplets", "Count", "Of those said"), cells)


def _mapped(title: str, key: str, rows: list[dict[str, Any]]) -> Table:
    """One row a category or predicate, the commonest first, after what is dropped, by reason where it is known."""
    groups: dict[str | None, list[dict[str, Any]]] = {None: []}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    dropped = groups.pop(None)
    total, lost = sum(r["said"] for r in rows), sum(r["said"] for r in dropped)
    order = sorted(groups, key=lambda name: -sum(r["said"] for r in groups[name]))[:SHOWN]
    note = (
        f"{total - lost:,} of {total:,} in the training captions are in the vocabulary, {lost:,} are dropped"
        f"{f'; the commonest {SHOWN} of {len(groups)} are shown' if len(groups) > SHOWN else ''}. "
        "concepts/concepts.json has every word."
    )
    reasons = {why: [r for r in dropped if r.get("why") == why] for why in (*DROPPED, None)}
    lines = [(f"(dropped{DROPPED.get(why, '')})", part) for why, part in reasons.items()]
    lines += [*((name, groups[name]) for name in order)]
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
