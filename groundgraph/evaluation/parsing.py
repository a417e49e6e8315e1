"""Scores of a caption parser on captions with known graphs (FACTUAL's files): facts right, found and true."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from groundgraph.data.text import text_file
from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.lemmas import lemma, name_lemma, predicate_lemma

# A fact as FACTUAL writes them: (thing,), (thing, "is", attribute) or (thing, predicate, thing).
Fact = tuple[str, ...]
GROUPS = ("all", "objects", "attributes", "relations")
GRAPH_COLUMNS = ("graph", "scene_graph")
_BRACKETS = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True)
class GoldGraphs:
    """A FACTUAL-style file: `captions`, as many lists of `facts`, and how many facts were malformed and `skipped`."""

    captions: list[str]
    facts: list[list[Fact]]
    skipped: int = 0


def read_graph(text: str) -> tuple[list[Fact], int]:
    """The facts of a graph in FACTUAL's writing, and how many pieces had no such form.

    "( dog , is , brown ) , ( dog , on , bed )"; a thing of which nothing is said stands alone: "( dog )".
    """
    pieces = [tuple(" ".join(part.split()) for part in piece.split(",")) for piece in _BRACKETS.findall(text)]
    facts = [fact for fact in pieces if len(fact) in (1, 3) and all(fact)]
    outside = _BRACKETS.sub("", text).strip(" ,\n")
    return facts, len(pieces) - len(facts) + bool(outside)


def read_gold(path: Path | str) -> GoldGraphs:
    """Reads a CSV with a header, a column `caption` and a column `graph` (FACTUAL's own: `scene_graph`).

    Other columns are ignored; capitals and spaces around a column's name do not count. Raises InputError, naming file
    and line, where one of the two is missing or there twice, a row has fewer or more fields than the header, or the
    file has no row, no fact at all, or is no text.
    """
    captions, graphs, skipped = [], [], 0
    try:
        with text_file(path, "a CSV file with columns caption and graph", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            column = next((name for name in GRAPH_COLUMNS if name in header), "graph")
            if header.count("caption") != 1 or header.count(column) != 1:
                names = ", ".join(header)[:200] or "none"
                raise InputError(
                    f"{path}: columns caption and graph are needed in the header; it has {names}; give each once, with "
                    "commas between"
                )
            for row in filter(None, reader):
                if len(row) != len(header):
                    fault = "a row cut short" if len(row) < len(header) else "a row too long"
                    raise InputError(
                        f"{path}, line {reader.line_num}: {fault}, {len(row)} fields below {len(header)} columns; give "
                        "a caption and a graph, in quotes where they hold commas"
                    )
                facts, odd = read_graph(row[header.index(column)])
                captions.append(row[header.index("caption")])
                graphs.append(facts)
                skipped += odd
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error}); save it as a CSV file") from error
    if not captions:
        raise InputError(f"{path}: no captions below the header; give a row a caption")
    if not any(graphs):
        raise InputError(f"{path}: no graph holds a fact; write them as ( dog , on , bed ) , ( bed )")
    return GoldGraphs(captions, graphs, skipped)


def parsed_facts(caption: ParsedCaption) -> list[Fact]:
    """What a parser found in a caption, as facts: its things, their attributes, their relations."""
    names = [e.name for e in caption.entities]
    facts: list[Fact] = [(name,) for name in names]
    facts += [(e.name, "is", a) for e in caption.entities for a in e.attributes]
    return facts + [(names[t.subject], t.predicate, names[t.object]) for t in caption.triplets]


@cache
def lemmatised(fact: Fact) -> Fact:
    """A fact in base forms, lower case: the one rule for both sides, whoever parsed.

    A thing's last word as a noun ("tennis rackets" -> "tennis racket"); a predicate's first as a verb, without
    auxiliaries and articles ("is sitting on the" -> "sit on"); each word of an attribute as an adjective, then as a
    verb ("taller" -> "tall", "painted" -> "paint").
    """
    if len(fact) == 1:
        return (name_lemma(fact[0]),)
    subject, predicate, last = fact
    if predicate == "is":
        words = (lemma(lemma(word, "adj"), "verb") for word in last.lower().split())
        return name_lemma(subject), "is", " ".join(words)
    return name_lemma(subject), predicate_lemma(predicate), name_lemma(last)


def fact_sets(facts: Iterable[Fact]) -> dict[str, set[Fact]]:
    """The lemmatised facts of one caption as sets.

    all         attributes, relations, and the things of which neither says anything: a graph as FACTUAL writes it
    objects     every thing that is named
    attributes  (thing, "is", attribute)
    relations   (thing, predicate, thing)
    """
    every = {lemmatised(fact) for fact in facts}
    said = {fact for fact in every if len(fact) == 3}
    attributes = {fact for fact in said if fact[1] == "is"}
    relations = said - attributes
    named = {fact[:1] for fact in said} | {fact[2:] for fact in relations}
    objects = named | (every - said)
    return {"all": said | (objects - named), "objects": objects, "attributes": attributes, "relations": relations}


def score_facts(found: Sequence[Iterable[Fact]], true: Sequence[Iterable[Fact]]) -> dict[str, dict[str, float | None]]:
    """Micro precision, recall and f1 of each of GROUPS over captions: facts found and true, a caption at a time.

    Counts are summed over the captions before dividing; where nothing is found, or nothing true, a figure of the other
    side's is 0, and where neither is there are none: None. Raises InputError where the two sides
    don't have equally many captions. Equality of the sets `all` is FACTUAL's set match (Li et al. 2023, section 5).
    """
    if len(found) != len(true):
        raise InputError(f"{len(found)} captions were parsed but {len(true)} have graphs; give one each")
    counts = {group: [0, 0, 0] for group in GROUPS}
    for ours, theirs in zip(map(fact_sets, found), map(fact_sets, true), strict=True):
        for group, count in counts.items():
            count[0] += len(ours[group] & theirs[group])
            count[1] += len(ours[group])
            count[2] += len(theirs[group])
    return {group: _ratios(*count) for group, count in counts.items()}


def _ratios(right: int, said: int, true: int) -> dict[str, float | None]:
    if not said and not true:
        return dict.fromkeys(("precision", "recall", "f1"))
    return {
        "precision": right / said if said else 0.0,
        "recall": right / true if true else 0.0,
        "f1": 2 * right / (said + true),
    }


def evaluate_parser(parser, gold: GoldGraphs) -> Mapping[str, dict[str, float | None]]:
    """Scores of anything with `parse(captions) -> ParsedCaptions` on a file's captions; see `score_facts`."""
    return score_facts([parsed_facts(c) for c in parser.parse(gold.captions)], gold.facts)
