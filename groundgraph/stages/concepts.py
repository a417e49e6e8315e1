"""What became of the captions' words: which category or predicate each means, which the detector knows; as tables."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.engine.run import Run
from groundgraph.language.concepts import ConceptMap, match_matrix
from groundgraph.report.html import Table
from groundgraph.stages import artifacts

SHOWN = 15  # rows of a table in the report; the artifact has all
WORDS = 6  # words listed in a cell


COUNTED = (
    "entities",
    "mapped entities",
    "predicates",
    "mapped predicates",
    "mapped triplets",
    "distinct mapped triplets",
    "images with a mapped triplet",
)


def map_words(run: Run, folder: Path) -> dict[str, Any]:
    """concepts.json: every noun and predicate of the train split, how often it is said and what it means (null: none).

    The counts say how much of the supervision is in the evaluation vocabulary. A triplet is mapped where its three
    words are; "distinct mapped triplets" counts one an image however often its captions say it.
    """
    categories, predicates = artifacts.vocabulary(run)
    concepts = ConceptMap(categories, predicates)
    nouns: Counter[str] = Counter()
    verbs: Counter[str] = Counter()
    meant: dict[str, int] = {}
    counts = Counter(dict.fromkeys(COUNTED, 0))
    for captions in artifacts.parsed(run, "train"):
        distinct = set()
        for caption in captions:
            for entity in caption.entities:
                nouns[entity.name] += 1
                meant.setdefault(entity.name, concepts.category(entity))
            for t in caption.triplets:
                verbs[t.predicate] += 1
                ends = meant[caption.entities[t.subject].name], meant[caption.entities[t.object].name]
                triplet = (ends[0], concepts.predicate(t.predicate), ends[1])
                if min(triplet) >= 0:
                    counts["mapped triplets"] += 1
                    distinct.add(triplet)
        counts["distinct mapped triplets"] += len(distinct)
        counts["images with a mapped triplet"] += bool(distinct)
    names = {word: categories.names[c] if c >= 0 else None for word, c in meant.items()}
    acts = {word: predicates.names[p] if (p := concepts.predicate(word)) >= 0 else None for word in verbs}
    for said, known, what in ((nouns, names, "entities"), (verbs, acts, "predicates")):
        counts[what] = said.total()
        counts[f"mapped {what}"] = sum(n for word, n in said.items() if known[word] is not None)
    content = {
        "counts": dict(counts),
        "nouns": [{"word": w, "said": n, "category": names[w]} for w, n in nouns.most_common()],
        "predicates": [{"word": w, "said": n, "predicate": acts[w]} for w, n in verbs.most_common()],
    }
    _write(folder / "concepts.json", content)
    return dict(counts)


def match_words(run: Run, folder: Path) -> dict[str, Any]:
    """matches.json: for each of the detector's categories, how many train regions show it and which nouns mean it.

    Then the nouns that mean none of them, for which the object-aware teacher has nothing to say (Eq. 6).
    """
    said = Counter(e.name for captions in artifacts.parsed(run, "train") for c in captions for e in c.entities)
    categories, words = artifacts.detector_categories(run), [word for word, _ in said.most_common()]
    same = match_matrix(words, categories)
    shown = np.zeros(len(categories), np.int64)
    for labels in artifacts.regions(run, "train").labels():
        np.add.at(shown, labels[labels >= 0], 1)
    known = [{"word": w, "said": said[w]} for w, row in zip(words, same, strict=True) if not row.any()]
    content = {
        "categories": [
            {
                "category": name,
                "regions": int(shown[c]),
                "nouns": [{"word": words[i], "said": said[words[i]]} for i in np.flatnonzero(same[:, c])],
            }
            for c, name in enumerate(categories)
        ],
        "nouns of no category": known,
    }
    _write(folder / "matches.json", content)
    matched = int(same.any(0).sum())
    return {"detector's categories that a noun means": matched, "nouns of no category": len(known)}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def word_tables(run: Run) -> list[Table]:
    """The two artifacts as tables of the report, the commonest rows of each."""
    concepts, matches = (
        json.loads((run.folder / stage / f"{stage}.json").read_text(encoding="utf-8"))
        for stage in ("concepts", "matches")
    )
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
