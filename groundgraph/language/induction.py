"""A vocabulary from what captions say: of visible things, one name a meaning, and relations as people write them.

A word joins the name that means the same thing (WordNet, listed synonyms); of a meaning's words the detector's own
name is taken, else the one that most images say. What no box can be drawn around falls (`boxable`). A word that is too
rare counts for a wider name, which comes in where that is said often enough with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from groundgraph.data.vocabulary import Vocabulary
from groundgraph.language.boxable import boxable, keys_of
from groundgraph.language.concepts import ConceptMap, meaning_of, name_key, same_thing
from groundgraph.language.predicates import is_preposition, same_relation, wider_predicates

Images = Collection[int]
COVERED = 0.4  # of its images, what a name counts for beside a chosen wider one, without it they are not lost

NO_NAMES = frozenset({"n/a", "background", "__background__", "no object"})  # what detectors call classes of nothing

ALONE = 4  # times as often a verb is said with a preposition where its uses without are taken for mistakes


class Names(NamedTuple):
    """An induced list of names, the one that counts most first.

    Attributes:
        chosen: The names.
        fates: Word -> (its name or None, why), why being of `WHY`.
    """

    chosen: tuple[str, ...]
    fates: dict[str, tuple[str | None, str]]

    def renamed(self, rename: Callable[[str], str]) -> Names:
        """The same names as `rename` writes them."""
        chosen = {name: rename(name) for name in self.chosen}
        fates = {word: (chosen.get(name or ""), why) for word, (name, why) in self.fates.items()}
        return Names(tuple(chosen.values()), fates)


ITSELF, SAME, KIND, NO_BOX, RARE, BEYOND = "itself", "the same", "a kind of it", "no box", "rare", "beyond the limit"
APART = "apart"  # a predicate that is never said of two things of the vocabulary
WHY = (ITSELF, SAME, KIND, NO_BOX, RARE, BEYOND, APART)


def induce_categories(uses: Mapping[str, Images], most: int, minimum: int, detected: Sequence[str] = ()) -> Names:
    """Choose the categories of an induced vocabulary.

    Args:
        uses: Noun, as the parser names it -> the images whose captions say it.
        most: Names at most, beside the detector's.
        minimum: Images that a name needs, with the words that mean it.
        detected: The detector's categories. All are names, and in the order of how much they count where half as many
            images as of others say them; beside a wider name they count in full.
    """
    keys = keys_of(detected)
    visible = {word: images for word, images in uses.items() if boxable(word, keys)}
    groups = _merged(visible, same_thing, detected)
    heads = [word.split()[-1] for word in visible if " " in word]
    heads = [head for head in heads if head not in visible and boxable(head, keys)]
    names = dict.fromkeys([*groups, *detected, *heads])
    meant: dict[str | int, list[str]] = {}
    for name in names:
        for part in meaning_of(name).own:
            meant.setdefault(part, []).append(name)

    def wider(name: str) -> list[str]:
        wider_names = dict.fromkeys(other for part in meaning_of(name).up for other in meant.get(part, ()))
        return [other for other in wider_names if other != name]

    chosen, frequent = _chosen(groups, visible, wider, (most, minimum), set(detected))
    # What the detector finds is a thing to be named, whether a caption speaks of it or not.
    chosen = tuple(dict.fromkeys((*chosen, *(name for name in detected if name.lower() not in NO_NAMES))))
    concepts = ConceptMap(Vocabulary(tuple(chosen)), Vocabulary(()))
    return Names(chosen, _fates(uses, chosen, concepts.category_of, (groups, frequent), NO_BOX))


def induce_predicates(uses: Mapping[str, Images], most: int, minimum: int) -> Names:
    """Choose the predicates of an induced vocabulary, in base form ("stand at").

    Args:
        uses: Predicate, as the parser gives it -> the images whose captions say it of two things of the vocabulary.
        most: Names at most.
        minimum: Images that a name needs, with the texts that fall to it.
    """
    groups = _merged({text: images for text, images in uses.items() if not _cut_off(text, uses)}, same_relation)
    name_of = {text: name for name, texts in groups.items() for text in texts}

    def wider(text: str) -> list[str]:
        others = [other for other in wider_predicates(text) if other in name_of or is_preposition(other)]
        named = (name_of.get(o) or next((name for name in groups if same_relation(o, name)), o) for o in others)
        return [other for other in dict.fromkeys(named) if other != text]

    chosen, frequent = _chosen(groups, uses, wider, (most, minimum), set())
    concepts = ConceptMap(Vocabulary(()), Vocabulary(tuple(chosen)))
    return Names(chosen, _fates(uses, chosen, concepts.predicate, (groups, frequent), RARE))


def _cut_off(text: str, uses: Mapping[str, Images]) -> bool:
    """Whether a verb alone is most likely one whose preposition was lost ("sit"): with one it is said far oftener."""
    if " " in text or is_preposition(text):
        return False
    return sum(len(images) for other, images in uses.items() if other.startswith(f"{text} ")) > ALONE * len(uses[text])


def _merged(
    uses: Mapping[str, Images], same: Callable[[str, str], bool], preferred: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Name -> the words that mean the same: a preferred name where one does, else the word that most images say."""
    groups: dict[str, list[str]] = {}
    by_key = {name_key(name): name for name in reversed(preferred)}
    for word in sorted(uses, key=lambda word: (-len(uses[word]), word)):
        name = next((name for name in groups if same(word, name)), None)
        if name is None:
            known = by_key.get(name_key(word)) or next((name for name in preferred if same(word, name)), None)
            name = known or word
        groups.setdefault(name, []).append(word)
    return groups


def _chosen(
    groups: Mapping[str, Sequence[str]],
    uses: Mapping[str, Images],
    wider: Callable[[str], list[str]],
    limits: tuple[int, int],
    whole: Collection[str],
) -> tuple[tuple[str, ...], set[str]]:
    """The names that count most, and all that are said often enough.

    Args:
        groups: Name -> the words that mean it.
        uses: Word -> the images that say it.
        wider: Gives the names wider than one, nearest first.
        limits: Names at most, and the images that one needs.
        whole: Names that count in full beside a wider one, and need half as many images.
    """
    most, minimum = limits
    images = {name: {i for word in words for i in uses[word]} for name, words in groups.items()}
    needed = dict.fromkeys(whole, -(-minimum // 2))
    frequent = {name for name in groups if len(images[name]) >= needed.get(name, minimum)}
    rare = {name: images[name] for name in groups if name not in frequent}
    passed: set[str] = set()
    while rare:  # each rare name counts for the nearest that is wider
        lifted: dict[str, set[int]] = {}
        for name, own in rare.items():
            nearest = next(iter(wider(name)), None)
            if nearest is not None and nearest not in frequent:
                lifted.setdefault(nearest, set(images.get(nearest, ()))).update(own)
        frequent |= {name for name, own in lifted.items() if len(own) >= needed.get(name, minimum)}
        images |= lifted
        rare = {name: own for name, own in lifted.items() if name not in frequent and name not in passed}
        passed |= set(rare)
    above_of = {name: set(wider(name)) for name in frequent}
    chosen: dict[str, None] = {}
    left = sorted(frequent, key=lambda name: (-len(images[name]), name))

    def counts(name: str) -> float:
        return len(images[name]) * (COVERED if name not in whole and chosen.keys() & above_of[name] else 1)

    while left and len(chosen) < most:
        best = max(left, key=counts)
        chosen[best] = None
        left.remove(best)
    return tuple(chosen), frequent


def _fates(
    uses: Mapping[str, Images],
    chosen: Sequence[str],
    number: Callable[[str], int],
    counted: tuple[Mapping[str, Sequence[str]], Collection[str]],
    unusable: str,
) -> dict[str, tuple[str | None, str]]:
    """What became of each word.

    Args:
        uses: The words.
        chosen: The names.
        number: Gives the place of the name that a word means, -1 for none.
        counted: Name -> the words that mean it, of all usable words; the names that are said often enough.
        unusable: Why a word is not among them.
    """
    groups, frequent = counted
    name_of = {word: name for name, words in groups.items() for word in words}
    fates: dict[str, tuple[str | None, str]] = {}
    for word in uses:
        place, name = number(word), name_of.get(word)
        if place >= 0:
            meant = chosen[place]
            fates[word] = meant, ITSELF if meant == word else SAME if meant == name else KIND
        else:
            fates[word] = None, unusable if name is None else BEYOND if name in frequent else RARE
    return fates
