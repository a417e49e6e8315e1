"""How the captions' words become names of the vocabulary, where that is not by WordNet, and what survives each way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from groundgraph.data.sources.needs import Need
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.language.alignment import Kind, answered_names, nearest_names
from groundgraph.language.concepts import ConceptMap
from groundgraph.language.encoder import TextEncoder
from groundgraph.models.hub import TOKENIZER, WEIGHTS
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.parsed import parsed
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.vocabulary import vocabulary

WORDNET, TEXT, LLM = "wordnet", "text", "llm"


def check_alignment(recipe: Recipe) -> None:
    """Raise InputError where a language model is to align, and none parses."""
    if recipe.vocabulary.alignment.kind == LLM and recipe.parser.name != LLM:
        raise InputError(
            "vocabulary.alignment.kind llm asks the language model of the parser: set parser.name to llm, or align by "
            "wordnet or text"
        )


def alignment_settings(recipe: Recipe) -> Any:
    """What of a recipe decides what words mean; None for WordNet, which nothing decides."""
    alignment = recipe.vocabulary.alignment
    if alignment.kind == TEXT:
        return [*alignment.model_dump().values(), recipe.precision]
    return [alignment.kind, recipe.parser.settings] if alignment.kind == LLM else None


def alignment_files(recipe: Recipe) -> list[Any]:
    """The models that decide what words mean, for a fingerprint."""
    alignment = recipe.vocabulary.alignment
    models = {TEXT: alignment.model, LLM: recipe.parser.model}
    return [model_identity(models[alignment.kind])] if alignment.kind in models else []


def alignment_needs(recipe: Recipe) -> list[Need]:
    """The model of words that has to be here."""
    alignment = recipe.vocabulary.alignment
    if alignment.kind != TEXT:
        return []
    return [need_model("encoder of words", alignment.model, "vocabulary.alignment.model", WEIGHTS, TOKENIZER)]


def aligned_map(run: Run, kind: str, counts: Counter[str]) -> ConceptMap:
    """What the words of the train split's captions mean.

    Args:
        run: With parsed captions and a vocabulary.
        kind: By what: wordnet, text or llm.
        counts: Gets what a language model is asked, and does not answer.

    Raises:
        InputError: A model is missing.
    """
    concepts = ConceptMap(*vocabulary(run))
    if kind == WORDNET:
        return concepts
    nouns, predicates = _words(run)
    listings: tuple[tuple[Kind, list[str], tuple[str, ...]], ...] = (
        ("thing", nouns, concepts.categories.names),
        ("relation", predicates, concepts.predicates.names),
    )
    if kind == TEXT:
        alignment = run.recipe.vocabulary.alignment
        encoder = TextEncoder(alignment.model, pool="phrase", **run.placement)
        meant = [nearest_names(encoder, words, names, what, alignment.threshold) for what, words, names in listings]
    else:
        from groundgraph.language.llm.respondent import open_respondent

        placement = run.placement if run.recipe.parser.network else {}
        respondent = open_respondent(counts, **run.recipe.parser.asking, **placement)
        otherwise = [concepts.category_of(word) for word in nouns], [concepts.predicate(word) for word in predicates]
        meant = [
            answered_names(respondent, words, names, what, other)
            for (what, words, names), other in zip(listings, otherwise, strict=True)
        ]
    concepts.take(_table(nouns, meant[0]), _table(predicates, meant[1]))
    return concepts


def concept_map(run: Run) -> ConceptMap:
    """The same as the stage `concepts` wrote it down."""
    concepts = ConceptMap(*vocabulary(run))
    if run.recipe.vocabulary.alignment.kind == WORDNET:
        return concepts
    content = json.loads((run.folder / "concepts" / "concepts.json").read_text(encoding="utf-8"))
    tables = []
    for part, key, names in (
        ("nouns", "category", concepts.categories),
        ("predicates", "predicate", concepts.predicates),
    ):
        tables.append({r["word"]: -1 if r[key] is None else names.index(r[key]) for r in content[part]})
    concepts.take(*tables)
    return concepts


def mapped_triplets(run: Run) -> dict[str, int]:
    """How many triplets of the train split have three names of the vocabulary, by each way that costs nothing.

    Args:
        run: With its concepts; a language model's way counts where it is the run's own.
    """
    triplets = Counter(
        (caption.entities[t.subject].name, t.predicate, caption.entities[t.object].name)
        for captions in parsed(run, "train")
        for caption in captions
        for t in caption.triplets
    )
    alignment = run.recipe.vocabulary.alignment
    need = need_model("", alignment.model, "", WEIGHTS, TOKENIZER)
    kinds = {WORDNET: "by WordNet", TEXT: f"by embeddings alike by {alignment.threshold:g} or more"}
    maps = {words: aligned_map(run, kind, Counter()) for kind, words in kinds.items() if kind != TEXT or need.present}
    if alignment.kind == LLM:
        maps["by the language model"] = concept_map(run)
    return {
        f"mapped triplets {words}": sum(
            count
            for (s, p, o), count in triplets.items()
            if min(concepts.category_of(s), concepts.predicate(p), concepts.category_of(o)) >= 0
        )
        for words, concepts in maps.items()
    }


def _words(run: Run) -> tuple[list[str], list[str]]:
    """The nouns and the predicates of the train split's captions, each once."""
    nouns: dict[str, None] = {}
    predicates: dict[str, None] = {}
    for captions in parsed(run, "train"):
        for caption in captions:
            nouns |= dict.fromkeys(entity.name for entity in caption.entities)
            predicates |= dict.fromkeys(t.predicate for t in caption.triplets)
    return list(nouns), list(predicates)


def _table(words: Iterable[str], places: np.ndarray) -> dict[str, int]:
    return dict(zip(words, places.tolist(), strict=True))
