"""Who does what to whom in one caption's tree: subjects, objects, agents and antecedents of its verbs."""

from __future__ import annotations

from groundgraph.language.lemmas import PREPOSITIONS, lemma
from groundgraph.language.living import is_animal, is_garment, is_person
from groundgraph.language.tree import SUBJECTS, Tree
from groundgraph.language.words import ASKING, BE, COVERING, HUMAN_ACTS, INTRANSITIVE, PLACED, RELATIVE, WATCHING

OBJECTS = ("dobj", "obj", "dative", "oprd")
CLAUSES = ("xcomp", "advcl", "ccomp", "conj", "aux", "dep", "parataxis", "auxpass")
# What a garment keeps for itself; anything else said of a worn one is said of its wearer.
OF_GARMENTS = frozenset({"of", "on", "for", "from"})


class Clauses:
    """Questions about a tree's words by position; a noun that isn't there (pronouns, "it") is an empty list."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def is_verb(self, i: int) -> bool:
        """Whether the word at i is a verb or a form of "be"."""
        return self.tree.tags[i][0] == "V" or self.tree.words[i] in BE

    def is_person(self, noun: int) -> bool:
        """Whether the noun names people."""
        return is_person(self.tree.words[noun])

    def is_garment(self, noun: int) -> bool:
        """Whether the noun names what people wear."""
        return is_garment(self.tree.words[noun])

    def with_label(self, i: int, *labels: str) -> list[int]:
        """Children of i with one of the dependency labels."""
        t = self.tree
        return [c for c in t.children[i] if t.deps[c] in labels]

    def things(self, i: int) -> list[int]:
        """The noun at i and those joined to it by "and"; nothing for pronouns.

        "A box and a boy wearing trousers": a person after a thing (or the reverse) with a clause of its own opens a
        new sentence and isn't joined.
        """
        t = self.tree
        if t.owns(i):  # "in man hand"
            i += 1
        if i not in t.meaning:
            return [k for k in t.coordinated(i) if k in t.meaning]
        joined = [k for k in t.coordinated(i) if k in t.meaning]
        return [i, *(k for k in joined if self.is_person(k) == self.is_person(i) or not self._has_clause(k))]

    def _has_clause(self, noun: int) -> bool:
        t = self.tree
        places = [c for c in t.children[noun] if c in t.prepositions and t.words[c] != "of"]
        own = any(c > noun for c in [*places, *self.with_label(noun, "acl", "relcl")])
        return own or t.tags[noun + 1 : noun + 2] in (["VBG"], ["VBZ"], ["VBN"])

    def left_of(self, i: int) -> list[int]:
        """The nearest noun to the left that isn't an object, else the nearest of all."""
        t = self.tree
        nouns = [k for k in t.nouns if k < i]
        free = [k for k in nouns if t.deps[k] not in ("pobj", "dobj", "poss")]
        return [(free or nouns)[-1]] if nouns else []

    def antecedent(self, verb: int) -> list[int]:
        """What the relative pronoun in the verb's clause stands for: the noun that the clause hangs on."""
        t, visited = self.tree, set()
        while verb not in visited:
            visited.add(verb)
            head = t.heads[verb]
            if t.deps[verb] in ("relcl", "acl"):
                return self.doers(head, verb) if head in t.meaning else self.left_of(verb)
            verb = head
        return self.left_of(verb)

    def doers(self, noun: int, clause: int) -> list[int]:
        """The nouns that a clause after `noun` speaks of: its "and" chain, or the chain's last where kinds differ.

        A clause on a worn garment speaks of the wearer ("a man in a red shirt holding a cup") unless it's passive.
        """
        t = self.tree
        chain = [noun, *(k for k in t.coordinated(noun) if k < clause and k in t.meaning)]
        if len({self.is_person(k) for k in chain}) > 1:
            chain = chain[-1:]
        elif len(chain) == 1:
            chain = self.joined(noun)
        if t.tags[clause] in ("VBN", "VBD"):
            return chain
        return self.wearer(chain[-1]) or self.actor(chain[-1], clause) or chain

    def actor(self, noun: int, clause: int) -> list[int]:
        """The person at the place or thing that a human act is said after: "a boy at an airport carrying a dog"."""
        t = self.tree
        head = t.heads[noun]
        alive = self.is_person(noun) or is_animal(t.words[noun])
        if alive or t.deps[noun] != "pobj" or lemma(t.words[clause], "verb") not in HUMAN_ACTS:
            return []
        while t.deps[head] in ("prep", "pobj") and t.heads[head] != head:
            head = t.heads[head]
            if head in t.meaning and self.is_person(head):
                return [head]
        return []

    def joined(self, noun: int, before: int = 0) -> list[int]:
        """A noun with those before it in its "and" chain, and those after it but before `before`.

        What follows the last is true of all: "salt and pepper on the table".
        """
        t, chain = self.tree, [noun]
        later = [k for k in self.things(noun)[1:] if k < before]
        if later:
            return [noun, *later]
        while t.deps[noun] == "conj" and t.heads[noun] in t.meaning:
            noun = t.heads[noun]
            if self._has_clause(noun):
                break
            chain.append(noun)
        rooted = t.deps[chain[-1]] in ("ROOT", *SUBJECTS, "attr")
        return chain[::-1] if rooted else chain[:1]

    def wearer(self, noun: int) -> list[int]:
        """Who wears the garment at `noun`, where the caption says it just before; else nobody."""
        t = self.tree
        if not self.is_garment(noun):
            return []
        while t.deps[noun] == "conj" and t.heads[noun] in t.meaning and self.is_garment(t.heads[noun]):
            noun = t.heads[noun]  # "in a hoodie and jeans"
        head = t.heads[noun]
        if t.deps[noun] == "pobj" and t.words[head] in ("in", "with"):
            people = self.subjects(t.heads[head]) if self.is_verb(t.heads[head]) else [t.heads[head]]
        elif t.deps[noun] == "dobj" and lemma(t.words[head], "verb") == "wear":
            people = self.subjects(head)
        else:
            return []
        return [p for p in people if p in t.meaning and p < noun and not self.is_garment(p)]

    def subjects(self, verb: int, depth: int = 0) -> list[int]:
        """Nouns that do what the verb says (or, of a passive, that it is done to)."""
        t = self.tree
        children = self.with_label(verb, *SUBJECTS)
        if not children and (t.words[verb] in BE or self.with_label(verb, "expl")):
            children = self.with_label(verb, "attr")
        if children:
            # Of two clauses run into one, the nearest subject is the verb's own.
            child = self._after_marker(children[-1], verb)
            if t.words[child] in RELATIVE and child not in t.meaning:
                return self.antecedent(verb)
            if child in t.meaning:
                others = [k for k in t.coordinated(child) if k < verb and k in t.meaning]
                if others and any(c in t.antecedents for c in self.with_label(verb, *OBJECTS)):
                    return others[-1:]  # "some balloons and a clown holding them"
                return self.things(child)
            if t.tags[child] in ("DT", "EX"):
                return [k for c in self.with_label(verb, "attr") for k in self.things(c)]
        if depth > 8:
            return []
        head = t.heads[verb]
        if t.deps[verb] in ("acl", "relcl") and head in t.meaning:
            return self.doers(head, verb)
        if t.deps[verb] == "xcomp" and lemma(t.words[head], "verb") in WATCHING | ASKING:
            objects = [k for c in self.with_label(head, "dobj") if c < verb for k in self.things(c)]
            if objects:
                return objects
        if t.deps[verb] in CLAUSES and head != verb:
            if head in t.meaning and head < verb:
                return self.doers(head, verb)
            if self.is_verb(head):
                return self.subjects(head, depth + 1)
        if children or t.deps[verb] == "pcomp":
            return []
        lefts = [c for c in t.children[verb] if c < verb and c in t.meaning]
        return self.things(lefts[-1]) if lefts else self.left_of(verb)

    def _after_marker(self, subject: int, verb: int) -> int:
        """The first noun after "as" or "while" where the parser took a subject from before it."""
        t = self.tree
        for marker in range(subject + 1, verb):
            if t.words[marker] in ("as", "while") and marker not in t.inside:
                after = [k for k in t.nouns if marker < k < verb]
                return after[0] if after else subject
        return subject

    def passive(self, verb: int) -> bool:
        """Whether the verb's subject is what it is done to."""
        t = self.tree
        if t.tags[verb] not in ("VBN", "VBD"):
            return False
        labels = {t.deps[c] for c in t.children[verb]}
        if {"auxpass", "nsubjpass", "agent"} & labels:
            return True
        if t.tags[verb] == "VBN":
            return not {"dobj", "aux", "nsubj"} & labels
        if lemma(t.words[verb], "verb") in COVERING:
            return "dobj" not in labels
        # "a sheep walked by a man": people are done by rarely, things do by people never.
        return any(self.is_person(o) for o in self.by(verb)) and not any(map(self.is_person, self.subjects(verb)))

    def by(self, verb: int) -> list[int]:
        """Nouns after the verb's "by"."""
        t = self.tree
        return [o for c in t.children[verb] if c in t.prepositions and t.words[c] == "by" for o in self.objects_of(c)]

    def agents(self, verb: int) -> list[int]:
        """Who does what a passive verb says; nobody for verbs of place ("a car parked by a tree")."""
        base = lemma(self.tree.words[verb], "verb")
        if base in PLACED or not self.passive(verb):
            return []
        return self.by(verb) or (self.coverers(verb) if base in COVERING else [])

    def coverers(self, verb: int) -> list[int]:
        """What covers or lines the subject: "a street covered in snow", "a field lined with trees"."""
        t = self.tree
        over = [c for c in t.children[verb] if c in t.prepositions and t.words[c] in ("with", "in")]
        return [o for c in over for o in self.objects_of(c)]

    def gap(self, verb: int) -> list[int]:
        """In a relative clause with a subject of its own, the noun that the clause lacks: "a horse a man is riding"."""
        t = self.tree
        head = t.heads[verb]
        if t.deps[verb] not in ("relcl", "acl", "ccomp", "advcl") or head not in t.meaning or head > verb:
            return []
        if self.with_label(verb, "acomp") or any(t.words[c] in ("as", "while", "when") for c in t.children[verb]):
            return []
        return [head] if any(t.words[c] not in RELATIVE for c in self.with_label(verb, *SUBJECTS)) else []

    def stranded(self, verb: int) -> list[int]:
        """Prepositions of the verb left without an object ("the beach a girl is standing on")."""
        t = self.tree
        loose = [c for c in self.with_label(verb, "prep", "prt") if t.words[c] in PREPOSITIONS]
        return [c for c in loose if not t.children[c]]

    def next_noun(self, i: int) -> list[int]:
        """The noun that follows i with nothing but its own articles and adjectives between."""
        t = self.tree
        k = i + 1
        while k < len(t.words) and k not in t.meaning:
            if t.tags[k] not in ("DT", "PRP$", "JJ", "CD"):
                return []
            k += 1
        return self.things(t.meaning[k]) if k in t.meaning else []

    def objects(self, verb: int) -> list[int]:
        """Nouns that the verb acts on."""
        t = self.tree
        direct = self.with_label(verb, *OBJECTS)
        objects = [k for c in direct for k in self.things(c)]
        if lemma(t.words[verb], "verb") in WATCHING:
            acts = [c for c in self.with_label(verb, "ccomp", "xcomp") if t.tags[c] in ("VB", "VBG", "VBP")]
            objects += [k for c in acts for s in self.with_label(c, "nsubj") if s > verb for k in self.things(s)]
        if any(t.words[c] in RELATIVE and c not in t.meaning for c in direct):
            return objects + self.antecedent(verb)
        if not objects and not self.stranded(verb) and not any(c in t.prepositions for c in direct):
            reached = any(self.objects_of(c) == [] for c in t.children[verb] if c in t.prepositions)
            relative = any(
                t.words[o] in RELATIVE for c in t.children[verb] if c in t.prepositions for o in t.children[c]
            )
            objects = [] if reached or relative else self.gap(verb)
        if not objects:
            # "holding and eating an apple": the last verb's object is everyone's.
            shared = [c for c in t.coordinated(verb) if t.tags[c] == t.tags[verb]]
            own = self.with_label(verb, "prt", "advmod", "acomp", "xcomp")
            alone = lemma(t.words[verb], "verb") in INTRANSITIVE
            if shared and not own and not alone and not any(c in t.prepositions for c in t.children[verb]):
                objects = [k for c in self.with_label(shared[0], "dobj") for k in self.things(c)]
        return objects

    def objects_of(self, preposition: int) -> list[int]:
        """Nouns that a preposition leads to."""
        t = self.tree
        _, end = t.prepositions[preposition]
        objects: list[int] = []
        for k in range(preposition, end + 1):
            for c in self.with_label(k, "pobj"):
                if c > end:
                    if t.words[c] in RELATIVE and c not in t.meaning:
                        return self.antecedent(t.heads[preposition])
                    objects += self.things(c)
        if not objects:
            shared = [c for c in t.coordinated(preposition) if c in t.prepositions]
            if shared:
                return self.objects_of(shared[-1])
        return objects or self.next_noun(end)

    def governor(self, preposition: int) -> tuple[int, str]:
        """The noun or verb a preposition belongs to, and the adjective passed on the way up ("full of")."""
        t = self.tree
        _, end = t.prepositions[preposition]
        i, adjective = t.heads[preposition], ""
        for _ in range(8):
            if not (preposition <= i <= end or (t.deps[preposition] == "conj" and i in t.prepositions)):
                if i in t.meaning or self.is_verb(i):
                    break
                if t.tags[i] in ("JJ", "JJR") and t.deps[i] in ("acomp", "amod", "acl", "ROOT", "oprd"):
                    adjective = t.words[i]
            i = t.heads[i]
        return i, adjective
