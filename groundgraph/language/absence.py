"""What a caption says isn't there ("with no cars", "without a helmet", "isn't wearing a hat") or isn't so."""

from __future__ import annotations

import re
from collections.abc import Sequence

from groundgraph.language.lemmas import lemma
from groundgraph.language.mending import is_third_person
from groundgraph.language.tree import Tree
from groundgraph.language.words import BE, BODY_PARTS

MENTIONED = re.compile(
    r"\b(?:no|not|none|nothing|nobody|neither|nor|never|cannot|without|instead|lack\w*|missing)\b|n't\b", re.I
)
NOBODY = frozenset("nobody nothing none noone nowhere".split())
_NOT = frozenset("not n't never n’t cannot".split())
_ALTERNATIVE = frozenset("or nor and".split())
_NOUN_PHRASE = ("DT", "PDT", "JJ", "JJR", "JJS", "CD", "PRP$", "NN", "NNS", "NNP", "NNPS", "HYPH", "POS", "RB", "AFX")
_HOLDING = frozenset("with wearing having holding carrying showing containing featuring".split())
_BACK = frozenset("it them him her me sight view".split())
# Verbs whose object isn't there where they are denied, however it is said.
_HAVING = frozenset("have wear contain include own show".split())
LACKING = frozenset("lack miss".split())
_ABLE = frozenset("can could do does did will would".split())


def absent_phrases(words: Sequence[str], tags: Sequence[str]) -> list[tuple[int, int]]:
    """Phrases that add nothing but what isn't there: "without a helmet", "with no food on it", ", no pillows".

    Args:
        words: In lower case.
        tags: Penn's, a word each.

    Returns:
        (first, one after the last) positions.
    """
    phrases, i = [], 0
    while i < len(words):
        start = _opens(words, i)
        end = _noun_phrase(words, tags, start) if start else 0
        if end > start:
            more = words[i] in _HOLDING and list(words[end : end + 1]) in (["and"], ["but"])
            phrases.append((start, end + 1) if more else (i, end := _tail(words, tags, end)))  # "with no hat and a tie"
            i = end
        else:
            i += 1
    return phrases


def _opens(words: Sequence[str], i: int) -> int:
    """Where the noun phrase begins that a phrase of absence at i has, or 0."""
    word, after = words[i], list(words[i + 1 : i + 3])
    if word == "without":
        return i + 1
    if word == "instead" and after[:1] == ["of"]:
        return i + 2
    joins = i > 0 and word in ("but", "and", ",", "or")
    if word in _HOLDING or joins:
        if after[:1] in (["no"], ["nothing"], ["nobody"], ["zero"]) or (joins and after[:1] == ["without"]):
            return i + 1 + (joins and after[:1] == ["without"])
        if after[:1] == ["not"] and after[1:] in (["a"], ["any"], ["an"]):
            return i + 2
    return 0


def _noun_phrase(words: Sequence[str], tags: Sequence[str], i: int) -> int:
    """One after the last word of the noun phrase at i, with what "or" and "and" join to it; 0 where there is none."""
    end, k = 0, i  # end: after the last noun so far
    while k < len(words):
        noun = tags[k][:2] == "NN" or words[k] in NOBODY or words[k] == "one"
        if noun and end and tags[k] == "NNS" and is_third_person(words, tags, k):
            break
        if noun:
            end = k + 1
        elif words[k] in _ALTERNATIVE or words[k] == ",":
            after = tags[k + 1 : k + 2]
            new = words[k] not in ("or", "nor") and (
                words[k + 1 : k + 2] == ["no"] or after in (["DT"], ["CD"], ["PRP$"])
            )
            if end != k or new or not after or after[0] not in _NOUN_PHRASE:
                break
        elif tags[k] in ("VBG", "VBN") and end != k and tags[k + 1 : k + 2] in (["NN"], ["NNS"]):
            pass
        elif tags[k] not in _NOUN_PHRASE or (end == k and tags[k] not in ("POS", "HYPH")):
            break
        k += 1
    return end


def _tail(words: Sequence[str], tags: Sequence[str], end: int) -> int:
    """One after what belongs to the absent thing alone: "on it", "parked in it", "in sight", "on" at the end."""
    k = end
    while k < len(words) and tags[k] in ("VBN", "VBG", "JJ", "RB", "RP"):
        k += 1
    if k < len(words) and tags[k] in ("IN", "RP", "TO"):
        if k + 1 == len(words) or tags[k + 1] in (".", ","):
            return k + 1
        if tags[k + 1] == "PRP$" and lemma((*words[k + 2 : k + 3], "")[0], "noun") in BODY_PARTS:
            return k + 3  # "on his head"
        last = k + 1 + (words[k + 1] in ("the", "front", "top"))
        if words[last : last + 1] and words[last] in _BACK:
            return last + 1
    return end


def find_absent(tree: Tree) -> None:
    """Fill a tree's `absent` and `denied`."""
    if MENTIONED.search(" ".join(tree.words)):
        _Absence(tree)


class _Absence:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        for i, word in enumerate(tree.words):
            if word in NOBODY:
                self._absent(i)
                if tree.words[i + 1 : i + 2] == ["of"]:
                    self._absent_after(i + 1)
            elif word in ("no", "neither", "nor", "zero"):
                self._absent_after(i)
            elif word in _NOT:
                self._deny(i)
            elif tree.tags[i][0] == "V" and lemma(word, "verb") in LACKING:
                self.tree.denied.add(i)
                self._objects(i, always=True)

    def _absent_after(self, i: int) -> None:
        """The noun that follows i is absent, unless it's a sign for it ("a no parking sign")."""
        t = self.tree
        noun = next((k for k in t.nouns if k > i), None)
        between = t.words[i + 1 : noun]
        if noun is not None and t.words[noun] not in ("sign", "signs") and not {",", "and"} & set(between):
            self._absent(noun)

    def _absent(self, noun: int) -> None:
        t = self.tree
        self.tree.absent.add(noun)
        for k in t.coordinated(noun):
            others = {t.words[c] for c in t.children[k]}
            joined = t.words[k - 1] in ("or", "nor", "and", ",") or "nor" in others
            if joined and not {"a", "an", "the"} & others:
                self.tree.absent.add(k)

    def _deny(self, i: int) -> None:
        """The verb or preposition that the "not" at i belongs to, and its indefinite objects."""
        t = self.tree
        after = next((k for k in range(i + 1, len(t.words)) if t.tags[k] != "RB" and t.tags[k] != "JJ"), None)
        if t.tags[i + 1 : i + 2] == ["DT"] and t.words[i + 1] in ("a", "an", "any"):
            self._absent_after(i)
        head = t.heads[i]
        if after is not None and (t.tags[after][0] == "V" or after in t.prepositions or t.tags[after] == "IN"):
            self.tree.denied.add(after)
        while t.deps[head] in ("aux", "auxpass") and t.heads[head] != head:
            head = t.heads[head]
        if t.tags[head][0] == "V" or t.tags[head] == "MD":
            verbs = [head, *(k for k in range(head + 1, len(t.words)) if t.deps[k] == "conj" and t.heads[k] == head)]
            for verb in verbs:
                if verb == head or t.words[verb - 1] in ("or", "nor"):
                    self.tree.denied.add(verb)
        for verb in [k for k in t.denied if t.tags[k][0] == "V" or k in t.prepositions]:
            self._objects(verb, lemma(t.words[verb], "verb") in _HAVING)

    def _objects(self, verb: int, always: bool) -> None:
        """Objects of a denied verb or preposition that aren't there: all or those without "the" or an owner."""
        t = self.tree
        places = [p for p in t.children[verb] if p in t.prepositions] if t.words[verb] in BE else []
        for k in [*t.children[verb], *(o for p in places for o in t.children[t.prepositions[p][1]])]:
            if k > verb and k in t.nouns and t.deps[k] in ("dobj", "attr", "oprd", "conj", "nsubj", "pobj"):
                known = {t.words[c] for c in t.children[k]} & {
                    "the",
                    "this",
                    "that",
                    "these",
                    "his",
                    "her",
                    "its",
                    "their",
                }
                if always or not known:
                    self._absent(k)
