"""The parser's triplets with one word for each thing, so that "guy" is no false answer where "man" is the true one."""

from __future__ import annotations

from collections.abc import Sequence

from groundgraph.data.minigenome import CATEGORIES
from groundgraph.data.minigenome.captions import SYNONYMS
from groundgraph.data.minigenome.drawing import PEOPLE
from groundgraph.data.types import ParsedCaption
from groundgraph.language import load_parser

NOUNS = {word: category for category in CATEGORIES for word in SYNONYMS.get(category, (category,))}
NOUNS |= {"trouser": "pants", "pant": "pants"}
PREDICATES = {
    "ride on": "ride", "sit on top of": "sit on", "stand on top of": "stand on", "lay on": "lie on", "carry": "hold",
    "eat from": "eat", "beneath": "under", "underneath": "under", "next to": "near", "beside": "near", "by": "near",
    "on top of": "on", "inside": "in",
}  # fmt: skip
KNOWN = {
    "ride", "sit on", "stand on", "lie on", "hold", "fly", "walk", "push", "kick", "wear", "eat", "behind", "under",
    "near", "on", "in", "have",
}  # fmt: skip


def parse(captions: Sequence[str]) -> list[ParsedCaption]:
    """Captions through the package's own parser."""
    return load_parser().parse(captions)


def canonical(subject: str, predicate: str, obj: str) -> tuple[str, str, str] | None:
    """A triplet in the world's own words; None for places ("in a field") and for what the parser got wrong."""
    subject, obj = NOUNS.get(subject, ""), NOUNS.get(obj, "")
    predicate = PREDICATES.get(predicate, predicate)
    if predicate == "with":
        predicate = "hold" if subject in PEOPLE else "have"
    return (subject, predicate, obj) if subject and obj and predicate in KNOWN else None
