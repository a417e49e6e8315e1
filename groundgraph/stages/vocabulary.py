"""The evaluation vocabulary: MiniGenome's, VG150's, VRD's, the data's own, or one induced from captions.

Reads the parsed captions of the train split, and for an induced one what the detector's labels mean (an open-vocabulary
one has no names of its own); writes vocabulary/vocabulary.json: {"categories": [...], "predicates": [...]}, and of an
induced one words.json: {"nouns": {word: [its name or null, why]}, "predicates": likewise}.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundgraph.data.files import write_json
from groundgraph.data.minigenome import CATEGORIES, PREDICATES
from groundgraph.data.sources import open_source
from groundgraph.data.sources.graphs import GraphSource
from groundgraph.data.vocabulary import (
    VG150_OBJECTS,
    VG150_PREDICATES,
    VRD_OBJECTS,
    VRD_PREDICATES,
    Vocabularies,
    Vocabulary,
)
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.errors import InputError
from groundgraph.formats.vrd import read_vrd_names
from groundgraph.language.concepts import ConceptMap
from groundgraph.language.induction import NO_BOX, Names, induce_categories, induce_predicates
from groundgraph.language.predicates import as_written, written_forms
from groundgraph.stages.cost import per_image
from groundgraph.stages.detector_labels import OPEN, detector_categories, label_settings
from groundgraph.stages.examples import examples
from groundgraph.stages.parsed import entities, parsed
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe

NAMED = {
    "minigenome": (CATEGORIES, PREDICATES),
    "vg150": (VG150_OBJECTS.names, VG150_PREDICATES.names),
    "vrd": (VRD_OBJECTS.names, VRD_PREDICATES.names),
}

DATA, INDUCED = "data", "induced"


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""
    asks_detector = recipe.vocabulary.name == INDUCED and recipe.detector.kind != OPEN
    return [
        Stage(
            "vocabulary",
            needs=(
                *(["examples"] if recipe.vocabulary.name == DATA else []),
                "parsed",
                *(["regions"] if asks_detector else []),
            ),
            settings=[
                recipe.vocabulary.model_dump(exclude={"novel", "alignment"}),
                *(label_settings(recipe) if asks_detector else []),
            ],
            work=choose,
            cost=per_image(("train",), "choose the vocabulary"),
        )
    ]


def choose(run: Run, folder: Path) -> dict[str, Any]:
    """Write down the vocabulary that the recipe names, or induce it."""
    name, data = run.recipe.vocabulary.name, run.recipe.data
    if name == data.source == "vrd":
        categories, predicates = read_vrd_names(data.place(""))
    elif name in NAMED:
        categories, predicates = NAMED[name]
    elif name == DATA:
        categories, predicates = _of_data(run)
    else:
        names = _induced(run)
        categories, predicates = (part.chosen for part in names)
        write_json(folder / "words.json", dict(zip(("nouns", "predicates"), (p.fates for p in names), strict=True)))
    write_json(folder / "vocabulary.json", {"categories": list(categories), "predicates": list(predicates)}, indent=1)
    return {"categories": len(categories), "predicates": len(predicates)}


def word_fates(run: Run) -> dict[str, dict[str, tuple[str | None, str]]]:
    """What became of the captions' words in an induced vocabulary, as words.json has it; {} of a named one."""
    file = run.folder / "vocabulary" / "words.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


@kept("vocabulary")
def vocabulary(run: Run) -> tuple[Vocabulary, Vocabulary]:
    """The evaluation vocabulary: (categories, predicates)."""
    raw = json.loads((run.folder / "vocabulary" / "vocabulary.json").read_text(encoding="utf-8"))
    return Vocabulary(tuple(raw["categories"])), Vocabulary(tuple(raw["predicates"]))


def _of_data(run: Run) -> Vocabularies:
    """The names that the data's files list, else the most frequent of the training images' annotations.

    Raises:
        InputError: The data have no annotated relation.
    """
    source, config = open_source(run.recipe.data, run.folder / "images"), run.recipe.vocabulary
    listed = source.vocabularies() if isinstance(source, GraphSource) else None
    if listed is not None:
        return listed
    uses: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for example in examples(run, "train"):
        if example.truth is not None:
            uses[0].update(example.truth.labels)
            uses[1].update(predicate for _, predicate, _ in example.truth.relations)
    if not uses[1]:
        raise InputError(
            "vocabulary.name is data, but the training images have no annotated relation: name another vocabulary, or "
            "induced"
        )
    categories, predicates = uses[0].most_common(config.categories), uses[1].most_common(config.predicates)
    return tuple(name for name, _ in categories), tuple(name for name, _ in predicates)


def _induced(run: Run) -> tuple[Names, Names]:
    """Categories, and predicates that are said of two of them, from what the captions say."""
    config = run.recipe.vocabulary
    nouns: dict[str, set[int]] = {}
    for i, captions in enumerate(parsed(run, "train")):
        for entity in entities(captions):
            nouns.setdefault(entity.name, set()).add(i)
    detected = () if run.recipe.detector.kind == OPEN else detector_categories(run)
    categories = induce_categories(nouns, config.categories, config.minimum, detected)
    uses, between, forms = _relations(run, ConceptMap(Vocabulary(categories.chosen), Vocabulary(())))
    predicates = induce_predicates(between, config.predicates, config.minimum)
    if not uses or not nouns:
        raise InputError(_no_word({}, "relation" if nouns else "thing", config.minimum))
    if not any(name for name, _ in categories.fates.values()):
        visible = {word: images for word, images in nouns.items() if categories.fates[word][1] != NO_BOX}
        if not visible:
            raise InputError(
                f"none of the {len(nouns)} nouns of the captions ({', '.join(sorted(nouns)[:5])}) names what a box can "
                "be drawn around: write what can be seen"
            )
        raise InputError(_no_word(visible, "thing", config.minimum))
    if not predicates.chosen:
        if max(map(len, uses.values())) < config.minimum:
            raise InputError(_no_word(uses, "relation", config.minimum))
        raise InputError(
            f"none of {len(uses)} words for a relation is said of two things of the vocabulary in {config.minimum} "
            "images or more: lower vocabulary.minimum (--set vocabulary.minimum=1), or give more captions"
        )
    return categories, predicates.renamed(lambda text: as_written(text, forms.get(text, {})))


Uses = dict[str, set[int]]  # predicate -> the images whose captions say it


def _relations(run: Run, concepts: ConceptMap) -> tuple[Uses, Uses, dict[str, Counter[str]]]:
    """All predicates that are said, those said of two things of the vocabulary, and how their verbs are written."""
    uses: Uses = {}
    between: Uses = {}
    forms: dict[str, Counter[str]] = {}
    for i, captions in enumerate(parsed(run, "train")):
        for caption in captions:
            for t in caption.triplets:
                uses.setdefault(t.predicate, set()).add(i)
                if all(concepts.category(caption.entities[end]) >= 0 for end in (t.subject, t.object)):
                    between.setdefault(t.predicate, set()).add(i)
        for predicate, counts in written_forms(captions).items():
            forms.setdefault(predicate, Counter()).update(counts)
    return uses, between, forms


def _no_word(words: Mapping[str, set[int]], kind: str, minimum: int) -> str:
    """Why no word for a "thing" or a "relation" is left for the vocabulary."""
    if not words:
        return (
            f'no training caption has a {kind}: write what is related to what, as in "a man riding a horse" '
            "(captions are read as English)"
        )
    word = max(words, key=lambda word: len(words[word]))
    count = len(words[word])
    return (
        f"of {len(words)} words for a {kind} none is said in {minimum} images or more ({word!r} is in {count}): lower "
        f"vocabulary.minimum to {count} (--set vocabulary.minimum={count}), or give more captions"
    )
