"""Scene graphs: a model trained on each method's labels, and the graphs it finds on the measured split.

Reads the examples, regions, vocabulary and a method's pseudo labels (full supervision: the annotated boxes); writes
sgg-METHOD: the model, curves.json, graphs.safetensors (SGDet) and TASK.safetensors for each other task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import write_json
from groundgraph.data.ragged import Ragged
from groundgraph.data.sources.needs import Need
from groundgraph.data.store import counts_of
from groundgraph.data.types import Graph
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Cost, Stage
from groundgraph.models.hub import TOKENIZER
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.showing import Showing
from groundgraph.sgg.unions import UnionsOf, union_features
from groundgraph.stages import pseudo_labels
from groundgraph.stages.calibration import learn_showing
from groundgraph.stages.detector_labels import label_settings
from groundgraph.stages.examples import image_ids
from groundgraph.stages.graphs import write_model
from groundgraph.stages.held_out import (
    HeldOut,
    by_pseudo_labels,
    captions_showing,
    found_by_others,
    held_out_figures,
    trainings_of,
)
from groundgraph.stages.names import name_models, name_needs
from groundgraph.stages.needs import model_identity, need_file, need_model
from groundgraph.stages.reading import Lazy, kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import (
    described_by,
    detector_requirements,
    pooling_detector,
)
from groundgraph.stages.sgg_training import train_model
from groundgraph.stages.views import viewed_regions
from groundgraph.stages.vocabulary import vocabulary

HELD_OUT = "held_out.json"  # what the scores are worth, by the captions of images held out


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
        if name not in recipe.system
    ]


def _cost(recipe: Recipe) -> Cost:
    training, model = recipe.sgg.training, recipe.sgg.model
    trainings = trainings_of(recipe)

    def images(counts: Mapping[str, int]) -> int:
        return trainings * training.epochs * counts["train"] + counts.get("validation", 0) + counts[recipe.measured]

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
    unions_of = union_features(run.recipe.sgg.chosen, lambda: pooling_detector(run))
    model, curves = train_model(run, method, unions_of)
    training, held_out = run.recipe.sgg.training, None
    if not run.recipe.methods[method].supervised:
        held_out = found_by_others(
            run,
            np.flatnonzero(counts_of(viewed_regions(run, "train"))),
            training.batch_size,
            unions_of,
            lambda places, what: train_model(run, method, unions_of, places, what)[0],
            by_pseudo_labels(run, method),
        )
    if not run.processes.first:
        return {}
    showing = show(run, folder, model, held_out, unions_of)
    return write_model(run, folder, model, curves, training.precision, showing, unions_of)


def show(run: Run, folder: Path, model: SggModel, held_out: HeldOut | None, unions_of: UnionsOf) -> Showing:
    """What people are shown of a model's graphs; writes what its scores are worth where captions alone tell.

    Args:
        run: A run with regions and a vocabulary.
        folder: The stage's.
        model: Trained on all images.
        held_out: What its like found on images held out; None: annotated validation images tell, or nobody.
        unions_of: Gives the visual features around pairs.
    """
    if held_out is None:
        return learn_showing(run, model, unions_of)
    showing = captions_showing(held_out)
    if showing.calibration:
        write_json(folder / HELD_OUT, held_out_figures(held_out, showing.calibration))
    return showing


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


def held_out(run: Run, method: str) -> dict[str, Any] | None:
    """What a method's scores are worth by the captions of images held out; None where relations are annotated."""
    file = run.folder / stage_of(method) / HELD_OUT
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def shown_graphs(run: Run, method: str) -> Sequence[Graph]:
    """The measured split's graphs as people are shown them."""
    stored, show = graphs(run, method), showing(run, method)
    return Lazy(len(stored), lambda i: show(stored[i]))
