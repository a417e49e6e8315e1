"""Where a caption says the things that somebody else read in it: each thing's characters, by the words' base forms."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from groundgraph.data.types import Entity
from groundgraph.language.lemmas import lemma, name_lemma
from groundgraph.language.words import ARTICLES, NUMBERS

_WORD = re.compile(r"[^\W_]+")
_SINGULAR = {"people": "person"}  # of a plural that the lemma tables keep as it is
GAP = 2  # words that may stand between two of a name's: "the man's black shirt" has a man shirt
BEFORE = 4  # words before a noun that are looked through for what describes it
ALIKE = 0.8  # how alike a mistyped word and the meant one are at least, of `difflib`, from 5 letters on


@dataclass
class Thing:
    """A thing that somebody read in a caption.

    Attributes:
        name: Its words, the last of which is its head, or that before "of".
        attributes: In base form, in order.
    """

    name: str
    attributes: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Words of a caption, by their numbers: those from `first` to before `end`, the head among them.

    `quality` says how a name stands there, the lower the better: whole (0), with words between (1), spelt as one word
    or two (1), its head alone (2), mistyped (3).
    """

    first: int
    end: int
    head: int
    quality: int


def tie(text: str, things: Sequence[Thing]) -> tuple[Entity, ...]:
    """Return the things as entities with their characters in a caption.

    Longer names choose first, so that "tennis court" leaves another court to "court". Of several places that are alike
    a thing takes a free one, that before which its attributes stand, else the first; where all are taken ("two men" are
    man and man), it shares one.

    Args:
        text: The caption.
        things: In the order of the entities; several may have one name.

    Returns:
        An entity each. One whose words the caption lacks has the empty span (0, 0), and its name for its text.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    bases = [_base(text[a:b].lower()) for a, b in words]
    chosen: dict[int, _Place] = {}
    taken: set[int] = set()
    for number in sorted(range(len(things)), key=lambda i: -len(_WORD.findall(things[i].name))):
        thing = things[number]
        places = list(_places(thing, bases))
        if places:
            best = min(places, key=lambda p: (p.quality, p.head in taken, -_described(thing, bases, p), p.first))
            chosen[number] = best
            taken.update(range(best.first, best.end))
    return tuple(_entity(text, thing, words, bases, chosen.get(number)) for number, thing in enumerate(things))


@cache
def _base(word: str) -> str:
    base = lemma(word, "noun")
    return _SINGULAR.get(base, base)


def _places(thing: Thing, bases: Sequence[str]) -> Iterator[_Place]:
    """Where a thing can stand in a caption, whose words are in base form."""
    name = [_base(word) for word in _WORD.findall(thing.name.lower())]
    if not name:
        return
    head = name.index("of") - 1 if "of" in name[1:] else len(name) - 1
    for first, word in enumerate(bases):
        if word == name[0] and (rows := _in_order(name, bases, first)):
            yield _Place(first, rows[-1] + 1, rows[head], int(rows[-1] - first >= len(name)))
        if len(name) == 2 and word == "".join(name):
            yield _Place(first, first + 1, first, 1)
        if len(name) == 1 and first and bases[first - 1] + word == name[0]:
            yield _Place(first - 1, first + 1, first, 1)
        if word == name[head]:
            yield _Place(first, first + 1, first, 2)
        elif _alike(word, name[head]):
            yield _Place(first, first + 1, first, 3)


def _in_order(name: Sequence[str], bases: Sequence[str], first: int) -> list[int]:
    """Where a name's words stand one after the other from `first` on, not far from each other; [] if they do not."""
    rows = [first]
    for word in name[1:]:
        near = range(rows[-1] + 1, min(rows[-1] + 2 + GAP, len(bases)))
        row = next((i for i in near if bases[i] == word), None)
        if row is None:
            return []
        rows.append(row)
    return rows


def _alike(word: str, name: str) -> bool:
    """Whether a word may be a mistyped form of a name's."""
    if min(len(word), len(name)) < 5 or word[0] != name[0]:
        return False
    return difflib.SequenceMatcher(None, word, name).ratio() >= ALIKE


def _described(thing: Thing, bases: Sequence[str], place: _Place) -> int:
    """How many of a thing's attributes are said right before a place."""
    before = {_plain(word) for word in bases[max(place.first - BEFORE, 0) : place.first]}
    return sum(_plain(_base(word)) in before for attribute in thing.attributes for word in attribute.split())


def _plain(word: str) -> str:
    """A word of an attribute as it is compared: numbers in digits, adjectives in base form."""
    return NUMBERS.get(word) or lemma(word, "adj")


def _entity(
    text: str, thing: Thing, words: Sequence[tuple[int, int]], bases: Sequence[str], place: _Place | None
) -> Entity:
    """A thing as an entity; its phrase begins with the article, the number and the attributes before it."""
    name, attributes = name_lemma(thing.name), tuple(thing.attributes)
    if place is None:
        return Entity(thing.name, thing.name, name, (0, 0), (0, 0), attributes)
    own = {_plain(_base(word)) for attribute in attributes for word in attribute.split()}
    first = place.first
    while first and text[words[first - 1][1] : words[first][0]].isspace():
        before = text[slice(*words[first - 1])].lower()
        if _plain(bases[first - 1]) not in own and before not in NUMBERS and before not in ARTICLES:
            break
        first -= 1
        if before in ARTICLES:
            break
    span, head_span = (words[first][0], words[place.end - 1][1]), words[place.head]
    return Entity(text[slice(*span)], text[slice(*head_span)], name, span, head_span, attributes)
