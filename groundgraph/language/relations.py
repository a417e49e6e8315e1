"""Triplets from one caption's tree: verbs, prepositions, possessives, relative clauses; "and" is distributed."""

from __future__ import annotations

from itertools import pairwise

from groundgraph.language.lemmas import PREPOSITIONS, is_base, lemma
from groundgraph.language.tree import SUBJECTS, Tree
from groundgraph.language.words import ARTICLES, BE, GARMENTS, PLACED, RELATIVE, VESSELS

OBJECTS = ("dobj", "obj", "dative", "oprd")
CLAUSES = ("xcomp", "advcl", "ccomp", "conj", "aux", "dep", "parataxis", "auxpass")


class Relations:
    """Reads the (subject position, predicate, object position) triplets of a tree; `found` keeps their order."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.found: dict[tuple[int, str, int], None] = {}
        t = tree
        self.verbs = [
            i
            for i, tag in enumerate(t.tags)
            if (tag[0] == "V" or t.words[i] in BE)
            and i not in t.inside
            and i not in t.meaning
            and t.deps[i] not in ("aux", "auxpass", "amod", "compound")
        ]
        for verb in self.verbs:
            self._verb(verb)
        for preposition in t.prepositions:
            self._preposition(preposition)
        for noun in t.nouns:
            self._possessive(noun)
        self._neighbours()

    def add(self, subjects: list[int], predicate: str, objects: list[int]) -> bool:
        """Every subject with every object, as the things they stand for; whether there was one."""
        meaning, entities = self.tree.meaning, self.tree.entities
        for s in subjects:
            for o in objects:
                s_, o_ = meaning.get(s, s), meaning.get(o, o)
                if s_ != o_ and s_ in entities and o_ in entities:
                    self.found[(s_, predicate, o_)] = None
        return bool(subjects and objects)

    def things(self, i: int) -> list[int]:
        """The noun at i and those joined to it by "and"; nothing for pronouns."""
        return [k for k in [i, *self.tree.coordinated(i)] if k in self.tree.meaning]

    def antecedent(self, verb: int) -> list[int]:
        """What the relative pronoun in the verb's clause stands for: the noun that the clause hangs on."""
        t, seen = self.tree, set()
        while verb not in seen:
            seen.add(verb)
            head = t.heads[verb]
            if t.deps[verb] in ("relcl", "acl"):
                return [head] if head in t.meaning else self._left(verb)
            verb = head
        return self._left(verb)

    def _left(self, i: int) -> list[int]:
        """The nearest noun to the left that isn't a preposition's object, else the nearest of all."""
        t = self.tree
        nouns = [k for k in t.nouns if k < i]
        free = [k for k in nouns if t.deps[k] not in ("pobj", "dobj", "poss")]
        return [(free or nouns)[-1]] if nouns else []

    def subjects(self, verb: int, depth: int = 0) -> list[int]:
        """Nouns that do what the verb says (or, of a passive, that it is done to)."""
        t = self.tree
        given = [c for c in t.children[verb] if t.deps[c] in SUBJECTS]
        if t.words[verb] in BE or not given:
            given = given or [c for c in t.children[verb] if t.deps[c] == "attr" and self._there(verb)]
        for child in given:
            if t.words[child] in RELATIVE and child not in t.meaning:
                return self.antecedent(verb)
            if child in t.meaning:
                return self.things(child)
            if t.tags[child] in ("DT", "EX") or t.words[child] == "this":
                return [k for c in t.children[verb] if t.deps[c] == "attr" for k in self.things(c)]
        head = t.heads[verb]
        if depth > 8:
            return []
        if t.deps[verb] in ("acl", "relcl") and head in t.meaning:
            return [head]
        if t.deps[verb] in CLAUSES and head != verb:
            if head in t.meaning and head < verb:
                return [head]
            if t.tags[head][0] == "V" or t.words[head] in BE:
                return self.subjects(head, depth + 1)
        if t.deps[verb] == "pcomp":
            return []
        if given:
            return []
        lefts = [c for c in t.children[verb] if c < verb and c in t.meaning]
        return self.things(lefts[-1]) if lefts else self._left(verb)

    def _there(self, verb: int) -> bool:
        t = self.tree
        return any(t.deps[c] == "expl" for c in t.children[verb]) or not any(
            t.deps[c] in SUBJECTS for c in t.children[verb]
        )

    def passive(self, verb: int) -> bool:
        t = self.tree
        if t.tags[verb] not in ("VBN", "VBD"):
            return False
        marks = {t.deps[c] for c in t.children[verb]}
        if {"auxpass", "nsubjpass", "agent"} & marks:
            return True
        return t.tags[verb] == "VBN" and not {"dobj", "aux", "nsubj"} & marks

    def gap(self, verb: int) -> list[int]:
        """In a relative clause with a subject of its own, the noun that the clause lacks: "a horse a man is riding"."""
        t = self.tree
        if (
            t.deps[verb] not in ("relcl", "acl", "ccomp", "advcl")
            or t.heads[verb] not in t.meaning
            or t.heads[verb] > verb
        ):
            return []
        own = [c for c in t.children[verb] if t.deps[c] in SUBJECTS and t.words[c] not in RELATIVE]
        return [t.heads[verb]] if own else []

    def _verb(self, verb: int) -> None:
        t = self.tree
        base = lemma(t.words[verb], "verb")
        if t.words[verb] in BE:
            return
        children = t.children[verb]
        subjects = self.subjects(verb)
        agents = [c for c in children if t.deps[c] == "agent" and c in t.prepositions]
        if self.passive(verb):
            if base not in PLACED:
                for agent in agents:
                    self.add(self.objects_of(agent), base, subjects)
            return
        objects = [k for c in children if t.deps[c] in OBJECTS and c != verb for k in self.things(c)]
        if any(t.deps[c] in OBJECTS and t.words[c] in RELATIVE and c not in t.meaning for c in children):
            objects += self.antecedent(verb)
        elif not objects and not self._stranded(verb):
            objects += self.gap(verb)
        if not objects:
            # "holding and eating an apple": the last verb's object is everyone's.
            shared = [c for c in t.coordinated(verb) if t.tags[c] == t.tags[verb]]
            bare = not any(c in t.prepositions or t.deps[c] in ("prt", "advmod", "acomp", "xcomp") for c in children)
            if shared and bare:
                objects = [k for c in t.children[shared[0]] if t.deps[c] == "dobj" for k in self.things(c)]
        if not objects and t.deps[verb] == "broken":
            objects = self._next(verb)
        worn = base == "have" and any(t.words[c] == "on" and t.deps[c] in ("prt", "advmod", "prep") for c in children)
        for o in objects:
            self.add(subjects, "wear" if worn and self._garment(o) else base, [o])

    def _next(self, i: int) -> list[int]:
        """The noun that follows i with nothing but its own articles and adjectives between."""
        t = self.tree
        k = i + 1
        while k < len(t.words) and k not in t.meaning:
            if t.tags[k] not in ("DT", "PRP$", "JJ", "CD"):
                return []
            k += 1
        return self.things(t.meaning[k]) if k in t.meaning else []

    def _stranded(self, verb: int) -> list[int]:
        """Prepositions of the verb left without an object ("the beach a girl is standing on")."""
        t = self.tree
        return [
            c
            for c in t.children[verb]
            if t.deps[c] in ("prep", "prt") and t.words[c] in PREPOSITIONS and not t.children[c]
        ]

    def objects_of(self, preposition: int) -> list[int]:
        """Nouns that the preposition leads to."""
        t = self.tree
        _, end = t.prepositions[preposition]
        objects: list[int] = []
        for k in range(preposition, end + 1):
            for c in t.children[k]:
                if c > end and t.deps[c] == "pobj":
                    if t.words[c] in RELATIVE and c not in t.meaning:
                        return self.antecedent(t.heads[preposition])
                    objects += self.things(c)
        if not objects:
            shared = [c for c in t.coordinated(preposition) if c in t.prepositions]
            if shared:
                return self.objects_of(shared[-1])
        return objects or (self._next(end) if end > preposition or t.deps[preposition] != "agent" else [])

    def _governor(self, preposition: int) -> tuple[int, str]:
        """The noun or verb a preposition belongs to, and the adjective or preposition passed on the way up."""
        t = self.tree
        _, end = t.prepositions[preposition]
        i, before = t.heads[preposition], ""
        for _ in range(8):
            if preposition <= i <= end or (t.deps[preposition] == "conj" and i in t.prepositions):
                i = t.heads[i]
            elif i in t.meaning or t.tags[i][0] == "V" or t.words[i] in BE:
                break
            elif t.tags[i] in ("JJ", "JJR") and t.deps[i] in ("acomp", "amod", "acl", "ROOT", "oprd"):
                before, i = t.words[i], t.heads[i]
            else:
                i = t.heads[i]
        return i, before

    def _preposition(self, p: int) -> None:
        t = self.tree
        text, _ = t.prepositions[p]
        governor, adjective = self._governor(p)
        if adjective:
            text = f"{adjective} {text}"
        if governor in t.meaning:
            objects = self.objects_of(p)
            noun = t.meaning[governor] if t.meaning[governor] in t.entities else governor
            if noun > p:
                lefts = self._left(p)
                self.add(lefts, text, objects)
            elif text == "of":
                self._of(governor, objects)
            elif objects:
                together = t.deps[governor] in ("ROOT", *SUBJECTS, "attr") or t.deps[governor] == "conj"
                owners = self._joined(governor) if together else [governor]
                for o in objects:
                    self.add(owners, self._worn(text, o), [o])
        elif governor in self.verbs or t.tags[governor][0] == "V" or t.words[governor] in BE:
            self._verb_preposition(governor, p, text)
        else:
            self.add(self._left(p), text, self.objects_of(p))

    def _joined(self, noun: int) -> list[int]:
        """A noun with those before it in its "and" chain: what follows the last is true of all."""
        t, found = self.tree, [noun]
        while t.deps[noun] == "conj" and t.heads[noun] in t.meaning:
            noun = t.heads[noun]
            if t.children[noun] and any(c in t.prepositions or t.deps[c] in ("acl", "relcl") for c in t.children[noun]):
                break
            found.append(noun)
        last = found[-1]
        rooted = t.deps[last] in ("ROOT", *SUBJECTS, "attr")
        return found[::-1] if rooted else found[:1]

    def _verb_preposition(self, verb: int, p: int, text: str) -> None:
        t = self.tree
        base = lemma(t.words[verb], "verb")
        if t.words[p] == "by" and self.passive(verb) and base not in PLACED and t.deps[p] == "agent":
            return
        subjects = self.subjects(verb)
        objects = self.objects_of(p)
        if not objects and (self._stranded(verb) and p in self._stranded(verb)):
            objects = self.gap(verb)
        if t.words[verb] in BE:
            for o in objects:
                self.add(subjects, self._worn(text, o), [o])
            return
        direct = [k for c in t.children[verb] if t.deps[c] in OBJECTS for k in self.things(c)]
        for o in objects:
            if base == "dress" and text == "in" and self._garment(o):
                self.add(subjects, "wear", [o])
            elif direct and text != "with":
                self.add(subjects, text, [o])
            else:
                self.add(subjects, f"{base} {text}", [o])

    def _of(self, whole: int, objects: list[int]) -> None:
        """ "The head of a man" is had by the man; a cup of tea holds it; a picture of a man has neither."""
        t = self.tree
        if t.meaning[whole] != whole and t.nouns.get(whole) is not None:
            return
        word = lemma(t.words[whole], "noun")
        if t.is_picture(whole):
            self.add([whole], "of", objects)
        elif word in VESSELS:
            self.add(objects, VESSELS[word], [whole])
        else:
            self.add(objects, "have", [whole])

    def _garment(self, noun: int) -> bool:
        words = self.tree.words
        return words[noun] in GARMENTS or lemma(words[noun], "noun") in GARMENTS

    def _worn(self, text: str, o: int) -> str:
        """Being in a garment is wearing it."""
        return "wear" if text == "in" and self._garment(o) else text

    def _possessive(self, noun: int) -> None:
        t = self.tree
        for child in t.children[noun]:
            if t.deps[child] == "poss" and child in t.meaning and any(t.tags[c] == "POS" for c in t.children[child]):
                for owned in [noun, *t.coordinated(noun)]:
                    self.add([child], "have", [owned])

    def _neighbours(self) -> None:
        """Two neighbouring nouns that the parse leaves unrelated are related by what stands between."""
        t = self.tree
        nouns = list(t.entities)
        heads = [s for s, _, _ in self.found]
        reached = {o for _, _, o in self.found}
        for a, b in pairwise(nouns):
            if b in reached or any({s, o} == {a, b} for s, _, o in self.found):
                continue
            between = [k for k in range(a + 1, t.nouns[b]) if t.words[k] not in ARTICLES]
            verbs = [k for k in between if t.tags[k][0] == "V" and t.words[k] not in BE]
            places = [k for k in between if k in t.prepositions or (t.tags[k] == "IN" and t.words[k] in PREPOSITIONS)]
            stop = any(t.tags[k] in ("CC", ",", ".", "POS", "WDT", "WP", ":", "-LRB-") for k in between)
            if b in heads or stop or not (verbs or places):
                continue
            verb = lemma(t.words[verbs[-1]], "verb") if verbs else ""
            place = t.prepositions.get(places[-1], (t.words[places[-1]], 0))[0] if places else ""
            if verb and not is_base(verb, "verb"):
                verb = ""
            if verb and place == "by" and verb not in PLACED and t.tags[verbs[-1]] in ("VBN", "VBD"):
                self.add([b], verb, [a])
            elif not verb and place == "of":
                self._of(a, [b])
            elif verb or place:
                self.add([a], self._worn(" ".join(x for x in (verb, place) if x), b), [b])
