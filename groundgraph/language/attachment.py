"""Where the spaCy model hangs a caption's words wrongly on each other: subjects, lists, phrases of place.

After `mending`, whose tags these rules rely on. The lists are changed in place.
"""

from __future__ import annotations

from collections.abc import Container

from groundgraph.language.lemmas import PREPOSITIONS, is_base, lemma
from groundgraph.language.living import is_animal, is_garment, is_person
from groundgraph.language.mending import is_third_person, is_verb_in_s
from groundgraph.language.words import BE, BODY_PARTS, COVERED, INTRANSITIVE, MOTION, TETHERS, WATCHING

# Alike in the singular and the plural, so that "the sheep drink" may be a sentence.
_ALIKE = frozenset("people sheep deer fish moose geese police cattle".split())
_PHRASE = ("DT", "PRP$", "JJ", "JJR", "JJS", "CD", "VBN", "NN", "NNS", "NNP", "PDT", "HYPH", "AFX")
_BEFORE_CLAUSES = frozenset("and , while as where when that which but . ;".split())
_PRONOUNS = frozenset("it him her them".split())


def attach(words: list[str], tags: list[str], deps: list[str], heads: list[int], names: Container[int]) -> None:
    """Mend heads and labels in place; arguments as of `mend`."""
    links = _Links(words, tags, deps, heads, names)
    links.verbs_like_nouns()
    links.covered()
    links.particles()
    links.invert()
    links.lists()
    links.rejoin()
    links.tether()
    _break_circles(deps, heads)


def _break_circles(deps: list[str], heads: list[int]) -> None:
    """Let no word hang on itself by way of others, which a caption that is no language may bring about."""
    sound: set[int] = set()
    for i in range(len(heads)):
        path, k = [], i
        while k not in sound and k not in path and heads[k] != k:
            path.append(k)
            k = heads[k]
        if k in path:
            heads[k], deps[k] = k, "ROOT"
        sound.update(path)


class _Links:
    def __init__(
        self, words: list[str], tags: list[str], deps: list[str], heads: list[int], names: Container[int]
    ) -> None:
        self.words, self.tags, self.deps, self.heads, self.names = words, tags, deps, heads, names

    def link(self, i: int, head: int, label: str) -> None:
        """Hang the word at i on another; what hung on it and is above it now takes its place."""
        k = head
        while self.heads[k] != k and k != i:
            k = self.heads[k]
        if k == i and head != i:  # head hangs on i
            self.heads[head], self.deps[head] = (head, "ROOT") if self.heads[i] == i else (self.heads[i], self.deps[i])
        self.heads[i], self.deps[i] = head, label

    def lives(self, i: int) -> bool:
        """Whether the noun at i names people or animals."""
        return is_person(self.words[i]) or is_animal(self.words[i])

    def phrase(self, i: int) -> int:
        """The head noun of the noun phrase that begins at i, or -1."""
        last = -1
        while i < len(self.words) and self.tags[i] in _PHRASE:
            if self.tags[i][:2] == "NN":
                last = i
            elif last >= 0 and self.tags[i] not in ("HYPH", "AFX"):
                break
            i += 1
        return last

    def opens(self, noun: int) -> int:
        """The first word of the noun phrase that ends at a noun."""
        i = noun
        while i > 0 and self.tags[i - 1] in _PHRASE:
            i -= 1
            if self.tags[i] in ("DT", "PRP$") and self.tags[i - 1 : i] != ["PDT"]:
                break
        return i

    def verbs_like_nouns(self) -> None:
        """ "Two zebras graze", "a dog sleeps": after a noun that it agrees with, what can be a verb is one."""
        words, tags = self.words, self.tags
        for i in range(1, len(words)):
            if (
                i in self.names
                or tags[i] not in ("NN", "NNS")
                or tags[i - 1] not in ("NN", "NNS", "NNP")
                or not self._agrees(i)
            ):
                continue
            strong = words[i - 1] in _ALIKE or is_third_person(words, tags, i)
            if tags[i + 1 : i + 2] in (["NN"], ["NNS"]) and self.heads[i] == i + 1 and not strong:
                continue
            first = self.opens(i - 1)
            tags[i] = "VBZ" if words[i].endswith("s") else "VBP"
            noun, top = i - 1, i
            if self.deps[i] in ("compound", "nmod") and self.heads[i] == i + 1:  # "sheep drink water"
                top = i + 1
            head, label = above, _ = self.heads[top], self.deps[top]
            for k in range(first, noun):
                if self.heads[k] in (i, top):
                    self.heads[k] = noun
            if label in ("pobj", "dobj", "conj", "appos") and head < first:
                self.heads[noun], self.deps[noun] = head, label
                if self._under_watch(i):
                    self.heads[i], self.deps[i] = noun, "acl"
                else:  # "a girl in a dress kicks a ball"
                    while self.heads[head] != head:
                        head = self.heads[head]
                    self.heads[head], self.deps[head] = i, "nsubj"
                    self.heads[i], self.deps[i] = i, "ROOT"
            else:
                self.heads[i], self.deps[i] = i, "ROOT"
                self.heads[noun], self.deps[noun] = i, "nsubj"
            for k in range(i + 1, len(words)):
                if self.heads[k] in (top, k) and k != top and self.deps[k] in ("ROOT", "appos", "dep", "npadvmod"):
                    self.heads[k] = i
            after = self.phrase(i + 1)
            if after > i and self.heads[after] in (i, after, above):
                self.heads[after], self.deps[after] = i, "dobj"

    def _agrees(self, i: int) -> bool:
        """Whether the word at i is a verb in form, and of the number of the noun before it."""
        word, subject = self.words[i], self.words[i - 1]
        if any(tag in ("VBZ", "VBP", "VBD", "MD") for tag in self.tags[:i] if tag) and not self._under_watch(i):
            return False
        if is_third_person(self.words, self.tags, i):
            return True
        first = self.opens(i - 1)
        opens = not first or self.words[first - 1] in _BEFORE_CLAUSES or self._under_watch(i)
        if is_verb_in_s(word):
            free = first < i - 1 and not any(tag[0] == "V" for tag in self.tags)
            return opens and free and self.lives(i - 1)
        if not opens or self.words[first] in ("a", "an"):
            return self._under_watch(i) and self.lives(i - 1)
        if word == lemma(word, "verb") and is_base(word, "verb"):
            plural = self.tags[i - 1] == "NNS" and lemma(subject, "noun") != subject
            starts = first < i - 1 and self.tags[i + 1 : i + 2] not in (["IN"], [], ["."])
            return plural or (subject in _ALIKE and starts)
        return False

    def _under_watch(self, i: int) -> bool:
        """Whether the noun before i is the object of a verb of watching or helping."""
        first = self.opens(i - 1)
        return first > 0 and self.tags[first - 1][0] == "V" and lemma(self.words[first - 1], "verb") in WATCHING

    def covered(self) -> None:
        """ "A snow covered mountain": the participle between two nouns describes the second."""
        for i in range(1, len(self.words) - 1):
            if self.tags[i] not in ("VBN", "VBD") or self.deps[i] == "amod" or self.tags[i - 1] not in ("NN", "NNS"):
                continue
            noun = self.phrase(i + 1)
            if lemma(self.words[i], "verb") in COVERED and noun >= 0 and self.tags[i + 1] in ("NN", "NNS", "JJ"):
                self.tags[i] = "VBN"
                self.link(i, noun, "amod")
                for k in range(len(self.words)):
                    if self.heads[k] == i and k not in (i - 1, i):
                        self.heads[k] = noun

    def particles(self) -> None:
        """ "Skates down a ramp": after a verb of moving, a particle with a noun phrase is a preposition."""
        for i in range(1, len(self.words) - 1):
            if self.deps[i] not in ("prt", "advmod") or self.words[i] not in PREPOSITIONS or self.words[i] == "out":
                continue
            verb, noun = self.heads[i], self.phrase(i + 1)
            if noun < 0 or verb >= i or lemma(self.words[verb], "verb") not in MOTION:
                continue
            if self.heads[noun] in (verb, i) and self.deps[noun] in ("dobj", "npadvmod", "pobj"):
                self.tags[i], self.deps[i] = "IN", "prep"
                self.heads[noun], self.deps[noun] = i, "pobj"

    def invert(self) -> None:
        """ "On the table sits a cat", "hanging on the wall is a picture", "there sits a bird": the subject is last."""
        words, tags = self.words, self.tags
        verb = next((k for k, tag in enumerate(tags) if tag in ("VBZ", "VBP", "VBD", "VB") or words[k] in BE), -1)
        if verb < 1 or (words[verb] not in BE and lemma(words[verb], "verb") not in INTRANSITIVE | MOTION):
            return
        subject = self.phrase(verb + 1)
        participle = tags[0] in ("VBG", "VBN") and words[verb] in BE
        there = words[0] == "there" and verb == 1 and words[verb] not in BE
        if subject < 0 or not (there or participle or self._only_places(verb)):
            return
        if participle:
            self.link(0, subject, "acl")
            self.heads[subject], self.deps[subject] = verb, "nsubj"
            self.heads[verb], self.deps[verb] = verb, "ROOT"
            return
        for k in range(verb):
            if self.heads[k] == verb and tags[k][:2] == "NN":  # a place taken for the subject
                before = next((p for p in range(k, -1, -1) if words[p] in PREPOSITIONS), k)
                self.heads[k], self.deps[k] = before, "pobj"
        self.link(subject, verb, "nsubj")
        self.heads[verb], self.deps[verb] = verb, "ROOT"
        if there:
            for k in range(subject + 1, len(words)):
                if self.heads[k] == subject and self.deps[k] == "prep" and words[k] != "of":
                    self.heads[k] = verb
        for k in range(verb):
            lost = tags[k] in ("IN", "RB", "TO", "JJ") and self.heads[k] in (subject, k)
            if lost or (k == 0 and not there and self.deps[0] != "prep"):
                self.heads[k], self.deps[k] = verb, "prep"

    def _only_places(self, verb: int) -> bool:
        """Whether all nouns before the verb follow prepositions, the first of which opens the caption."""
        opens = self.words[0] in PREPOSITIONS or self.tags[0] == "IN"
        if not opens:
            return False
        for k in range(verb):
            if self.tags[k][:2] == "NN" and self.tags[k + 1][:2] != "NN":
                first = self.opens(k)
                if self.words[first - 1] not in PREPOSITIONS and self.words[first - 1] not in ("of", "and", "to"):
                    return False
        return True

    def tether(self) -> None:
        """ "With a dog on a leash", "boxes on it", "a ring on her finger": the place is of the thing before."""
        words, tags = self.words, self.tags
        for p in range(2, len(words) - 1):
            before = p - 1
            if words[p] not in PREPOSITIONS or tags[before][:2] != "NN" or self.heads[p] == before:
                continue
            if self.deps[before] not in ("pobj", "dobj", "conj") or self.deps[p] != "prep":
                continue
            noun = self.phrase(p + 1)
            after = words[noun + 1 : noun + 3] if noun > 0 else []
            if words[p] == "with" and after[:1] and after[0] in PREPOSITIONS and after[1:] in (["it"], ["them"]):
                self.heads[p] = before  # "pushing a cart with boxes on it"
                continue
            own = noun > 0 and tags[p + 1] == "PRP$" and lemma(words[noun], "noun") in BODY_PARTS
            tied = noun > 0 and lemma(words[noun], "noun") in TETHERS
            pronoun = words[p + 1] in _PRONOUNS and words[self.heads[before]] in ("with", "has", "have", "having")
            if words[p] == "with" and self.deps[self.heads[before]] == "agent":
                self.heads[p] = before  # "pulled by a horse with a bell"
            held = words[self.heads[before]] == "with" or (tied and self.deps[before] == "dobj")
            if pronoun or (held and words[p] in ("on", "in", "around", "over", "at") and (own or tied)):
                self.heads[p] = before

    def rejoin(self) -> None:
        """ "A man with a hat and a bag": a thing joined to somebody is what he has, does or wears, too."""
        for k, dep in enumerate(self.deps):
            head = self.heads[k]
            if dep not in ("conj", "appos") or self.tags[k][:2] != "NN" or head >= k or self.tags[head][:2] != "NN":
                continue
            alike = is_person(self.words[k]) if is_person(self.words[head]) else self.lives(k)
            if not self.lives(head) or alike or self._has_clause(k):
                continue
            before = self._listed_before(k)
            if before > head and self.deps[before] in ("pobj", "dobj", "conj"):
                self.heads[k], self.deps[k] = before, "conj"

    def lists(self) -> None:
        """ "Looking at a cat and a bird", "a vase and two candles": a second noun read as the sentence's root."""
        for k, head in enumerate(self.heads):
            listed = any(self.deps[m] == "conj" and self.heads[m] == k for m in range(k + 1, len(self.heads)))
            if self.deps[k] == "appos" and listed and self._listed_before(k) == head:
                self.deps[k] = "conj"  # "a cap, a vest and boots"
            if head != k or self.tags[k][:2] != "NN" or self._has_clause(k):
                continue
            first, before = self.opens(k), self._listed_before(k)
            if before < 0 or (is_person(self.words[k]) and not is_person(self.words[before])):
                continue
            own = [m for m in range(first) if self.heads[m] == k]
            root = next((m for m in own if self.tags[m][:2] == "NN"), before)
            for m in own:
                self.heads[m] = root
            for m in range(first, k):
                self.heads[m] = k
            self.heads[root], self.deps[root] = root, "ROOT"
            self.heads[k], self.deps[k] = before, "conj"

    def _has_clause(self, k: int) -> bool:
        """Whether a clause of the noun at k follows it; a garment's is its wearer's."""
        tag, word = (*self.tags[k + 1 : k + 2], ""), (*self.words[k + 1 : k + 2], "")
        finite = tag[0] in ("WDT", "WP", "MD", "VBZ", "VBP", "VBD") or word[0] in ("that", *BE)
        return finite or (tag[0] in ("VBG", "VBN") and not is_garment(self.words[k]))

    def _listed_before(self, k: int) -> int:
        """The noun just before "and" or a comma and the noun phrase at k, or -1."""
        i = self.opens(k) - 1
        if i < 1:
            return -1
        if self.words[i] not in ("and", "or", ","):
            return -1
        i -= 1 + (self.words[i - 1] == ",")
        return i if i >= 0 and self.tags[i][:2] == "NN" else -1
