"""A run's scene-graph model and the names it knows: text features for open heads, and the detector's words for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Entity, ParsedCaption
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.language.concepts import name_roles, names_of_categories
from groundgraph.language.encoder import TextEncoder
from groundgraph.language.masked_words import MaskedLanguageModel
from groundgraph.models.device import Precision
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS
from groundgraph.sgg import new_model
from groundgraph.sgg.batch import SggModel, Sizes
from groundgraph.sgg.heads import set_names
from groundgraph.stages.detector_labels import detector_categories
from groundgraph.stages.needs import need_model
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.views import viewed_regions
from groundgraph.stages.vocabulary import vocabulary
from groundgraph.teachers.expert import ImageTextModel
from groundgraph.training.trainer import seeded

# Sentences that a name is put into; its features in all of them are averaged.
CATEGORY_PROMPTS = ("{name}", "a man near a {name}", "a {name} near a tree")
PREDICATE_PROMPTS = ("{name}", "a man {name} a horse", "a woman {name} a chair")


def untrained_model(run: Run, unions: int = 0) -> SggModel:
    """The recipe's scene-graph model before training; open heads know the names that are not withheld alone.

    Args:
        run: With regions and a vocabulary.
        unions: Width of the pairs' visual union features.
    """
    config, detector, names = run.recipe.sgg, detector_categories(run), trained_names(run)
    features = name_features(run.recipe, *names) if config.heads == "open" else None
    views = _view_features(run.recipe, names[0])
    sizes = Sizes(
        viewed_regions(run, "train")[0].features.shape[1],
        len(detector),
        *map(len, names),
        unions=unions,
        text=features[0].shape[1] if features else 0,
        start=config.start != "none",
        views=views[0].shape[1] if views else 0,
        prior=config.language_prior is not None,
    )
    with seeded(run.recipe.seed, run.device):
        model = new_model(config.chosen, sizes, detector)
    means, ratios = _means(detector, names[0]), _log_ratios(run.recipe, *names)
    set_names(model, *(features or (None, None)), means, views, log_ratios=ratios)
    return model


def trained_names(run: Run) -> Vocabularies:
    """The categories and predicates that a model is numbered by: of open heads those that are not withheld."""
    every = [listing.names for listing in vocabulary(run)]
    if run.recipe.system or run.recipe.sgg.heads == "closed":
        return every[0], every[1]
    first, second = (
        tuple(name for name, out in zip(names, withheld, strict=True) if not out)
        for names, withheld in zip(every, novel(run), strict=True)
    )
    return first, second


def novel(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Which categories [C] and predicates [P] of the vocabulary are withheld from supervision, bool.

    Raises:
        InputError: The vocabulary lacks a name that the recipe withholds, or no other name is left.
    """
    withheld, masks = run.recipe.vocabulary.novel, []
    for kind, names, out in zip(
        ("categories", "predicates"), vocabulary(run), (withheld.categories, withheld.predicates), strict=True
    ):
        if unknown := [name for name in out if names.index(name) < 0]:
            raise InputError(
                f"vocabulary.novel.{kind}: not in the vocabulary: {', '.join(unknown)}; withhold names that are "
                f"({', '.join(names.names[:5])}, ...)"
            )
        masks.append(np.isin(names.names, out))
        if masks[-1].all():
            raise InputError(f"vocabulary.novel.{kind} withholds every name: leave some to learn from")
    return masks[0], masks[1]


def tell_names(
    recipe: Recipe,
    model: SggModel,
    detector: Sequence[str],
    categories: Sequence[str],
    predicates: Sequence[str],
    trained: Sequence[str],
) -> None:
    """Let a trained model with open heads find other names.

    Args:
        recipe: Names the models of the names' features.
        model: With open heads.
        detector: The detector's categories.
        categories: The names of labels 1, 2, ... from now on.
        predicates: The names of predicate columns 1, 2, ... from now on.
        trained: The predicates that it was trained with.
    """
    features, means = name_features(recipe, categories, predicates), _means(detector, categories)
    unseen = ~np.isin(predicates, trained), recipe.sgg.unseen_bonus
    views, ratios = _view_features(recipe, categories), _log_ratios(recipe, categories, predicates)
    set_names(model, *features, means, views, unseen, ratios)


def name_needs(recipe: Recipe) -> list[Need]:
    """What a scene-graph model's names are read by."""
    return [need_model(what, model, key, *parts) for what, key, model, *parts in _readers(recipe)]


def name_models(recipe: Recipe) -> list[str]:
    """The models that a scene-graph model's names are read by."""
    return [model for _, _, model, *_ in _readers(recipe)]


def _readers(recipe: Recipe) -> list[tuple[Any, ...]]:
    """What each of them is, the recipe's key that names it, its name, and which of its files are loaded."""
    config, readers = recipe.sgg, []
    if config.heads == "open" and config.names == "text":
        readers.append(("text encoder", "text.model", recipe.text.model, WEIGHTS, TOKENIZER))
    if config.language_prior:
        readers.append(("masked language model", "sgg.language_prior", config.language_prior, WEIGHTS, TOKENIZER))
    if config.needs_expert:
        expert = recipe.teachers.expert.model
        readers.append(("image-text model", "teachers.expert.model", expert, WEIGHTS, TOKENIZER, PREPARATION))
    return readers


def name_features(
    recipe: Recipe, categories: Sequence[str], predicates: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """What the recipe's text or image-text model (`sgg.names`) makes of names.

    Args:
        recipe: Names the models.
        categories: C of them.
        predicates: P of them.

    Returns:
        [C, d] and [P, d] float32.

    Raises:
        InputError: The model cannot be loaded.
    """
    listings = (categories, CATEGORY_PROMPTS), (predicates, PREDICATE_PROMPTS)
    placement = {"device": recipe.device, "precision": recipe.precision}
    if recipe.sgg.names == "text":
        encoder = TextEncoder(recipe.text.model, pool="phrase", **placement)
        first, second = (
            sum(np.concatenate(encoder.embed([_sentence(prompt, name) for name in names])) for prompt in prompts)
            for names, prompts in listings
        )
        return first, second
    first, second = (
        ImageTextModel(recipe.teachers.expert.model, prompts, **placement).entity_features(
            [ParsedCaption.of_word(name).entities[0] for name in names]
        )
        for names, prompts in listings
    )
    return first, second


def _means(detector: Sequence[str], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    return names_of_categories(detector, names), name_roles(detector, names)


def _view_features(recipe: Recipe, names: Sequence[str]) -> tuple[np.ndarray, float] | None:
    """Names as the image-text model knows them, and its own temperature, where object scores start from it too."""
    if recipe.sgg.start != "image-text":
        return None
    expert = recipe.teachers.expert
    model = ImageTextModel(expert.model, expert.prompts, device=recipe.device, precision=recipe.precision)
    features = model.entity_features([ParsedCaption.of_word(name).entities[0] for name in names])
    # As it was trained to tell one of many names; the recipe's temperature weighs two teachers.
    scale = getattr(model.model, "logit_scale", None)
    return features, expert.temperature if scale is None else float(scale.detach().neg().exp())


def _log_ratios(recipe: Recipe, categories: Sequence[str], predicates: Sequence[str]) -> np.ndarray | None:
    """What the recipe's language model expects between two categories, [C, C, P]; None where it has none."""
    if recipe.sgg.language_prior is None:
        return None
    return _ratios_by(recipe.sgg.language_prior, recipe.device, recipe.precision, tuple(categories), tuple(predicates))


@lru_cache(maxsize=1)  # a model whose names are all trained is told them twice
def _ratios_by(
    model: str, device: str, precision: Precision, categories: tuple[str, ...], predicates: tuple[str, ...]
) -> np.ndarray:
    return MaskedLanguageModel(model, device=device, precision=precision).log_ratios(categories, predicates)


def _sentence(prompt: str, name: str) -> ParsedCaption:
    """A name in a prompt, as a caption whose one entity it is."""
    start = prompt.index("{name}")
    span = start, start + len(name)
    return ParsedCaption(prompt.format(name=name), (Entity(name, name, name, span, span),))
