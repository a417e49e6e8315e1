"""Slips of the spaCy model on captions, which are no sentences, mended in a tree's tags, labels and heads.

Each rule knows a slip by the words around it, never by the caption. The lists are changed in place.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from groundgraph.language.lemmas import PREPOSITIONS, is_base, lemma
from groundgraph.language.living import is_animal, is_person
from groundgraph.language.words import BE, COLOURS, ING_NOUNS


def mend(words: list[str], tags: list[str], deps: list[str], heads: list[int], names: Container[int]) -> None:
    """Mend a parse in place.

    Args:
        words: In lower case.
        tags: Penn's, a word each.
        deps: Dependency labels, a word each.
        heads: Positions of the governing words; a root is its own.
        names: Positions of words that stand for a name of several and are nouns for sure.
    """
    slips = _Slips(words, tags, deps, heads)
    for i in range(len(words)):
        if i in names and tags[i][:2] != "NN":
            slips.make_noun(i)
    slips.retag()
    slips.name_nouns()
    slips.free_participle()
    slips.join_verb_like_nouns()
    slips.hyphens()


def is_verb_in_s(word: str) -> bool:
    """Whether a word may be a verb's third person ("stops") as well as a noun's plural."""
    base = lemma(word, "verb")
    return word.endswith("s") and base != word and is_base(base, "verb")


def is_third_person(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether the word in -s at i is a verb after "a dog": one thing, named just before, that has no plural."""
    word = words[i]
    if not is_verb_in_s(word) or not i or tags[i - 1] not in ("NN", "NNP"):
        return False
    k = i - 1
    while k > 0 and tags[k - 1] in ("NN", "JJ", "VBG", "VBN"):
        k -= 1
    return k > 0 and words[k - 1] in ("a", "an", "one", "each", "every", "another", "this", "that")


class _Slips:
    def __init__(self, words: list[str], tags: list[str], deps: list[str], heads: list[int]) -> None:
        self.words, self.tags, self.deps, self.heads = words, tags, deps, heads

    def is_noun(self, i: int) -> bool:
        """Whether the word may be a noun at all."""
        word = self.words[i]
        return word not in BE and word not in PREPOSITIONS and is_base(lemma(word, "noun"), "noun")

    def make_noun(self, i: int) -> None:
        self.tags[i] = "NNS" if self.words[i] != lemma(self.words[i], "noun") else "NN"

    def make_modifier(self, i: int, noun: int, label: str) -> None:
        """The word at i, read as what governs the noun after it, becomes a modifier of that noun."""
        deps, heads = self.deps, self.heads
        if heads[noun] == i:
            heads[noun] = noun if heads[i] == i else heads[i]
            deps[noun] = "pobj" if deps[i] == "pcomp" else deps[i]
        for k, head in enumerate(heads):
            if head == i and k not in (i, noun):
                heads[k] = noun
        heads[i], deps[i] = noun, label

    def name_nouns(self) -> None:
        """Nouns that pass for verbs by their form: "to building", "next to sidewalk"."""
        words, tags = self.words, self.tags
        for i, word in enumerate(words):
            before, after = tags[i - 1] if i else "", tags[i + 1 : i + 2]
            if tags[i] == "VBG" and word in ING_NOUNS:
                if before in ("", "DT", "JJ", "IN", "TO", "CD", "PRP$") and after not in (["DT"], ["PRP$"], ["NN"]):
                    tags[i] = "NN"
                    if self.deps[i] == "pcomp":
                        self.deps[i] = "pobj"
            elif tags[i] == "VB" and i > 1 and words[i - 1] == "to" and words[i - 2] in ("next", "close"):
                if self.is_noun(i):
                    self.make_noun(i)
            elif i == 0 and tags[i] == "RB" and after == ["IN"] and self.is_noun(i) and not is_base(word, "adj"):
                self.make_noun(i)
            elif tags[i] == "JJ" and self.deps[i] in ("pobj", "dobj", "nsubj") and not is_base(word, "adj"):
                if lemma(word, "noun") != word and self.is_noun(i):  # "a flock of geese"
                    self.make_noun(i)
            elif tags[i] in ("VBZ", "VB", "VBP", "JJR") and i and self.is_noun(i):
                if self.deps[i - 1] == "compound" and self.heads[i - 1] == i:
                    self.make_noun(i)

    def free_participle(self) -> None:
        """ "Arched window on side of building": a participle that opens the phrase describes the noun after it."""
        words, tags, deps, heads = self.words, self.tags, self.deps, self.heads
        for i in range(len(words) - 1):
            opens = not i or tags[i - 1] == "DT"
            if opens and tags[i] in ("VBN", "VBD") and words[i] not in BE and deps[i] != "amod":
                noun = next(
                    (k for k in range(i + 1, len(words)) if heads[k] == i and deps[k] in ("dobj", "nsubj")), None
                )
                if noun is not None and all(t[:2] in ("NN", "JJ") for t in tags[i + 1 : noun + 1]):
                    tags[i] = "VBN"
                    self.make_modifier(i, noun, "amod")

    def join_verb_like_nouns(self) -> None:
        """ "Walking on rocks and gravel": a bare "verb" after a noun and "and", with nothing of its own, is a noun."""
        words, tags = self.words, self.tags
        for i in range(2, len(words)):
            ends = tags[i + 1 : i + 2] in ([], ["."], [","], ["IN"])
            in_list = words[i - 1] in ("and", "or") and tags[i - 2][:2] == "NN" and ends
            if (
                in_list
                and tags[i] in ("VB", "VBP")
                and self.is_noun(i)
                and i not in (h for k, h in enumerate(self.heads) if k != i)
            ):
                self.make_noun(i)
                self.heads[i], self.deps[i] = i - 2, "conj"

    def hyphens(self) -> None:
        """ "Heart-shaped", "two-story": one adjective with what the hyphen joins; "snow-covered" tells who covers."""
        words, tags = self.words, self.tags
        for i in range(1, len(words) - 1):
            if words[i] == "-" and tags[i + 1] in ("VBN", "JJ") and tags[i - 1][:2] in ("NN", "JJ"):
                if lemma(words[i + 1], "verb") != "cover":
                    tags[i - 1], tags[i + 1] = "AFX", "JJ"
            elif (
                words[i] == "-"
                and tags[i - 1] in ("CD", "JJ")
                and tags[i + 1] == "NN"
                and tags[i + 2 : i + 3] in (["NN"], ["NNS"])
            ):
                tags[i - 1], tags[i + 1] = "AFX", "JJ"
            elif words[i] in ("dozen", "hundred", "thousand") and tags[i + 1] in ("NN", "NNS", "JJ"):
                tags[i] = "DT"  # how many, and no part of a name

    def retag(self) -> None:
        """The two commonest slips: a bare noun read as a verb, and a gerund after its subject read as a noun."""
        words, tags = self.words, self.tags
        last = len(words) - 1
        for i, tag in enumerate(tags):
            before = tags[i - 1] if i else ""
            if tag == "VBZ" and self._bare_verb(i + 1) and (is_person(words[i]) or is_animal(words[i])):
                tags[i], tags[i + 1] = "NNS", "VBP"  # "cows graze"
                self.heads[i + 1] = i + 1 if self.heads[i] == i else self.heads[i]
                self.deps[i + 1], self.heads[i], self.deps[i] = self.deps[i], i + 1, "nsubj"
                self.heads[:] = [i + 1 if head == i and k < i else head for k, head in enumerate(self.heads)]
            elif tag in ("VB", "VBP", "VBZ", "VBD", "JJ", "UH", "FW", "RB") and i < last:
                opens = not i or before in ("DT", "PRP$") or (before in ("JJ", "CD") and tag != "JJ" and tag != "VBD")
                after = tags[i + 1]
                verbs = ("VBG", "VBZ", "VBN", "IN", "POS") if tag in ("VB", "VBP", "VBZ") else ("VBG", "VBZ", "POS")
                is_noun = self.is_noun(i)
                if opens and after in verbs and is_noun and words[i] not in COLOURS:
                    self.make_noun(i)
                elif opens and tag == "JJ" and is_noun and self._gerund(i + 1) and not is_base(words[i], "adj"):
                    tags[i] = "NN"
            elif tag == "NNS" and before == "CC" and i < last and words[i + 1] in ("it", "him", "them"):
                if is_verb_in_s(words[i]):  # "and chases it"
                    tags[i] = "VBZ"
                    self.heads[i + 1], self.deps[i + 1] = i, "dobj"
                    verb = next((k for k in range(i - 2, 0, -1) if tags[k][0] == "V"), i)
                    self.heads[i], self.deps[i] = verb, "conj"
            elif tag in ("NN", "NNP") and i and before[:2] == "NN" and self._gerund(i):
                tags[i] = "VBG"
                self._free_gerund(i)
            elif tag == "VBG" and before[:2] == "NN" and self._swallows(i):
                self._free_gerund(i)

    def _bare_verb(self, i: int) -> bool:
        """Whether the word at i is a verb in its base form, read as a noun."""
        word = self.words[i] if i < len(self.words) else ""
        return (
            self.tags[i : i + 1] in (["NN"], ["VB"], ["VBP"]) and lemma(word, "verb") == word and is_base(word, "verb")
        )

    def _gerund(self, i: int) -> bool:
        """Whether the noun at i, with more after it, may be a verb in -ing."""
        word, after = self.words[i], self.tags[i + 1 : i + 2]
        if not word.endswith("ing") or word in ING_NOUNS or not after:
            return False
        base = lemma(word, "verb")
        return (
            base != word
            and is_base(base, "verb")
            and after[0] in ("DT", "PRP$", "IN", "CD", "JJ", "NN", "NNS", "RP", "TO")
        )

    def _swallows(self, i: int) -> bool:
        """Whether the gerund at i stands in a noun phrase with the noun before it ("in a shirt holding ...")."""
        joined = self.heads[i - 1] == i and self.deps[i - 1] in ("compound", "nmod", "npadvmod")
        return (self.deps[i] in ("amod", "compound", "nmod") and self.heads[i] > i) or (
            joined and self.deps[i] in ("pobj", "dobj", "pcomp")
        )

    def _free_gerund(self, i: int) -> None:
        """Splits "shirt holding bottle", read as one thing: the noun before the verb takes the whole's place."""
        deps, heads, noun = self.deps, self.heads, i - 1
        top = heads[i] if heads[i] > i and self.tags[heads[i]][:2] == "NN" else i
        for k in range(noun):
            if heads[k] in (top, i) and deps[k] in ("det", "amod", "compound", "nummod", "poss"):
                heads[k] = noun
        heads[noun] = noun if heads[top] == top else heads[top]
        deps[noun] = deps[top]
        if top != i:
            last = next((k for k in range(top - 1, i, -1) if heads[k] == i and deps[k] == "conj"), i)
            heads[top], deps[top] = last, "dobj"  # of the last of "cooking and tasting soup"
        heads[i], deps[i] = noun, "acl"
