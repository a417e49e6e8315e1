"""The first map from words to categories and predicates: lemmas, short lists of synonyms, kinds and aliases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

import numpy as np

from groundgraph.data.types import Entity, ParsedCaption
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.language.lemmas import PREPOSITIONS, name_lemma, predicate_lemma


@cache
def _key(name: str) -> str:
    """A name as it is compared: last word in base form, no hyphens, last plural s or "human" (Jeans -> jean)."""
    base = name_lemma(name.replace("-", " ").replace("_", " ")).removeprefix("human ")
    return base[:-1] if base.endswith("s") and not base.endswith("ss") and len(base) > 3 else base


@cache
def _nouns() -> tuple[dict[str, tuple[str, ...]], dict[str, frozenset[str]], frozenset[str]]:
    """(key -> its synonyms' keys as listed, key -> keys of wider categories, phrases their head word misnames)."""
    raw = json.loads(resources.files("groundgraph.language").joinpath("synonyms.json").read_text(encoding="utf-8"))
    same: dict[str, tuple[str, ...]] = {}
    for group in raw["same"]:
        keys = tuple(_key(word) for word in group)
        for key in keys:
            same[key] = tuple(dict.fromkeys([*same.get(key, ()), *keys]))
    wider: dict[str, set[str]] = {}
    for category, words in raw["kinds"].items():
        for word in words.split():
            wider.setdefault(_key(word), set()).add(_key(category))
    return same, {k: frozenset(v) for k, v in wider.items()}, frozenset(_key(p) for p in raw["never_by_head"])


@cache
def _predicates() -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    raw = json.loads(resources.files("groundgraph.language").joinpath("predicates.json").read_text(encoding="utf-8"))
    return {text: tuple(others) for text, others in raw["aliases"].items()}, frozenset(raw["other_sense_alone"])


@cache
def _senses(name: str) -> tuple[str, ...]:
    """Keys that a word may be listed under, nearest first: itself, synonyms, wider categories; then its head word's."""
    same, wider, whole = _nouns()
    key = _key(name)
    heads = [key] if " " not in key or key in whole else [key, key.split()[-1]]
    found: list[str] = []
    for head in heads:
        near = [head, *same.get(head, ())]
        found += near
        for word in near:
            found += sorted(wider.get(word, ()))
    return tuple(dict.fromkeys(found))


@cache
def same_concept(word: str, category_name: str) -> bool:
    """Whether a word means a category: equal lemmas, synonyms, a kind of it, or by its head word."""
    return _key(category_name) in _senses(word)


def match_matrix(names: Sequence[str], categories: Sequence[str]) -> np.ndarray:
    """[len(names), len(categories)] bool: which name means which category (Eq. 6's test); a name is looked up once."""
    unique = {name: i for i, name in enumerate(dict.fromkeys(names))}
    rows = [_row(name, tuple(categories)) for name in unique]
    table = np.array(rows, dtype=bool).reshape(len(unique), len(categories))
    return table[[unique[name] for name in names]] if len(names) else table


@cache
def _row(name: str, categories: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(same_concept(name, category) for category in categories)


class ConceptMap:
    """Entities to categories and parsed predicates to predicates of one vocabulary; numbers are 0-based, -1 is none."""

    def __init__(self, categories: Vocabulary, predicates: Vocabulary) -> None:
        self.categories, self.predicates = categories, predicates
        self._categories: dict[str, int] = {}
        for i, name in enumerate(categories.names):
            self._categories.setdefault(_key(name), i)
        self._predicates: dict[str, int] = {}
        for i, name in enumerate(predicates.names):
            self._predicates.setdefault(predicate_lemma(name), i)
        self._known: dict[str, int] = {}
        self._known_predicates: dict[str, int] = {}

    def category(self, entity: Entity) -> int:
        """The category that an entity's name means: by itself, a synonym, its kind, or its head word."""
        name = entity.name
        if name not in self._known:
            listed = [self.categories.index(name), *(self._categories.get(key, -1) for key in _senses(name))]
            self._known[name] = next((i for i in listed if i >= 0), -1)
        return self._known[name]

    def predicate(self, text: str) -> int:
        """The predicate that a text means: exactly, by lemma or alias, by its verb alone, by its preposition alone.

        Verbs that mean something else without their preposition ("walk on grass", "walk a dog") skip the third step.
        """
        if text not in self._known_predicates:
            exact = self.predicates.index(text)
            self._known_predicates[text] = exact if exact >= 0 else self._find(predicate_lemma(text))
        return self._known_predicates[text]

    def _find(self, text: str) -> int:
        aliases, other_sense = _predicates()
        verb, _, preposition = text.partition(" ")
        tries = [text, *aliases.get(text, ())]
        if preposition and verb not in PREPOSITIONS:
            if verb not in other_sense:
                tries += [verb, *aliases.get(verb, ())]
            tries += [preposition, *aliases.get(preposition, ())]
        return next((self._predicates[t] for t in tries if t in self._predicates), -1)

    def coverage(self, parsed: Iterable[ParsedCaption]) -> dict[str, int]:
        """How many entities and triplets of captions are in the vocabulary: entities, entities_mapped, triplets, ..."""
        counts = Counter(dict.fromkeys(("entities", "entities_mapped", "triplets", "triplets_mapped"), 0))
        for caption in parsed:
            mapped = [self.category(entity) >= 0 for entity in caption.entities]
            counts["entities"] += len(mapped)
            counts["entities_mapped"] += sum(mapped)
            counts["triplets"] += len(caption.triplets)
            counts["triplets_mapped"] += sum(
                mapped[t.subject] and mapped[t.object] and self.predicate(t.predicate) >= 0 for t in caption.triplets
            )
        return dict(counts)
