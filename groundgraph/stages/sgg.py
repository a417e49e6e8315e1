"""Scene graphs: a model trained on each method's labels, and the graphs it finds on the measured split.

Reads the examples, regions, vocabulary and a method's pseudo labels (full supervision: the annotated boxes); writes
sgg-METHOD: the model, curves.json, graphs.safetensors (SGDet) and TASK.safetensors for each other task.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.graph_arrays import prediction_arrays
from groundgraph.data.images import open_image
from groundgraph.data.ragged import Ragged, write_ragged
from groundgraph.data.sources.needs import Need
from groundgraph.data.store import counts_of
from groundgraph.data.types import Graph
from groundgraph.engine.extraction import CHUNK
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Cost, Stage
from groundgraph.errors import InputError
from groundgraph.evaluation.recall import sgdet_recall
from groundgraph.grounding.pseudo_labels import draw_labels, keep_best, soft_labels
from groundgraph.models.hub import TOKENIZER
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.examples import Draw
from groundgraph.sgg.inference import GraphTask, predict
from groundgraph.sgg.lstm import precision_of
from groundgraph.sgg.novel import withhold
from groundgraph.sgg.showing import Showing
from groundgraph.sgg.storing import save_sgg
from groundgraph.sgg.supervision import supervised
from groundgraph.sgg.training import train_sgg
from groundgraph.sgg.unions import UnionsOf, union_features
from groundgraph.stages import pseudo_labels
from groundgraph.stages.calibration import annotated_validation, learn_showing
from groundgraph.stages.detector_labels import detector_categories, label_settings
from groundgraph.stages.examples import examples, image_ids
from groundgraph.stages.names import name_models, name_needs, novel, tell_names, trained_names, untrained_model
from groundgraph.stages.needs import model_identity, need_file, need_model
from groundgraph.stages.progress import done_of
from groundgraph.stages.reading import Lazy, kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import (
    described_by,
    detector_requirements,
    open_named_detector,
    pooling_detector,
    regions,
)
from groundgraph.stages.views import viewed_regions, viewer
from groundgraph.stages.vocabulary import vocabulary


def stage_of(method: str) -> str:
    """The name of a method's stage."""
    return f"sgg-{method}"


def build(recipe: Recipe) -> list[Stage]:
    """A stage a method of a recipe."""
    labels, needed = recipe.pseudo_labels, ("examples", "regions", "vocabulary")
    settings = [recipe.sgg.model_dump(), recipe.seed, label_settings(recipe), recipe.vocabulary.novel.model_dump()]
    if recipe.sgg.pools_boxes:
        settings += [recipe.detector.model_dump(), *described_by(recipe)]
    if recipe.sgg.start == "image-text":
        needed, settings = (*needed, "crops"), [*settings, recipe.teachers.expert.model_dump()]
    checkpoint = getattr(recipe.sgg.chosen, "checkpoint", None)
    tokenizer = getattr(recipe.sgg.chosen, "tokenizer", None)
    models = [model for model in (checkpoint, tokenizer) if model]
    return [
        Stage(
            stage_of(name),
            needs=needed if method.supervised else (*needed, pseudo_labels.stage_of(name)),
            settings=settings if method.supervised else [*settings, labels.kind, labels.top, labels.draw],
            files=lambda: [model_identity(model) for model in [*models, *name_models(recipe)]],
            work=partial(learn, method=name),
            shared=True,
            cost=_cost(recipe),
            requirements=lambda: _requirements(recipe, models),
            reusable=False,
        )
        for name, method in recipe.methods.items()
    ]


def _cost(recipe: Recipe) -> Cost:
    training, model = recipe.sgg.training, recipe.sgg.model

    def images(counts: Mapping[str, int]) -> int:
        return training.epochs * counts["train"] + counts.get("validation", 0) + counts[recipe.measured]

    def words(counts: Mapping[str, int]) -> str:
        steps = training.epochs * -(-counts["train"] // training.batch_size)
        return f"train {model}: {steps:,} steps of {training.batch_size} images"

    return Cost(images, words, seconds=2.5)


def _requirements(recipe: Recipe, models: Sequence[str]) -> list[Need]:
    needs = name_needs(recipe) + (detector_requirements(recipe) if recipe.sgg.pools_boxes else [])
    if models:
        needs.append(need_file("the weights to start from", models[0], f"sgg.{recipe.sgg.model}.checkpoint"))
    if models[1:]:
        needs.append(need_model("UNITER's tokenizer", models[1], "sgg.uniter.tokenizer", TOKENIZER))
    return needs


def learn(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train the scene-graph model on a method's labels; find graphs on the measured split (SGDet, and what is asked).

    A training that is broken off goes on from its checkpoint with the same losses.
    """
    config, proposals, categories = run.recipe.sgg, viewed_regions(run, "train"), detector_categories(run)
    objects, predicates = vocabulary(run)
    training, seed = config.training, run.recipe.seed
    if run.recipe.methods[method].supervised:  # annotated boxes are not silent: what has none is background
        loss = training.loss.model_copy(update={"unmentioned": "background", "unmentioned_pairs": "background"})
        training = training.model_copy(update={"loss": loss})
    unions_of = union_features(config.chosen, lambda: pooling_detector(run))
    unions = unions_of(examples(run, "train"), proposals)
    model = untrained_model(run, unions.width if unions else 0)
    model.to(run.device)
    images = int((counts_of(proposals) > 0).sum())
    steps = training.epochs * -(-images // training.batch_size)
    with run.progress(f"training {config.model} ({method})", steps) as advance:
        curves = train_sgg(
            model,
            proposals,
            labels_of(run, method),
            training,
            validate=_validation_recall(run, unions_of)
            if training.patience or training.schedule == "plateau"
            else None,
            progress=done_of(advance),
            seed=seed,
            unions=unions,
            checkpoint=run.scratch() / "training.pt",
            ranks=run.processes,
        )
    if not run.processes.first:
        return {}
    showing = learn_showing(run, model, unions_of)
    if model.sizes.text:
        tell_names(run.recipe, model, categories, objects.names, predicates.names, trained_names(run)[1])
    names = {
        "categories": list(objects.names),
        "predicates": list(predicates.names),
        "detector": list(categories),
        "trained predicates": list(trained_names(run)[1]),
        **showing.record(),
    }
    save_sgg(folder, model, names)
    (folder / "curves.json").write_text(json.dumps({k: v for k, v in curves.items() if v}), encoding="utf-8")
    measured = viewed_regions(run, run.recipe.measured)
    with run.progress(f"finding scene graphs ({method})", len(measured)) as advance:
        unions = unions_of(examples(run, run.recipe.measured), measured)
        graphs = predict(model, measured, config.inference, done_of(advance), unions=unions)
    _write_graphs(folder / "graphs.safetensors", run, graphs)
    for task in config.tasks:
        _write_graphs(folder / f"{task}.safetensors", run, _graphs_of_given_boxes(run, model, task, unions_of))
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "graphs": len(graphs),
        "precision": precision_of(model, training.precision, next(model.parameters()).device),
    }


def labels_of(run: Run, method: str) -> Draw:
    """What a training step takes for true of a training image: pseudo labels, or the annotated boxes."""
    draw = _every_label(run, method)
    withheld = run.recipe.vocabulary.novel
    if not withheld.categories and not withheld.predicates:
        return draw
    return withhold(draw, *novel(run), renumber=run.recipe.sgg.heads == "open")


def _every_label(run: Run, method: str) -> Draw:
    objects, predicates = vocabulary(run)
    if run.recipe.methods[method].supervised:
        truths = [example.truth for example in examples(run, "train")]
        return supervised(truths, regions(run, "train"), objects.names, predicates.names)
    labels, config = pseudo_labels.pseudo_labels(run, method), run.recipe.pseudo_labels
    if run.recipe.methods[method].every_match:
        return lambda i, rng: draw_labels(labels[i], rng, "every")
    if config.top:
        labels = [keep_best(own, config.top) for own in labels]
    if config.kind == "soft":
        soft = [soft_labels(own, len(objects), len(predicates)) for own in labels]
        return lambda i, rng: soft[i]
    return lambda i, rng: draw_labels(labels[i], rng, config.draw)


@kept("sgg-{0}")
def graphs(run: Run, method: str, file: str = "graphs") -> Sequence[Graph]:
    """The scene graphs that a method's model found on the measured split.

    Args:
        run: A run that trained it.
        method: Whose, as the recipe names it.
        file: "graphs" (SGDet), or a task of given boxes: "predcls", "sgcls".
    """
    store, ids = Ragged(run.folder / stage_of(method) / f"{file}.safetensors"), image_ids(run, run.recipe.measured)
    width = 1 + len(vocabulary(run)[1])

    def read(i: int) -> Graph:
        a = store[ids[i]]
        boxes, pairs, predicates = (
            a[name].reshape(-1, size) for name, size in (("boxes", 4), ("pairs", 2), ("predicate_scores", width))
        )
        return Graph(boxes, a["labels"], a["scores"], pairs, predicates)

    return Lazy(len(ids), read)


def showing(run: Run, method: str) -> Showing:
    """What people are shown of a method's graphs."""
    config = json.loads((run.folder / stage_of(method) / "config.json").read_text(encoding="utf-8"))
    return Showing.of_names(config["extra"])


def shown_graphs(run: Run, method: str) -> Sequence[Graph]:
    """The measured split's graphs as people are shown them."""
    stored, show = graphs(run, method), showing(run, method)
    return Lazy(len(stored), lambda i: show(stored[i]))


def _validation_recall(run: Run, unions_of: UnionsOf) -> Callable[[SggModel], float]:
    """R@50 (SGDet) of a model on the validation split, which early stopping goes by.

    Raises:
        InputError: There is no such split with annotated boxes.
    """
    validation = annotated_validation(run, unions_of)
    if validation is None:
        raise InputError("sgg.training.patience needs validation images with annotated relations: leave it null")
    truth, graphs = validation.truth, validation.graphs
    return lambda model: sgdet_recall(truth, prediction_arrays(graphs(model)), (50,))["R@50"]


def _graphs_of_given_boxes(run: Run, model: SggModel, task: GraphTask, unions_of: UnionsOf) -> list[Graph]:
    """The measured split's graphs on its annotated boxes (sgcls), with their labels too (predcls).

    The detector pools the boxes' features. Boxes outside the evaluation vocabulary are left out, as from the truth.

    Raises:
        InputError: The detector cannot pool, or an image is not annotated.
    """
    named = open_named_detector(run.recipe, **run.placement) if described_by(run.recipe) else None
    detector = pooling_detector(run) if named is None else None
    objects, listing = vocabulary(run)[0], examples(run, run.recipe.measured)
    pooled, labels = [], []
    if any(example.truth is None for example in listing):
        raise InputError(f"{task} needs annotated boxes of every measured image, and this data has some without")
    with run.progress(f"pooling given boxes ({task})", len(listing)) as advance:
        for start in range(0, len(listing), CHUNK):
            part = listing[start : start + CHUNK]
            numbers = [np.array([objects.index(label) for label in e.truth.labels], np.int64) for e in part]
            boxes = [np.reshape(e.truth.boxes, (-1, 4))[n >= 0] for e, n in zip(part, numbers, strict=True)]
            if named is not None:
                names = [[objects.names[i] for i in n if i >= 0] for n in numbers]
                pooled += named.given(part, boxes, names, detector_categories(run))
            elif detector is not None:
                pooled += detector.pool([open_image(e.path) for e in part], boxes)
            labels += [n[n >= 0] + 1 for n in numbers]
            advance(len(part))
    pooled = viewer(run.recipe)(listing, pooled)
    task_labels, unions = labels if task == "predcls" else None, unions_of(listing, pooled)
    return predict(model, pooled, run.recipe.sgg.inference, task=task, labels=task_labels, unions=unions)


def _write_graphs(path: Path, run: Run, graphs: list[Graph]) -> None:
    fields = ("boxes", "labels", "scores", "pairs", "predicate_scores")
    columns = {field: [getattr(graph, field) for graph in graphs] for field in fields}
    write_ragged(path, image_ids(run, run.recipe.measured), columns)
