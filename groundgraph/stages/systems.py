"""Systems: each trained on regions and the captions' graphs, and the graphs that it finds on the measured split.

Reads the examples, parsed captions, regions and vocabulary; writes sgg-SYSTEM, with what sgg-METHOD has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.types import ParsedCaption
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Cost, Stage
from groundgraph.language.concepts import ConceptMap
from groundgraph.language.encoder import TextEncoder
from groundgraph.models.hub import TOKENIZER, WEIGHTS
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.unions import no_unions
from groundgraph.stages import sgg
from groundgraph.stages.detector_labels import detector_categories, label_settings
from groundgraph.stages.examples import image_ids
from groundgraph.stages.graphs import write_model
from groundgraph.stages.held_out import by_names, found_by_others, trainings_of
from groundgraph.stages.names import novel, trained_names
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.parsed import entities, parsed, triplet_rows
from groundgraph.stages.progress import done_of
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import detector_requirements, regions
from groundgraph.stages.sgg_training import validation_recall
from groundgraph.stages.vocabulary import vocabulary
from groundgraph.systems import SYSTEMS
from groundgraph.systems.model import SystemModel
from groundgraph.systems.text_graphs import TextGraph
from groundgraph.systems.training import teaching_images, train_system
from groundgraph.training.trainer import Curves, seeded


def build(recipe: Recipe) -> list[Stage]:
    """A stage a system of a recipe."""
    inference = [recipe.sgg.inference.model_dump(), recipe.sgg.tasks, recipe.sgg.reweight]
    pooling = [recipe.detector.model_dump()] if recipe.sgg.tasks else []
    settings = [recipe.seed, label_settings(recipe), recipe.vocabulary.novel.model_dump(), recipe.text.model_dump()]
    return [
        Stage(
            sgg.stage_of(name),
            needs=("examples", "parsed", "regions", "vocabulary"),
            settings=[name, getattr(recipe.systems, name).model_dump(), *inference, *pooling, *settings],
            files=lambda: model_identity(recipe.text.model),
            work=partial(learn, method=name),
            shared=True,
            cost=_cost(recipe, name),
            requirements=lambda: [
                need_model("text encoder", recipe.text.model, "text.model", WEIGHTS, TOKENIZER),
                *(detector_requirements(recipe) if recipe.sgg.tasks else []),
            ],
            reusable=False,
        )
        for name in recipe.system
    ]


def _cost(recipe: Recipe, name: str) -> Cost:
    training = getattr(recipe.systems, name).training
    trainings = trainings_of(recipe)

    def images(counts: Mapping[str, int]) -> int:
        return trainings * training.epochs * counts["train"] + counts.get("validation", 0) + counts[recipe.measured]

    return Cost(
        images, lambda counts: f"train {name}: {training.epochs} epochs of {counts['train']:,} images", seconds=2.0
    )


def learn(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train a system on the training images' captions; find graphs on the measured split.

    A training that is broken off goes on from its checkpoint with the same losses.
    """
    graphs, training = text_graphs(run), getattr(run.recipe.systems, method).training
    encoder = TextEncoder(run.recipe.text.model, pool="phrase", **run.placement)
    names = tuple(encoder.embed_words(listing.names) for listing in vocabulary(run))
    train = partial(_train, run, method, graphs, names)
    model, curves = train(range(len(graphs)), "training")
    held_out = found_by_others(
        run,
        teaching_images(regions(run, "train"), graphs),
        training.batch_size,
        no_unions,
        lambda places, what: train(places, what)[0],
        by_names(lambda i: graphs[i].named, trained_names(run)),
    )
    if not run.processes.first:
        return {}
    triplets = sum(len(graph.triplets) for graph in graphs)
    counts = {"entities": sum(len(graph.categories) for graph in graphs), "triplets": triplets}
    showing = sgg.show(run, folder, model, held_out, no_unions)
    return counts | write_model(run, folder, model, curves, training.precision, showing)


def _train(
    run: Run,
    method: str,
    graphs: Sequence[TextGraph],
    names: tuple[np.ndarray, np.ndarray],
    places: Sequence[int],
    what: str,
) -> tuple[SystemModel, Curves]:
    """A system trained on the training images at these places; the last words name its progress bar and checkpoint."""
    training, ids = getattr(run.recipe.systems, method).training, image_ids(run, "train")
    model = _untrained(run, method, names[0].shape[1])
    with run.progress(f"{what} {method}", training.epochs) as advance:
        done = done_of(advance)
        curves = train_system(
            model,
            regions(run, "train", tuple(ids[i] for i in places)),
            [graphs[i] for i in places],
            names,
            validate=validation_recall(run, training),
            progress=lambda batches, total, _: done(batches * training.epochs // total),
            seed=run.recipe.seed,
            reweight=run.recipe.sgg.reweight,
            checkpoint=run.scratch() / f"{what}.pt",
            ranks=run.processes,
        )
    return model, curves


def _untrained(run: Run, method: str, words: int) -> SystemModel:
    objects, predicates = vocabulary(run)
    features = regions(run, "train")[0].features.shape[1]
    sizes = Sizes(features, len(detector_categories(run)), len(objects), len(predicates), words=words)
    with seeded(run.recipe.seed, run.device):
        return SYSTEMS[method].model(sizes, getattr(run.recipe.systems, method)).to(run.device)


def text_graphs(run: Run) -> list[TextGraph]:
    """The training images' captions as graphs in the vocabulary, without the names that are withheld."""
    concepts, withheld = ConceptMap(*vocabulary(run)), novel(run)
    return [text_graph(captions, concepts, *withheld) for captions in parsed(run, "train")]


def text_graph(
    captions: list[ParsedCaption], concepts: ConceptMap, categories: np.ndarray, predicates: np.ndarray
) -> TextGraph:
    """An image's captions as a graph in the vocabulary.

    Args:
        captions: The image's.
        concepts: What words mean.
        categories: [C] bool, which are withheld.
        predicates: [P] bool, which are withheld.
    """
    named = np.array([concepts.category(entity) for entity in entities(captions)], np.int64)
    acts = np.array([concepts.predicate(t.predicate) for caption in captions for t in caption.triplets], np.int64)
    kept = (named >= 0) & ~categories[named]
    place, rows = np.cumsum(kept) - 1, triplet_rows(captions)
    whole = (acts >= 0) & ~predicates[acts] & kept[rows].all(1)
    return TextGraph(named[kept], np.column_stack([place[rows], acts])[whole].astype(np.int64).reshape(-1, 3))
