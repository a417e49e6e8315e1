"""True triplets in place of a parser's: the bound of what a better parser could give, on data that know their words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from groundgraph.data.types import Entity, Example, GroundTruth, Mention, ParsedCaption, Triplet
from groundgraph.errors import InputError
from groundgraph.language.lemmas import name_lemma, predicate_lemma

_JOINS = re.compile(r"\b(?:as|while|and)\b")  # between MiniGenome's clauses


class TruthParser:
    """Gives each caption the things that it means by the data, under their categories, and their true relations.

    Args:
        model: None; there is none.
    """

    def __init__(self, model: None = None) -> None:
        if model is not None:
            raise InputError(f"parser.model is {model!r}, but the parser truth has no model: leave the key out")

    def parse(self, captions: Sequence[str]) -> list[ParsedCaption]:
        """Raise InputError: a caption alone has no annotations."""
        raise InputError("the parser truth reads the data's annotations, not captions: take it for a run on MiniGenome")

    def parse_example(self, example: Example) -> list[ParsedCaption]:
        """Return one ParsedCaption a caption of an image.

        Raises:
            InputError: The data do not say what their captions' words mean.
        """
        truth = example.truth
        if truth is None or (example.captions and not truth.mentions):
            raise InputError(
                f"{example.image_id}: the parser truth needs data that say which objects the captions' words mean, as "
                "MiniGenome's: take another parser"
            )
        return [
            _true_caption(text, truth, [mention for mention in truth.mentions if mention.caption == number])
            for number, text in enumerate(example.captions)
        ]


def _true_caption(text: str, truth: GroundTruth, mentions: Sequence[Mention]) -> ParsedCaption:
    """A caption's mentions as entities, and the relations between them; of several objects that one word means, once.

    Where an end is named more than once, words are related that are nearest to each other, either to the other: those
    of one clause first.
    """
    entities = tuple(_entity(text, truth, mention) for mention in mentions)
    clauses = [len(_JOINS.findall(text, 0, mention.span[0])) for mention in mentions]
    rows: dict[int, list[int]] = {}
    for row, mention in enumerate(mentions):
        for thing in mention.objects:
            rows.setdefault(thing, []).append(row)

    def nearest(row: int, others: Sequence[int]) -> int:
        return min(others, key=lambda other: (abs(clauses[other] - clauses[row]), abs(other - row)))

    relations = dict.fromkeys(
        (subject, predicate_lemma(predicate), target)
        for s, predicate, o in truth.relations
        if s in rows and o in rows
        for subject in rows[s]
        for target in rows[o]
        if subject != target and nearest(subject, rows[o]) == target and nearest(target, rows[s]) == subject
    )
    return ParsedCaption(text, entities, tuple(Triplet(*relation) for relation in relations))


def _entity(text: str, truth: GroundTruth, mention: Mention) -> Entity:
    words = text[slice(*mention.span)]
    return Entity(words, words, name_lemma(truth.labels[mention.objects[0]]), mention.span, mention.span)
