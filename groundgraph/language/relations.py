"""Triplets from one caption's tree: verbs, prepositions, possessives, relative clauses; "and" is distributed."""

from __future__ import annotations

from itertools import pairwise

from groundgraph.language.clauses import OF_GARMENTS, Clauses
from groundgraph.language.lemmas import PREPOSITIONS, is_base, lemma
from groundgraph.language.tree import SUBJECTS, Tree
from groundgraph.language.words import ARTICLES, BE, BODY_PARTS, MEASURED, PLACED, SEATED, TRIMMINGS, VESSELS


class Relations:
    """Reads the (subject position, predicate, object position) triplets of a tree.

    Attributes:
        triplets: Its keys, in the order they were read.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree, self.clauses = tree, Clauses(tree)
        self.triplets: dict[tuple[int, str, int], None] = {}
        for i in range(len(tree.words)):
            if self.clauses.is_verb(i) and i not in tree.inside and i not in tree.meaning:
                self._verb(i)
        for preposition in tree.prepositions:
            self._preposition(preposition)
        for noun in tree.nouns:
            self._possessive(noun)
        self._neighbours()

    def add(self, subjects: list[int], predicate: str, objects: list[int]) -> None:
        """Every subject with every object, as the things they stand for."""
        meaning, entities = self.tree.meaning, self.tree.entities
        for s in subjects:
            for o in objects:
                s_, o_ = meaning.get(s, s), meaning.get(o, o)
                if s_ != o_ and s_ in entities and o_ in entities:
                    self.triplets[(s_, predicate, o_)] = None

    def _verb(self, verb: int) -> None:
        t, c = self.tree, self.clauses
        base = lemma(t.words[verb], "verb")
        if t.words[verb] in BE or t.deps[verb] in ("aux", "auxpass", "compound") or verb in t.denied:
            return
        if t.deps[verb] == "amod":
            # "a snow covered sign": what covers it stands before the participle.
            if t.tags[verb] == "VBN" and verb - 1 in t.nouns and t.heads[verb] > verb and base not in MEASURED:
                self.add([verb - 1], base, [t.heads[verb]])
            return
        if c.passive(verb):
            self.add(c.agents(verb), base, c.subjects(verb))
            return
        worn = base == "have" and any(t.words[k] == "on" for k in c.with_label(verb, "prt", "advmod", "prep"))
        particle = next((" " + t.words[k] for k in c.with_label(verb, "prt") if k == verb + 1 and not worn), "")
        for o in c.objects(verb):
            self.add(c.subjects(verb), "wear" if worn and c.is_garment(o) else base + particle, [o])
        self._left_open(verb, base)

    def _left_open(self, verb: int, base: str) -> None:
        """ "Stool man is sitting on", "the tracks the trolley is driving on": the object stands before the subject."""
        t, c = self.tree, self.clauses
        last = len(t.words) - 1 - (t.tags[-1] == ".")
        stranded = t.words[last] in PREPOSITIONS and t.heads[last] == verb
        subjects = c.with_label(verb, *SUBJECTS)
        if not subjects or subjects[-1] not in t.nouns or not (stranded or (len(subjects) == 2 and verb == last)):
            return
        before = t.nouns[subjects[-1]] - 1
        while before >= 0 and (t.words[before] in ARTICLES or t.tags[before][:2] in ("JJ", "CD")):
            before -= 1
        if before in t.nouns:
            base = SEATED.get(base, base)
            self.add(subjects[-1:], f"{base} {t.words[last]}" if stranded else base, [before])

    def _preposition(self, p: int) -> None:
        t, c = self.tree, self.clauses
        text, _ = t.prepositions[p]
        governor, adjective = c.governor(p)
        if governor in t.denied or p in t.denied:
            return
        governor = self._vessel(governor)
        objects = c.objects_of(p)
        if adjective:
            text = f"{adjective} {text}"
        if governor in t.meaning:
            if governor > p:
                self._placed(c.left_of(p), text, objects)
            elif text == "of":
                self._of(governor, objects)
            elif text == "with" and self._echo(governor, objects):
                return
            else:
                trimmed = text == "with" and any(t.words[o] in TRIMMINGS for o in objects)
                owners = [] if text in OF_GARMENTS or trimmed else c.wearer(governor)
                together = t.deps[governor] in ("ROOT", *SUBJECTS, "attr", "conj")
                self._placed(owners or (c.joined(governor, p) if together else [governor]), text, objects)
        elif c.is_verb(governor):
            self._verb_preposition(governor, p, text, objects)
        else:
            self._placed(c.left_of(p), text, objects)

    def _vessel(self, noun: int) -> int:
        """What stands somewhere is the vessel, not what it holds: "a mug of coffee on the table"."""
        t = self.tree
        of = t.heads[noun]
        held = noun in t.nouns and t.deps[noun] == "pobj" and t.words[of] == "of" and t.heads[of] in t.nouns
        return t.heads[of] if held and lemma(t.words[t.heads[of]], "noun") in VESSELS else noun

    def _echo(self, whole: int, objects: list[int]) -> bool:
        """ "A cup with tea in it", "a train with a number on top": what comes after "with" is placed by the rest."""
        t = self.tree
        last = len(t.words) - 1 - (t.tags[-1] == ".")
        for q, (text, end) in t.prepositions.items():
            between = t.words[objects[-1] + 1 : q] if objects and q > objects[-1] else None
            pronoun = t.words[end + 1 : end + 2] in (["it"], ["them"]) and t.words[end + 2 : end + 3] != ["'s"]
            echoes = pronoun or (text == "on top of" and end == last)
            if between is None or not echoes or len(between) > 1:
                continue
            if not between or t.tags[q - 1] in ("VBG", "VBN"):
                self.add(objects, " ".join([*(lemma(word, "verb") for word in between), text]), [whole])
                return True
        return False

    def _verb_preposition(self, verb: int, p: int, text: str, objects: list[int]) -> None:
        t, c = self.tree, self.clauses
        base = lemma(t.words[verb], "verb")
        if text in ("by", "with", "in") and set(objects) & set(c.agents(verb)):
            return
        if not objects and p in c.stranded(verb):
            objects = c.gap(verb)
        subjects = self._wearers(p, c.subjects(verb), objects)
        direct = c.with_label(verb, "dobj", "dative", "oprd")
        held = [o for o in objects if direct and text == "in" and lemma(t.words[o], "noun") in BODY_PARTS]
        if held:  # "holding a cup in his hand", "catching a frisbee in its mouth"
            self.add([k for d in direct for k in c.things(d)], text, held)
            objects = [o for o in objects if o not in held]
        if t.words[verb] in BE or (direct and (text != "with" or base == "wear")):
            self._placed(subjects, text, objects)
            return
        base = SEATED.get(base, base)
        for o in objects:
            worn = c.is_garment(o) and (base == "dress" or (text == "in" and any(map(c.is_person, subjects))))
            self.add(subjects, "wear" if worn else f"{base} {text}", [o])

    def _wearers(self, p: int, subjects: list[int], objects: list[int]) -> list[int]:
        """Who is in a garment: the person named just before "in", or the nearest where the subject is a thing."""
        t, c = self.tree, self.clauses
        if t.words[p] != "in" or not any(map(c.is_garment, objects)):
            return subjects
        people = [k for k in t.nouns if k < p and c.is_person(k)]
        if people and (people[-1] == p - 1 or not any(map(c.is_person, subjects))):
            return people[-1:]
        return subjects

    def _placed(self, subjects: list[int], text: str, objects: list[int]) -> None:
        """Being somewhere; being in a garment is wearing it."""
        for o in objects:
            self.add(subjects, "wear" if text == "in" and self.clauses.is_garment(o) else text, [o])

    def _of(self, whole: int, objects: list[int]) -> None:
        """A man has his head; a cup of tea has tea in it; a picture of a man is of him."""
        t = self.tree
        if t.meaning[whole] != whole and whole in t.nouns:
            return  # an amount
        word = lemma(t.words[whole], "noun")
        if t.is_picture(whole):
            self.add([whole], "of", objects)
        elif word in VESSELS:
            self.add(objects, VESSELS[word], [whole])
        else:
            self.add(objects, "have", [whole])

    def _possessive(self, noun: int) -> None:
        t = self.tree
        if t.owns(noun):
            self.add([noun], "have", [noun + 1])
        for child in self.clauses.with_label(noun, "poss"):
            if t.words[child] == "whose":
                self.add([t.heads[k] for k in (t.heads[noun], noun) if t.deps[k] == "relcl"], "have", [noun])
            if child in t.meaning and any(t.tags[k] == "POS" for k in t.children[child]):
                self.add([child], "have", [noun, *t.coordinated(noun)])

    def _neighbours(self) -> None:
        """Two neighbouring nouns that the parse leaves unrelated are related by what stands between."""
        t = self.tree
        reached = {o for _, _, o in self.triplets}
        heads = {s for s, _, _ in self.triplets}
        for a, b in pairwise(t.entities):
            if b in reached or b in heads:
                continue
            between = [k for k in range(a + 1, t.nouns[b]) if t.words[k] not in ARTICLES]
            verbs = [k for k in between if t.tags[k][0] == "V" and t.words[k] not in BE]
            places = [k for k in between if k in t.prepositions or (t.tags[k] == "IN" and t.words[k] in PREPOSITIONS)]
            if any(t.tags[k] in ("CC", ",", ".", "POS", "WDT", "WP", ":", "-LRB-") for k in between):
                continue
            if not t.denied.isdisjoint(between) or not t.absent.isdisjoint(range(a, t.nouns[b])):
                continue
            verb = lemma(t.words[verbs[-1]], "verb") if verbs else ""
            verb = verb if is_base(verb, "verb") else ""
            place = t.prepositions.get(places[-1], (t.words[places[-1]], 0))[0] if places else ""
            if verb and place == "by" and verb not in PLACED and t.tags[verbs[-1]] in ("VBN", "VBD"):
                self.add([b], verb, [a])
            elif place == "of" and not verb:
                self._of(a, [b])
            elif verb or place:
                doers = self.clauses.subjects(verbs[-1]) if verb else [a]
                self._placed(
                    doers if a not in doers and all(k < a for k in doers) and doers else [a],
                    " ".join(x for x in (verb, place) if x),
                    [b],
                )
