"""The evaluation vocabulary: MiniGenome's, VG150's, VRD's, or the words that most images of the train split speak of.

Reads the parsed captions; writes vocabulary/vocabulary.json: {"categories": [...], "predicates": [...]}.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.minigenome import CATEGORIES, PREDICATES
from groundgraph.data.vocabulary import VG150_OBJECTS, VG150_PREDICATES, VRD_OBJECTS, VRD_PREDICATES, Vocabulary
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.errors import InputError
from groundgraph.formats.vrd import read_vrd_names
from groundgraph.stages.cost import per_image
from groundgraph.stages.parsed import parsed
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe

NAMED = {
    "minigenome": (CATEGORIES, PREDICATES),
    "vg150": (VG150_OBJECTS.names, VG150_PREDICATES.names),
    "vrd": (VRD_OBJECTS.names, VRD_PREDICATES.names),
}


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""
    return [
        Stage(
            "vocabulary",
            needs=("parsed",),
            settings=recipe.vocabulary.model_dump(),
            work=choose,
            cost=per_image(("train",), "choose the vocabulary"),
        )
    ]


def choose(run: Run, folder: Path) -> dict[str, Any]:
    """Write down the vocabulary that the recipe names, or induce it."""
    name = run.recipe.vocabulary.name
    data = run.recipe.data
    if name == data.source == "vrd":
        categories, predicates = read_vrd_names(data.place(""))
    else:
        categories, predicates = NAMED[name] if name in NAMED else _induced(run)
    content = {"categories": list(categories), "predicates": list(predicates)}
    (folder / "vocabulary.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return {key: len(words) for key, words in content.items()}


@kept("vocabulary")
def vocabulary(run: Run) -> tuple[Vocabulary, Vocabulary]:
    """The evaluation vocabulary: (categories, predicates)."""
    raw = json.loads((run.folder / "vocabulary" / "vocabulary.json").read_text(encoding="utf-8"))
    return Vocabulary(tuple(raw["categories"])), Vocabulary(tuple(raw["predicates"]))


def _induced(run: Run) -> tuple[Sequence[str], Sequence[str]]:
    """The words that captions of most images say."""
    config = run.recipe.vocabulary
    nouns: Counter[str] = Counter()
    verbs: Counter[str] = Counter()
    for captions in parsed(run, "train"):
        nouns.update({e.name for c in captions for e in c.entities})
        verbs.update({t.predicate for c in captions for t in c.triplets})
    categories = _commonest(nouns, config.categories, config.minimum)
    predicates = _commonest(verbs, config.predicates, config.minimum)
    lacking = [(nouns, "thing")] * (not categories) + [(verbs, "relation")] * (not predicates)
    if lacking:
        words, kind = min(lacking, key=lambda lack: bool(lack[0]))  # one of which there is none at all is told first
        raise InputError(_no_word(words, kind, config.minimum))
    return categories, predicates


def _commonest(counts: Counter[str], most: int, minimum: int) -> list[str]:
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, count in order if count >= minimum][:most]


def _no_word(words: Counter[str], kind: str, minimum: int) -> str:
    """Why no word for a "thing" or a "relation" is left for the vocabulary."""
    if not words:
        return (
            f'no training caption has a {kind}: write what is related to what, as in "a man riding a horse" '
            "(captions are read as English)"
        )
    (word, count), all_words = words.most_common(1)[0], f"{len(words)} words for a {kind}"
    return (
        f"of {all_words} none is said in {minimum} images or more ({word!r} is in {count}): lower vocabulary.minimum "
        f"to {count} (--set vocabulary.minimum={count}), or give more captions"
    )
