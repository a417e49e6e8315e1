"""Predicates: what one may fall to, which say the same, and how people write them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

from groundgraph.data.types import ParsedCaption
from groundgraph.language.lemmas import PREPOSITIONS, is_base, lemma, participle, predicate_lemma


@cache
def _listed() -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """predicates.json: aliases, and verbs that mean something else without their preposition."""
    raw = json.loads(resources.files("groundgraph.language").joinpath("predicates.json").read_text(encoding="utf-8"))
    return {text: tuple(others) for text, others in raw["aliases"].items()}, frozenset(raw["other_sense_alone"])


@cache
def wider_predicates(text: str) -> tuple[str, ...]:
    """What a predicate in base form may fall to, nearest first: aliases, its verb alone, its preposition alone.

    Verbs that mean something else without their preposition ("walk on grass", "walk a dog") skip the second. Last come
    those that say the same as one before (around, near, next to).
    """
    aliases, other_sense = _listed()
    verb, _, preposition = text.partition(" ")
    others = [*aliases.get(text, ())]
    if preposition and verb not in PREPOSITIONS:
        if verb not in other_sense:
            others += [verb, *aliases.get(verb, ())]
        others += [preposition, *aliases.get(preposition, ())]
    same = [alias for other in others for alias in aliases.get(other, ()) if same_relation(alias, other)]
    return tuple(dict.fromkeys(other for other in [*others, *same] if other != text))


def same_relation(text: str, other: str) -> bool:
    """Whether two predicates say the same: each other's alias, both prepositions or verbs with the same one.

    next to and beside, lie on and lay on; not carry and hold, nor have and with.
    """
    aliases, _ = _listed()
    if other not in aliases.get(text, ()) or text not in aliases.get(other, ()):
        return False
    (_, _, rest), (_, _, other_rest) = text.partition(" "), other.partition(" ")
    both = is_preposition(text), is_preposition(other)
    return all(both) or (not any(both) and bool(rest) and rest == other_rest)


def is_preposition(text: str) -> bool:
    """Whether a predicate is nothing but a preposition, of any number of words."""
    return text.split()[0] in PREPOSITIONS


def written_forms(captions: Iterable[ParsedCaption]) -> dict[str, Counter[str]]:
    """How captions write the verb of each predicate that they say: predicate -> forms of its verb with counts.

    A predicate's verb is the word between its two things, or the nearest before the object, that has its base form.
    """
    forms: dict[str, Counter[str]] = {}
    for caption in captions:
        for triplet in caption.triplets:
            verb = triplet.predicate.split()[0]
            if verb in PREPOSITIONS:
                continue
            before = caption.text[: caption.entities[triplet.object].span[0]].lower()
            written = [word for word in before.split() if lemma(word.strip(",.;:'\""), "verb") == verb]
            if written:
                forms.setdefault(triplet.predicate, Counter())[written[-1].strip(",.;:'\"")] += 1
    return forms


def as_written(predicate: str, forms: Mapping[str, int]) -> str:
    """A predicate in base form as people write it: standing at, covered in, has.

    A verb is written as its present participle, or, where the captions mostly write a past form, as that.

    Args:
        predicate: In base form, as the parser gives it.
        forms: How captions write its verb, with counts.
    """
    verb, *rest = predicate.split()
    if verb in PREPOSITIONS or (set(forms) <= {verb} and is_base(verb, "adj")):  # "full of" has no verb
        return predicate
    past = {form: count for form, count in forms.items() if not (form == verb or form.endswith(("ing", "s")))}
    if verb == "have":
        form = "has"
    elif rest and 2 * sum(past.values()) > sum(forms.values()):
        form = max(past, key=lambda form: past[form])
    else:
        form = participle(verb)
    written = " ".join([form, *rest])
    return written if predicate_lemma(written) == predicate else predicate
