"""MiniGenome's captions: what people would write under the pictures, with which objects each noun means.

Region captions (Visual Genome's way) are short, mostly lower case, one relation each; scene captions (COCO's way) are
whole sentences that join two. Both only speak of a scene's captioned relations, so the idle twin is never named.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from groundgraph.data.minigenome.builder import Scene
from groundgraph.data.minigenome.drawing import GARMENTS, PEOPLE

SYNONYMS = {
    "man": ("man", "man", "guy"),
    "woman": ("woman", "woman", "lady"),
    "boy": ("boy", "boy", "kid"),
    "girl": ("girl",),
    "bike": ("bike", "bicycle"),
    "motorcycle": ("motorcycle", "motorbike"),
    "bag": ("bag", "purse"),
    "cup": ("cup", "mug"),
    "couch": ("couch", "sofa"),
    "hat": ("hat", "hat", "cap"),
    "pants": ("pants", "trousers"),
    "dog": ("dog", "dog", "puppy"),
    "cat": ("cat", "cat", "kitten"),
    "box": ("box",),
}
_PLURALS = {
    "man": "men", "woman": "women", "box": "boxes", "bench": "benches", "bus": "buses", "lady": "ladies",
    "sheep": "sheep", "bush": "bushes", "dress": "dresses", "pants": "pants", "trousers": "trousers",
    "puppy": "puppies", "couch": "couches",
}  # fmt: skip
_MASS = frozenset({"pants", "trousers"})

# predicate -> (progressive, third person, plural, participle of the passive or "")
_VERBS = {
    "riding": (("riding", "riding on"), ("rides",), ("ride",), "ridden"),
    "sitting on": (("sitting on", "sitting on top of"), ("sits on",), ("sit on",), ""),
    "standing on": (("standing on", "standing on top of"), ("stands on",), ("stand on",), ""),
    "lying on": (("lying on", "laying on"), ("lies on",), ("lie on",), ""),
    "holding": (("holding", "carrying"), ("holds", "carries"), ("hold", "carry"), "held"),
    "flying": (("flying",), ("flies",), ("fly",), "flown"),
    "walking": (("walking",), ("walks",), ("walk",), "walked"),
    "pushing": (("pushing",), ("pushes",), ("push",), "pushed"),
    "kicking": (("kicking",), ("kicks",), ("kick",), "kicked"),
    "wearing": (("wearing",), ("wears",), ("wear",), "worn"),
    "eating": (("eating", "eating from"), ("eats",), ("eat",), "eaten"),
}
_PREPOSITIONS = {
    "behind": ("behind",),
    "under": ("under", "under", "beneath", "underneath"),
    "near": ("near", "next to", "beside", "by"),
    "on": ("on", "on", "on top of"),
    "in": ("in", "in", "inside"),
}
_PLACES = {
    "field": "in a field",
    "beach": "on the beach",
    "park": "in a park",
    "street": "on a street",
    "room": "in a room",
}


@dataclass(frozen=True)
class Noun:
    """What a caption can name.

    Attributes:
        category: its category.
        objects: the scene's objects that it means; several make a plural.
        colour: a colour that is named with it, or "".
        garment: what a person is described by ("a man in a red shirt").
    """

    category: str
    objects: tuple[int, ...] = ()
    colour: str = ""
    garment: Noun | None = None

    @property
    def plural(self) -> bool:
        """Whether it means more than one object."""
        return len(self.objects) > 1


@dataclass(frozen=True)
class Caption:
    """A caption and its mentions: (start, end, objects), characters of a noun and the objects it means."""

    text: str
    mentions: tuple[tuple[int, int, tuple[int, ...]], ...]


class _Text:
    """Words joined by spaces, with the place of every noun kept."""

    def __init__(self) -> None:
        self.text = ""
        self.mentions: list[tuple[int, int, tuple[int, ...]]] = []

    def say(self, words: str, objects: tuple[int, ...] | None = None) -> _Text:
        if words:
            glue = "" if not self.text or words[0] in ",.'" else " "
            start = len(self.text) + len(glue)
            self.text += glue + words
            if objects is not None:
                self.mentions.append((start, len(self.text), objects))
        return self

    def noun(self, noun: Noun, rng: random.Random, bare: bool = False, article: str = "") -> _Text:
        word = rng.choice(SYNONYMS.get(noun.category, (noun.category,)))
        several = noun.plural
        if several:
            word = _PLURALS.get(word, word + "s")
        first = noun.colour or word
        if several:
            determiner = {2: "two", 3: "three"}.get(len(noun.objects), "some")
        elif word in _MASS:
            determiner = ""
        else:
            determiner = article or rng.choice(("a", "a", "the"))
            if determiner == "a" and first[0] in "aeiou":
                determiner = "an"
        self.say("" if bare and not several else determiner).say(noun.colour).say(word, noun.objects)
        if noun.garment is not None:
            self.say(rng.choice(("in", "wearing"))).noun(noun.garment, rng, article="a")
        return self

    def done(self) -> Caption:
        return Caption(self.text, tuple(self.mentions))


def relation_caption(subject: Noun, predicate: str, obj: Noun, rng: random.Random) -> Caption:
    """One relation as people put it: active, passive, relative clause, participle, "there is", bare fragment."""
    return _relation(_Text(), subject, predicate, obj, rng).done()


def _relation(t: _Text, subject: Noun, predicate: str, obj: Noun, rng: random.Random) -> _Text:
    be, have = ("are", "have") if subject.plural else ("is", "has")
    bare = rng.random() < 0.15
    there = f"there {be}"
    if predicate == "has" or (predicate == "holding" and rng.random() < 0.1):
        verb = rng.choice((have, "with", f"that {have}")) if predicate == "has" else "with"
        return (
            t.say(there if rng.random() < 0.15 and verb != have else "")
            .noun(subject, rng, bare)
            .say(verb)
            .noun(obj, rng, article="a")
        )
    if predicate in _PREPOSITIONS:
        preposition = rng.choice(_PREPOSITIONS[predicate])
        form = rng.choice(("phrase", "phrase", "copula", "there", "relative"))
        t.say(there if form == "there" else "").noun(subject, rng, bare and form == "phrase")
        return (
            t.say({"copula": be, "relative": f"that {be}"}.get(form, ""))
            .say(preposition)
            .noun(obj, rng, bare and form == "phrase")
        )
    ings, singular, plural, participle = _VERBS[predicate]
    ing, finite = rng.choice(ings), rng.choice(plural if subject.plural else singular)
    who = "who" if subject.category in PEOPLE else "that"
    forms = ["participle"] * 5 + ["progressive"] * 4 + ["finite"] * 3 + ["relative", "relative finite", "there"]
    if participle and subject.garment is None and obj.category not in GARMENTS:
        forms += ["passive", "passive", "reduced passive", "object relative"]
    form = rng.choice(forms)
    object_is = "are" if obj.plural or obj.category in _MASS else "is"
    if form == "participle":
        return t.noun(subject, rng, bare).say(ing).noun(obj, rng, bare)
    if form == "progressive":
        return t.noun(subject, rng).say(f"{be} {ing}").noun(obj, rng)
    if form == "finite":
        return t.noun(subject, rng).say(finite).noun(obj, rng)
    if form == "relative":
        return t.noun(subject, rng).say(f"{who} {be} {ing}").noun(obj, rng)
    if form == "relative finite":
        return t.noun(subject, rng).say(f"{who} {finite}").noun(obj, rng)
    if form == "there":
        return t.say(there).noun(subject, rng, article="a").say(ing).noun(obj, rng)
    if form == "passive":
        return t.noun(obj, rng).say(object_is + rng.choice((" ", " being ")) + participle + " by").noun(subject, rng)
    if form == "reduced passive":
        return t.noun(obj, rng).say(rng.choice(("", "being ")) + participle + " by").noun(subject, rng)
    return t.noun(obj, rng).say("that").noun(subject, rng).say(f"{be} {ings[0]}")


def _nouns(scene: Scene, relation: int, rng: random.Random) -> tuple[Noun, str, Noun]:
    """A captioned relation's two nouns: subjects alike join in a plural, colours come where they help."""
    subject, predicate, obj = scene.relations[relation]
    alike = tuple(
        s
        for s, p, o in (scene.relations[r] for r in scene.captioned)
        if p == predicate and o == obj and scene.objects[s].category == scene.objects[subject].category
    )
    one = Noun(scene.objects[subject].category, alike if len(alike) > 1 else (subject,))
    two = Noun(scene.objects[obj].category, (obj,))
    worn = predicate == "wearing"
    if not one.plural and rng.random() < 0.3:
        if one.category not in PEOPLE:
            one = replace(one, colour=scene.objects[subject].colour)
        elif not worn:
            garments = [
                o
                for s, p, o in scene.relations
                if s == subject and p == "wearing" and scene.objects[o].category in ("shirt", "dress", "hat")
            ]
            if garments:
                garment = rng.choice(garments)
                dress = scene.objects[garment]
                one = replace(one, garment=Noun(dress.category, (garment,), dress.colour))
    # Everybody wears something: a garment is only worth a word with its colour.
    if two.category not in PEOPLE and (rng.random() < 0.3 or two.category in GARMENTS):
        two = replace(two, colour=scene.objects[obj].colour)
    return one, predicate, two


def _speakable(scene: Scene, relation: int) -> bool:
    """Whether a reader could tell what is meant: a garment's colour must not fit a namesake of its wearer too."""
    subject, predicate, obj = scene.relations[relation]
    if predicate != "wearing" or scene.objects[obj].category not in GARMENTS:
        return True
    words = (scene.objects[subject].category, scene.objects[obj].category, scene.objects[obj].colour)
    return not any(
        (s, o) != (subject, obj)
        and p == "wearing"
        and (scene.objects[s].category, scene.objects[o].category, scene.objects[o].colour) == words
        for s, p, o in scene.relations
    )


def _plain(scene: Scene, rng: random.Random) -> Caption:
    """A caption of one thing, for scenes without a relation left to speak of."""
    counts: dict[str, list[int]] = {}
    for i, thing in enumerate(scene.objects):
        counts.setdefault(thing.category, []).append(i)
    if not counts:
        return Caption(f"nothing {_PLACES[scene.setting]}", ())
    category = rng.choice(sorted(counts))
    several = tuple(counts[category])
    be = "are" if len(several) > 1 else "is"
    return (
        _Text()
        .say(rng.choice((f"there {be}", "")))
        .noun(Noun(category, several), rng)
        .say(_PLACES[scene.setting])
        .done()
    )


def region_captions(scene: Scene, rng: random.Random) -> list[Caption]:
    """Visual-Genome-like captions: each captioned relation twice in other words, in random order; never empty."""
    relations = [r for r in scene.captioned if _speakable(scene, r)]
    captions = [relation_caption(*_nouns(scene, r, rng), rng) for r in relations for _ in range(2)]
    rng.shuffle(captions)
    return captions or [_plain(scene, rng)]


def scene_captions(scene: Scene, rng: random.Random) -> list[Caption]:
    """COCO-like captions: two whole sentences about the scene, joining what goes on in it; never empty."""
    relations = [r for r in scene.captioned if _speakable(scene, r)]
    if not relations:
        return [_sentence(_plain(scene, rng))]
    captions = []
    for _ in range(2):
        chosen = rng.sample(relations, min(2, len(relations)))
        t = _relation(_Text(), *_nouns(scene, chosen[0], rng), rng)
        if rng.random() < 0.5:
            t.say(_PLACES[scene.setting])
        if len(chosen) > 1:
            t.say(rng.choice(("while", "and", "as"))) if rng.random() < 0.7 else t.say(",").say("and")
            _relation(t, *_nouns(scene, chosen[1], rng), rng)
        captions.append(_sentence(t.done()))
    return captions


def _sentence(caption: Caption) -> Caption:
    return replace(caption, text=caption.text[0].upper() + caption.text[1:] + ".")
