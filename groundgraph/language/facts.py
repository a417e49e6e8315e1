"""Facts as learned parsers write them, "( man , ride , horse )", and the parsed caption that they make.

The writing is FACTUAL's (Li et al. 2023): a thing, its attribute after "is", or a relation. Models that were trained
with identifiers number things of one name ("monkey:1") and mark a predicate's verb ("v:sit on", passive "pv:park on").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from groundgraph.data.types import ParsedCaption, Triplet
from groundgraph.language.lemmas import lemma, name_lemma, predicate_lemma
from groundgraph.language.tying import Thing, tie

# (thing,), (thing, "is", attribute) or (thing, predicate, thing).
Fact = tuple[str, ...]

UNTIED = "entities without characters in the caption, read by themselves"
ITSELF = "triplets of a thing with itself, left out"
CUT_OFF = "malformed facts: no closing bracket"
NESTED = "malformed facts: brackets within brackets"
PARTS = "malformed facts: neither one part nor three"
EMPTY = "malformed facts: an empty part"
OUTSIDE = "malformed facts: words outside of brackets"

_PIECES = re.compile(r"\(([^()]*)(\)?)|([^()]+)|(\))")
_NUMBER = re.compile(r"\s*:\s*(\d+)$")  # of a thing among those of its name
_VERB = re.compile(r"^p?v\s*:\s*|^p\s*:\s*")


def read_facts(text: str) -> tuple[list[Fact], Counter[str]]:
    """The facts of a graph in FACTUAL's writing.

    Args:
        text: "( dog , is , brown ) , ( dog , on , bed )"; a thing without attribute or relation stands alone:
            "( dog )".

    Returns:
        The facts, and how many pieces had no such form, by kind.
    """
    facts: list[Fact] = []
    malformed: Counter[str] = Counter()
    opened = False  # within a bracket that another was opened in
    for inside, closed, outside, stray in _PIECES.findall(text):
        if outside or stray:
            if opened:
                opened = not stray
            elif stray or outside.strip(" ,\n"):
                malformed[OUTSIDE] += 1
            continue
        parts = tuple(" ".join(part.split()) for part in inside.split(","))
        if not closed:
            rest = text.rstrip().endswith(f"({inside}".rstrip())
            malformed[CUT_OFF if rest else NESTED] += 1
            opened = not rest
        elif opened:
            continue
        elif len(parts) not in (1, 3):
            malformed[PARTS] += 1
        elif not all(parts):
            malformed[EMPTY] += 1
        else:
            facts.append(parts)
    return facts, malformed


def caption_of_facts(text: str, facts: Iterable[Fact], counts: Counter[str]) -> ParsedCaption:
    """The parsed caption that facts make, each thing tied to its characters.

    Things of one name are one, unless they are numbered, or a fact relates a name with itself.

    Args:
        text: The caption.
        facts: Of the caption, in any order.
        counts: Gets how many things have no characters there (`UNTIED`), and how many facts were left out (`ITSELF`,
            `EMPTY`).
    """
    things: dict[tuple[str, int], Thing] = {}
    relations: dict[tuple[tuple[str, int], str, tuple[str, int]], None] = {}

    def thing_of(words: str, related: tuple[str, int] | None = None) -> tuple[str, int]:
        """The key of a thing: its name in base form, and its number among those of that name."""
        numbered = _NUMBER.search(words)
        words = _NUMBER.sub("", words).lower()
        key = name_lemma(words), int(numbered[1]) if numbered else 0
        if key == related and not numbered:  # a name that is related with itself means two
            key = key[0], key[1] + 1
        things.setdefault(key, Thing(words))
        return key

    for fact in facts:
        subject = thing_of(fact[0])
        if len(fact) == 3 and fact[1].lower() == "is":
            things[subject].attributes[_attribute(fact[2])] = None
        elif len(fact) == 3:
            target, predicate = thing_of(fact[2], subject), predicate_lemma(_VERB.sub("", fact[1].lower()))
            if not predicate or subject == target:
                counts[ITSELF if predicate else EMPTY] += 1
            else:
                relations[subject, predicate, target] = None
    entities = tie(text, list(things.values()))
    counts[UNTIED] += sum(not entity.tied for entity in entities)
    row = {key: number for number, key in enumerate(things)}
    return ParsedCaption(text, entities, tuple(Triplet(row[s], p, row[o]) for s, p, o in relations))


def _attribute(words: str) -> str:
    """An attribute in base form, as the rules give it: taller -> tall."""
    return " ".join(lemma(word, "adj") for word in words.lower().split())
