"""Scores of a caption parser on captions with known graphs (FACTUAL's files): precision and recall of facts."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from groundgraph.data.text import text_file
from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.lemmas import lemma, name_lemma, predicate_lemma

# A fact as FACTUAL writes them: (thing,), (thing, "is", attribute) or (thing, predicate, thing).
Fact = tuple[str, ...]
GROUPS = ("all", "objects", "attributes", "relations")
GRAPH_COLUMNS = ("graph", "scene_graph")
_BRACKETS = re.compile(r"\(([^()]*)\)")


class CaptionParser(Protocol):
    """Anything that parses captions."""

    def parse(self, captions: Sequence[str]) -> Sequence[ParsedCaption]:
        """Parse captions, in their order."""


@dataclass(frozen=True)
class GoldGraphs:
    """A FACTUAL-style file.

    Attributes:
        captions: N captions.
        facts: the N captions' facts.
        skipped: how many malformed facts were left out.
    """

    captions: list[str]
    facts: list[list[Fact]]
    skipped: int = 0


def read_graph(text: str) -> tuple[list[Fact], int]:
    """The facts of a graph in FACTUAL's writing.

    Args:
        text: "( dog , is , brown ) , ( dog , on , bed )"; a thing without attribute or relation stands alone:
            "( dog )".

    Returns:
        The facts, and how many pieces had no such form.
    """
    pieces = [tuple(" ".join(part.split()) for part in piece.split(",")) for piece in _BRACKETS.findall(text)]
    facts = [fact for fact in pieces if len(fact) in (1, 3) and all(fact)]
    outside = _BRACKETS.sub("", text).strip(" ,\n")
    return facts, len(pieces) - len(facts) + bool(outside)


def read_gold(path: Path | str) -> GoldGraphs:
    """Read captions with their graphs.

    Args:
        path: a CSV file with a header, a column `caption` and a column `graph` (FACTUAL's own: `scene_graph`). Other
            columns are ignored; capitals and spaces around a column's name do not count.

    Raises:
        InputError: naming file and line, where one of the two is missing or there twice, a row has fewer or more
            fields than the header, or the file has no row, no fact at all, or is no text.
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
                facts, malformed = read_graph(row[header.index(column)])
                captions.append(row[header.index("caption")])
                graphs.append(facts)
                skipped += malformed
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error}); save it as a CSV file") from error
    if not captions:
        raise InputError(f"{path}: no captions below the header; give a row a caption")
    if not any(graphs):
        raise InputError(f"{path}: no graph holds a fact; write them as ( dog , on , bed ) , ( bed )")
    return GoldGraphs(captions, graphs, skipped)


def parsed_facts(caption: ParsedCaption) -> list[Fact]:
    """A parsed caption as facts: its things, their attributes, their relations."""
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

    Returns:
        all: attributes, relations, and the things that are in neither: a graph as FACTUAL writes it;
        objects: every thing that is named;
        attributes: (thing, "is", attribute);
        relations: (thing, predicate, thing).
    """
    every = {lemmatised(fact) for fact in facts}
    predications = {fact for fact in every if len(fact) == 3}
    attributes = {fact for fact in predications if fact[1] == "is"}
    relations = predications - attributes
    described = {fact[:1] for fact in predications} | {fact[2:] for fact in relations}
    objects = described | (every - predications)
    return {
        "all": predications | (objects - described),
        "objects": objects,
        "attributes": attributes,
        "relations": relations,
    }


def score_facts(
    predicted: Sequence[Iterable[Fact]], true: Sequence[Iterable[Fact]]
) -> dict[str, dict[str, float | None]]:
    """Micro precision, recall and f1 of facts: counts are summed over the captions before dividing.

    Equality of the sets `all` is FACTUAL's set match (Li et al. 2023, section 5).

    Args:
        predicted: a parser's facts of N captions.
        true: the facts of their graphs.

    Returns:
        {each of GROUPS: {"precision", "recall", "f1"}}. Where nothing is predicted, or nothing true, a figure of the
        other side's is 0, and where neither is they are None.

    Raises:
        InputError: where the two sides don't have equally many captions.
    """
    if len(predicted) != len(true):
        raise InputError(f"{len(predicted)} captions were parsed but {len(true)} have graphs; give one each")
    counts = {group: [0, 0, 0] for group in GROUPS}
    for parsed, gold in zip(map(fact_sets, predicted), map(fact_sets, true), strict=True):
        for group, count in counts.items():
            count[0] += len(parsed[group] & gold[group])
            count[1] += len(parsed[group])
            count[2] += len(gold[group])
    return {group: _ratios(*count) for group, count in counts.items()}


def _ratios(right: int, predicted: int, true: int) -> dict[str, float | None]:
    if not predicted and not true:
        return dict.fromkeys(("precision", "recall", "f1"))
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / true if true else 0.0,
        "f1": 2 * right / (predicted + true),
    }


def evaluate_parser(parser: CaptionParser, gold: GoldGraphs) -> dict[str, dict[str, float | None]]:
    """Score a parser, anything with `parse(captions) -> ParsedCaptions`, on a file's captions: see `score_facts`."""
    return score_facts([parsed_facts(c) for c in parser.parse(gold.captions)], gold.facts)
