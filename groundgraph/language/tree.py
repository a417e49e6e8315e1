"""One caption's dependency parse as plain lists, mended where the model errs on captions, and the entities in it."""

from __future__ import annotations

from functools import cached_property

from groundgraph.data.types import Entity, Span
from groundgraph.language.attachment import attach
from groundgraph.language.lemmas import PREPOSITIONS, lemma, name_lemma
from groundgraph.language.living import is_animal, is_person
from groundgraph.language.mending import mend
from groundgraph.language.words import (
    ADJECTIVES,
    AMOUNTS,
    ARTICLES,
    BODY_PARTS,
    COLOURS,
    COVERED,
    DETERMINERS,
    EQUAL_PREPOSITIONS,
    FIXED_PREPOSITIONS,
    MATERIALS,
    NUMBERS,
    PICTURES,
    PLACES,
    SHADES,
    SPELLINGS,
)

_ALSO_ADVERBS = frozenset("beneath underneath inside outside behind near above below under over around".split())
SUBJECTS = ("nsubj", "nsubjpass")


class Tree:
    """Words of one caption with tags, labels and heads by position, and the nouns that stand for things.

    Args:
        tokens: The words as they stand.
        tags: Penn's, a word each.
        deps: Dependency labels, a word each.
        heads: Positions of the governing words; a root is its own.
        spans: The words' characters in the caption.
        names: Of a word that stands for a name of several: (first character, all words in lower case).

    Attributes:
        words: In lower case.
        prepositions: Position -> (text, last position), simple and of several words.
        inside: Position of each word of a preposition -> the preposition's first.
        nouns: Position of each head noun -> first position of its compound.
        absent: Nouns that aren't there, as `absence` finds.
        denied: Verbs and prepositions that aren't so, likewise.
        antecedents: Position of each pronoun that stands for a noun -> the noun's, as `pronouns` finds.
    """

    def __init__(
        self,
        tokens: list[str],
        tags: list[str],
        deps: list[str],
        heads: list[int],
        spans: list[Span],
        names: dict[int, tuple[int, str]],
    ) -> None:
        self.tokens, self.tags, self.deps, self.heads, self.spans, self.names = tokens, tags, deps, heads, spans, names
        self.words = [token.lower() for token in tokens]
        mend(self.words, tags, deps, heads, names)
        attach(self.words, tags, deps, heads, names)
        self.children: list[list[int]] = [[] for _ in tokens]
        for i, head in enumerate(heads):
            if head != i:
                self.children[head].append(i)
        self.prepositions: dict[int, tuple[str, int]] = {}
        self.inside: dict[int, int] = {}
        self._find_prepositions()
        self.nouns: dict[int, int] = {}
        self._find_nouns()
        self.absent: set[int] = set()
        self.denied: set[int] = set()
        self.antecedents: dict[int, int] = {}

    def _find_prepositions(self) -> None:
        words, tags = self.words, self.tags
        i = 0
        while i < len(words):
            end = self._several(i)
            if end:
                text = " ".join(w for w in words[i : end + 1] if w not in ARTICLES and w != "very")
                self.prepositions[i] = (EQUAL_PREPOSITIONS.get(text, text), end)
                for k in range(i, end + 1):
                    self.inside[k] = i
                i = end + 1
                continue
            simple = tags[i] == "IN" and words[i] in PREPOSITIONS and self.deps[i] != "mark"
            loose = tags[i] == "RB" and words[i] in _ALSO_ADVERBS
            loose = loose and tags[i + 1 : i + 2] in (["DT"], ["NN"], ["NNS"], ["JJ"], ["PRP$"], ["CD"])
            if simple or loose or (tags[i] in ("TO", "RB", "RP", "VBG", "JJ", "CC", "VB") and self._governs(i)):
                self.prepositions[i] = (words[i], i)
                self.inside[i] = i
            i += 1

    def _governs(self, i: int) -> bool:
        return self.deps[i] in ("prep", "agent") and any(self.deps[c] in ("pobj", "pcomp") for c in self.children[i])

    def _several(self, i: int) -> int:
        """Last position of a preposition of several words that begins at i, or 0."""
        words = self.words
        if words[i] == "on" and words[i + 1 :] == ["top"]:
            return i + 1
        if i + 2 < len(words) and words[i + 1] in FIXED_PREPOSITIONS.get(words[i], ()):
            return i + 2 if words[i + 1 : i + 3] == ["top", "of"] else i + 1
        if words[i] not in ("in", "on", "at", "to", "by", "from", "along"):
            return 0
        k = i + 1
        while k < len(words) and (words[k] in ARTICLES or words[k] in ("other", "very", "left", "right", "far")):
            if words[k] in ("left", "right") and words[k + 1 : k + 2] == ["of"]:
                break
            k += 1
        return k + 1 if words[k : k + 1] and words[k] in PLACES and words[k + 1 : k + 2] == ["of"] else 0

    def _find_nouns(self) -> None:
        i, n = 0, len(self.words)
        while i < n:
            if not self._nominal(i):
                i += 1
                continue
            first = i
            while i + 1 < n and self._nominal(i + 1) and self._joined(i):
                i += 1
            self.nouns[i] = first
            i += 1

    def _nominal(self, i: int) -> bool:
        tag = self.tags[i]
        if i in self.inside or not tag.startswith("NN"):
            # An adjective or gerund used as a thing: "the white", "a painting" read as a verb.
            return (
                i not in self.inside
                and tag in ("JJ", "VBG")
                and self.deps[i] in ("dobj", "pobj", "nsubj")
                and self.tags[i - 1 : i] in (["DT"], ["PRP$"], ["JJ"])
                and self.words[i] not in COLOURS
                and self.words[i - 1 : i + 1] != ["each", "other"]
            )
        return any(c.isalnum() for c in self.words[i])

    def _joined(self, i: int) -> bool:
        """Whether the noun at i belongs to the noun phrase that goes on at i + 1."""
        head = self.heads[i]
        if self.owns(i) or i + 1 == self._topic:
            return False
        if self.deps[i] in ("compound", "nmod", "amod", "nummod", "det", "poss") and head > i:
            return True
        return self.deps[i + 1] in ("compound", "nmod") or (
            self.heads[i + 1] == i and self.deps[i + 1] in ("dep", "compound")
        )

    @cached_property
    def _topic(self) -> int:
        """The subject of a caption that ends on its verb's preposition: "stool man is sitting on" names two things."""
        last = len(self.words) - 1 - (self.tags[-1] == ".")
        if last < 3 or self.words[last] not in PREPOSITIONS or self.tags[last - 1][:2] != "VB":
            return -1
        subject = next((k for k in self.children[last - 1] if self.deps[k] in SUBJECTS), -1)
        return subject if subject > 0 and self.heads[subject - 1] == subject else -1

    def owns(self, i: int) -> bool:
        """Whether the noun at i is the owner of the body part that follows without an "'s" ("man hand")."""
        tags = [tag[:2] for tag in self.tags[i : i + 3]]
        if tags[:2] != ["NN", "NN"] or tags[2:] == ["NN"] or lemma(self.words[i + 1], "noun") not in BODY_PARTS:
            return False
        return is_person(self.words[i]) or is_animal(self.words[i])

    @cached_property
    def meaning(self) -> dict[int, int]:
        """Noun -> the noun that stands for it: an amount's thing, a compound's head, a pronoun's antecedent."""
        meaning = {}
        for noun, first in self.nouns.items():
            for part in range(first, noun + 1):
                meaning[part] = noun
        for noun in self.nouns:
            if self.is_amount(noun):
                thing = next((k for k in self.nouns if k > noun), None)
                if thing is not None:
                    meaning[noun] = thing
        return meaning | self.antecedents

    def is_amount(self, noun: int) -> bool:
        """Whether the noun says how many of what follows."""
        return self.words[noun + 1 : noun + 2] == ["of"] and lemma(self.words[noun], "noun") in AMOUNTS

    @cached_property
    def entities(self) -> dict[int, Entity]:
        """Head position -> entity, in the order of the caption."""
        left_out = {noun for noun in self.nouns if self.meaning[noun] != noun} | self.absent
        return {noun: self._entity(noun) for noun in self.nouns if noun not in left_out}

    def _entity(self, noun: int) -> Entity:
        words, tags = self.words, self.tags
        first, attributes = self.nouns[noun], []
        described = COLOURS | MATERIALS
        parts = [k for k in range(first, noun) if words[k] not in described or k in self.names]
        attributes += [self.attribute(k) for k in range(first, noun) if k not in parts]
        k = first - 1
        while k >= 0 and self._modifies(k, noun):
            covered = k - 1 in self.nouns and lemma(words[k], "verb") in COVERED  # "snow covered" is a relation
            describes = tags[k][:2] in ("JJ", "VB", "CD") or words[k] in COLOURS
            if describes and not covered and words[k] not in DETERMINERS:
                attributes.insert(0, self.attribute(k))
            k -= 1
        first = k + 1
        while first < noun and tags[first] in ("CC", ",", "RB", "HYPH", ":"):
            first += 1
        name = name_lemma(" ".join(self.full(p) for p in [*parts, noun]))
        name = SPELLINGS.get(name, name)
        attributes += [a for a in self._predicated(noun) if a not in attributes]
        start = self.names[first][0] if first in self.names else self.spans[first][0]
        head_span = self.spans[noun]
        shades = [a for a in attributes if any(a != b and b.endswith(" " + a) for b in attributes)]
        kept = tuple(
            dict.fromkeys(a for a in attributes if (a not in shades and a not in SHADES) or len(attributes) == 1)
        )
        return Entity("", self.tokens[noun], name, (start, head_span[1]), head_span, kept)

    def full(self, i: int) -> str:
        """The word at i in lower case, or all words of the name that it stands for."""
        return self.names[i][1] if i in self.names else self.words[i]

    def _modifies(self, k: int, noun: int) -> bool:
        """Whether the word at k, left of what is known to belong to the noun, belongs to it too."""
        tag, word = self.tags[k], self.words[k]
        if k in self.inside:
            return False
        if tag in ("JJ", "JJR", "JJS", "CD", "DT", "PRP$", "PDT", "HYPH", "AFX") or (
            word in COLOURS and k not in self.nouns
        ):
            return self.deps[k] != "acomp"
        if tag in ("VBN", "VBG", "VBD"):
            return self.deps[k] in ("amod", "compound") and self.heads[k] > k
        if tag in ("CC", ","):
            sides = self.tags[k - 1 : k], self.tags[k + 1 : k + 2]
            return all(side and side[0][:2] in ("JJ", "CD") for side in sides) and self.deps[k - 1] != "acomp"
        return tag in ("RB", "RBS", "RBR") and self.tags[k + 1][:2] == "JJ"

    def attribute(self, k: int) -> str:
        """The adjective at k: a number in digits, a shade with its colour ("dark green"), a degree ("very tall")."""
        word = self.words[k]
        if word in NUMBERS:
            return NUMBERS[word]
        word = ADJECTIVES.get(word, word)
        before = self.words[k - 1] if k else ""
        if before == "-" and k > 1 and self.tags[k - 2] == "AFX":
            return f"{self.words[k - 2]} {word}"
        shade = before in SHADES and word in COLOURS
        degree = k > 0 and self.tags[k - 1] == "RB" and self.heads[k - 1] == k and self.tags[k] == "JJ"
        return f"{before} {word}" if shade or degree else word

    def _predicated(self, noun: int) -> list[str]:
        """Adjectives after a noun: "the dog is brown", "a bus red and white"."""
        adjectives = []
        for child in self.children[noun]:
            if child > noun and self.deps[child] in ("amod", "acl", "advcl") and self.tags[child] == "JJ":
                adjectives += [child, *self.coordinated(child)]
        verb = self.heads[noun]
        if self.deps[noun] in SUBJECTS and verb not in self.denied:
            complements = [c for c in self.children[verb] if self.deps[c] in ("acomp", "oprd") and c not in self.inside]
            for c in complements:
                adjectives += [c, *self.coordinated(c)]
        return [self.attribute(k) for k in adjectives if self.tags[k][:2] in ("JJ", "CD") and not self._has_place(k)]

    def _has_place(self, adjective: int) -> bool:
        """Whether the adjective opens a relation ("full of water") instead of describing."""
        return any(self.deps[c] == "prep" and c in self.prepositions for c in self.children[adjective])

    def coordinated(self, i: int) -> list[int]:
        """Positions joined to i by "and", however long the chain."""
        joined, todo = [], [i]
        while todo:
            for child in self.children[todo.pop()]:
                if self.deps[child] == "conj" and child not in joined:
                    joined.append(child)
                    todo.append(child)
        return joined

    def is_picture(self, noun: int) -> bool:
        """Whether the noun names a picture of things rather than a thing with parts."""
        return lemma(self.words[noun], "noun") in PICTURES
