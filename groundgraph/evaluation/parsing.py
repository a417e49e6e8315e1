"""Scores of a caption parser on captions with known graphs (FACTUAL's files): precision and recall of facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Protocol

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.evaluation.gold_graphs import GoldGraph, GoldGraphs
from groundgraph.language.facts import Fact
from groundgraph.language.lemmas import lemma, name_lemma, predicate_lemma

GROUPS = ("all", "objects", "attributes", "relations")
Scores = dict[str, dict[str, float | None]]


class CaptionParser(Protocol):
    """Anything that parses captions."""

    def parse(self, captions: Sequence[str]) -> Sequence[ParsedCaption]:
        """Parse captions, in their order."""


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


def accepted(parsed: Iterable[Fact], gold: GoldGraph) -> tuple[set[Fact], set[Fact]]:
    """A parsed graph and the true one as they are compared.

    Of each group of alternatives the true graph has the one that was parsed, else the one that it has; of the parsed
    graph, optional facts that are not in the true one are left out, and so are the things that only they name.

    Returns:
        The lemmatised facts of the parsed graph, its things included, and of the true one.
    """
    true, optional = {lemmatised(fact) for fact in gold.facts}, {lemmatised(fact) for fact in gold.optional}
    sets = fact_sets(parsed)
    facts = sets["all"] | sets["objects"]
    for group in gold.alternatives:
        choices = [lemmatised(fact) for fact in group]
        chosen = next((fact for fact in choices if fact in facts), None)
        if chosen is not None:
            true = true.difference(choices) | {chosen}
    neither = (fact_sets(optional)["objects"] | optional) - fact_sets(true)["objects"] - true
    return facts - neither, true


def score_facts(predicted: Sequence[Iterable[Fact]], true: Sequence[Iterable[Fact]]) -> Scores:
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


def evaluate_parser(parser: CaptionParser, gold: GoldGraphs) -> tuple[Scores, dict[str, Scores]]:
    """Score a parser on a file's captions: see `score_facts` and `accepted`.

    Args:
        parser: Anything with `parse(captions) -> ParsedCaptions`.
        gold: The captions and their graphs.

    Returns:
        The scores of all captions, and {kind: those of its captions} where the file names kinds.
    """
    facts = map(parsed_facts, parser.parse(gold.captions))
    compared = [accepted(own, graph) for own, graph in zip(facts, gold.graphs, strict=True)]
    rows: dict[str, list[int]] = {}
    for number, graph in enumerate(gold.graphs):
        rows.setdefault(graph.kind, []).append(number)

    def scores(numbers: Iterable[int]) -> Scores:
        return score_facts(*zip(*(compared[number] for number in numbers), strict=True))

    kinds = {kind or "other": scores(numbers) for kind, numbers in rows.items()} if any(rows) else {}
    return scores(range(len(compared))), kinds
