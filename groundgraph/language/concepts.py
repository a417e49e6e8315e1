"""Which category or predicate of a vocabulary a word means: lemmas, WordNet, a curated list of what it gets wrong.

The word test of the object-aware teacher (Eq. 6) and of SGNLS: a word means a category when they're the same word or
synonyms, or one is a kind of the other, in either direction ("man" means the category person, and "person" means man;
man and woman don't match). A phrase that WordNet lacks is a kind of its head word: a pizza box is a box.

`synonyms.json` has the last word where WordNet is wrong of photos; it was written reading the matches of four
vocabularies and of captions' nouns. Its parts: `senses` (bat is the club), `no_sense` (words of place and amount, which
only match themselves), `same` (words people use alike), `kinds` (in that direction alone: a boy may be called a child),
`never_by_head` (a toy car is no car).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from groundgraph.data.types import Entity
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.language.lemmas import name_lemma, predicate_lemma
from groundgraph.language.predicates import wider_predicates
from groundgraph.language.wordnet import senses, wider


@cache
def name_key(name: str) -> str:
    """A name as it is compared: last word in base form, no hyphens, last plural s or "human" (Jeans -> jean)."""
    base = name_lemma(name.replace("-", " ").replace("_", " ")).removeprefix("human ")
    return base[:-1] if base.endswith("s") and not base.endswith("ss") and len(base.split()[-1]) > 3 else base


class _Curated(NamedTuple):
    """synonyms.json by key."""

    senses: dict[str, tuple[int, ...]]  # instead of WordNet's
    same: dict[str, tuple[str, ...]]  # a key's synonyms, itself included, as listed
    kinds: dict[str, tuple[str, ...]]  # a key's wider categories
    never_by_head: frozenset[str]


@cache
def _curated() -> _Curated:
    raw = json.loads(resources.files("groundgraph.language").joinpath("synonyms.json").read_text(encoding="utf-8"))
    meant = {name_key(word): tuple(s for r in refs for s in senses(r)) for word, refs in raw["senses"].items()}
    meant |= {name_key(word): () for word in raw["no_sense"]}
    same: dict[str, tuple[str, ...]] = {}
    for group in raw["same"]:
        keys = tuple(name_key(word) for word in group)
        for key in keys:
            same[key] = tuple(dict.fromkeys([*same.get(key, ()), *keys]))
    kinds: dict[str, tuple[str, ...]] = {}
    for category, words in raw["kinds"].items():
        for key in dict.fromkeys(map(name_key, words)):
            kinds[key] = (*kinds.get(key, ()), name_key(category))
    return _Curated(meant, same, kinds, frozenset(map(name_key, raw["never_by_head"])))


class Meaning(NamedTuple):
    """What a name may be called, nearest first. Keys are strings, senses WordNet's numbers.

    Attributes:
        own: Its key and its senses: what it is.
        up: `own`, its listed synonyms' keys, and all that it is a kind of.
    """

    own: tuple[str | int, ...]
    up: tuple[str | int, ...]


def curated_senses(name: str) -> tuple[int, ...]:
    """The senses that `synonyms.json` gives a name instead of WordNet's; () where it gives none."""
    return _curated().senses.get(name_key(name), ())


@cache
def same_thing(name: str, other: str) -> bool:
    """Whether two names mean one thing: of one key or sense, or listed as said alike; a kind of a thing is not it."""
    mine, others = meaning_of(name).own, meaning_of(other).own
    if set(mine) & set(others):
        return True
    curated, key, other_key = _curated(), mine[0], others[0]
    listed = other_key in curated.same.get(key, ())
    return listed and other_key not in curated.kinds.get(key, ()) and key not in curated.kinds.get(other_key, ())


def _word_senses(name: str, key: str) -> tuple[int, ...] | None:
    """A whole name's senses: curated, else WordNet's of any spelling, else its listed synonyms'; None if unknown."""
    curated = _curated()
    if key in curated.senses:
        return curated.senses[key]
    spaced = name_lemma(name.replace("_", " "))
    for spelling in (spaced, spaced.replace("-", " "), key, key.replace(" ", ""), key.replace(" ", "-")):
        if own := senses(spelling):
            return own
    others = [curated.senses.get(other) or senses(other) for other in curated.same.get(key, ())]
    return tuple(dict.fromkeys(sense for other in others for sense in other)) or None


@cache
def meaning_of(name: str) -> Meaning:
    """What a name means: its curated senses, else WordNet's of any spelling, else those of its last word."""
    curated, key = _curated(), name_key(name)
    meant = _word_senses(name, key)
    near = curated.same.get(key, (key,))
    up: list[str | int] = [key, *near, *(meant or ())]
    for other in dict.fromkeys([key, *near]):
        up += curated.kinds.get(other, ())
    # One sense after the other: what the first is a kind of goes before what the second is.
    up += [above for sense in meant or () for above in wider(sense)]
    if meant is None and " " in key and key not in curated.never_by_head:
        up += meaning_of(name_lemma(name.replace("-", " ").replace("_", " ")).split()[-1]).up
    return Meaning((key, *(meant or ())), tuple(dict.fromkeys(up)))


@cache
def _category_meaning(name: str) -> Meaning:
    """A category's; one with several names ("cabinet/shelf", of Objects365) is each of them."""
    each = [meaning_of(part) for part in (name, *(name.split("/") if "/" in name else ()))]
    return Meaning(*(tuple(dict.fromkeys(x for m in each for x in m[side])) for side in (0, 1)))


@cache
def same_concept(word: str, category_name: str) -> bool:
    """Whether a word means a category: the same word, a synonym, a kind of it or what it is a kind of."""
    return bool(match_matrix([word], [category_name])[0, 0])


def names_match(names: Sequence[str], categories: Sequence[str]) -> np.ndarray:
    """The same for names of the categories' own vocabulary: a name that is a category means that one alone."""
    table, place = match_matrix(names, categories), {name: column for column, name in enumerate(categories)}
    for row, name in zip(table, names, strict=True):
        if name in place:
            row[:] = False
            row[place[name]] = True
    return table


def match_matrix(names: Sequence[str], categories: Sequence[str]) -> np.ndarray:
    """Return which name means which category (Eq. 6's test): [names, categories] bool; a name is looked up once."""
    unique = {name: i for i, name in enumerate(dict.fromkeys(names))}
    table = np.zeros((len(unique), len(categories)), bool)
    own, above = _columns(tuple(categories))
    for row, name in zip(table, unique, strict=True):
        meaning = meaning_of(name)
        for parts, columns in ((meaning.up, own), (meaning.own, above)):
            for part in parts:
                if part in columns:
                    row[columns[part]] = True
    return table[[unique[name] for name in names]]


@cache
def _columns(categories: tuple[str, ...]) -> tuple[dict[str | int, list[int]], dict[int, list[int]]]:
    """(what is a category -> its columns, sense that a category is a kind of -> its columns)."""
    own: dict[str | int, list[int]] = {}
    above: dict[int, list[int]] = {}
    for column, name in enumerate(categories):
        meaning = _category_meaning(name)
        for part in meaning.own:
            own.setdefault(part, []).append(column)
        for part in meaning.up:
            if isinstance(part, int):  # listed kinds and synonyms count upwards only
                above.setdefault(part, []).append(column)
    return own, above


class ConceptMap:
    """Entities to categories and parsed predicates to predicates of one vocabulary; numbers are 0-based, -1 is none.

    Args:
        categories: The vocabulary's categories.
        predicates: The vocabulary's predicates.
    """

    def __init__(self, categories: Vocabulary, predicates: Vocabulary) -> None:
        self.categories, self.predicates = categories, predicates
        self._own, self._above = _columns(categories.names)
        self._predicates: dict[str, int] = {}
        for i, name in enumerate(predicates.names):
            self._predicates.setdefault(predicate_lemma(name), i)
        self._category_of: dict[str, int] = {}
        self._predicate_of: dict[str, int] = {}

    def take(self, categories: Mapping[str, int], predicates: Mapping[str, int]) -> None:
        """Take what words mean as it is given: word -> number, of categories' names and of predicates' texts."""
        self._category_of |= categories
        self._predicate_of |= predicates

    def category(self, entity: Entity) -> int:
        """Return the category that an entity's name means, see `category_of`."""
        return self.category_of(entity.name)

    def category_of(self, name: str) -> int:
        """Return the category that a name means: by itself, a synonym, its nearest kind, or its head word.

        Else the vocabulary's only category that is a kind of it ("table" is COCO's dining table, "person" none of two).
        """
        if name not in self._category_of:
            meaning = meaning_of(name)
            kinds = [self._own[part][0] for part in meaning.up if part in self._own]
            below = {column for part in meaning.own for column in self._above.get(part, ())}
            only = below.pop() if len(below) == 1 else -1
            exact = self.categories.index(name)
            self._category_of[name] = exact if exact >= 0 else kinds[0] if kinds else only
        return self._category_of[name]

    def predicate(self, text: str) -> int:
        """Return the predicate a text means: exactly, by lemma, or the nearest of `wider_predicates` that there is."""
        if text not in self._predicate_of:
            exact, base = self.predicates.index(text), predicate_lemma(text)
            tries = (base, *wider_predicates(base))
            index = exact if exact >= 0 else next((self._predicates[t] for t in tries if t in self._predicates), -1)
            self._predicate_of[text] = index
        return self._predicate_of[text]


def names_of_categories(detector: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Which names of a vocabulary a detector's category goes by: [detector, names] bool.

    The one it means (`ConceptMap.category_of`: itself, a synonym, the nearest wider one), else all of its kinds, of
    which the detector cannot say more ("person" where the names are man and woman).
    """
    concepts = ConceptMap(Vocabulary(tuple(names)), Vocabulary(()))
    meant = np.array([concepts.category_of(category) for category in detector], np.int64)
    return np.where(meant[:, None] >= 0, meant[:, None] == np.arange(len(names)), match_matrix(detector, names))


OWN, FREE, BARRED = 1, 0, -1


def name_roles(detector: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """What each name of a vocabulary is to a region of each of a detector's categories: [detector, names] int8.

    OWN: a name that the category goes by, or a narrower one that counts for it (man, of person). BARRED: a name that
    the detector would have used, had it seen that (cat and animal, on a dog). FREE: one that it cannot know (tree).
    """
    goes, kin = names_of_categories(detector, names), match_matrix(detector, names)
    listed = list(dict.fromkeys(detector))
    concepts = ConceptMap(Vocabulary(tuple(listed)), Vocabulary(()))
    counts_for = np.array([concepts.category_of(name) for name in names], np.int64)
    number = np.array([listed.index(category) for category in detector], np.int64)
    own = goes | (kin & (number[:, None] == counts_for))
    return np.where(own, OWN, np.where((goes | kin).any(0), BARRED, FREE)).astype(np.int8)
