"""A trained model: how it is stored, and the graphs that it finds on the measured split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.images import open_image
from groundgraph.data.ragged import write_ragged
from groundgraph.data.types import Graph
from groundgraph.engine.extraction import CHUNK
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.inference import GraphTask, predict
from groundgraph.sgg.lstm import precision_of
from groundgraph.sgg.showing import Showing
from groundgraph.sgg.storing import save_sgg
from groundgraph.sgg.unions import UnionsOf, no_unions
from groundgraph.stages.detector_labels import detector_categories
from groundgraph.stages.examples import examples, image_ids
from groundgraph.stages.names import tell_names, trained_names
from groundgraph.stages.progress import done_of
from groundgraph.stages.regions import described_by, open_named_detector, pooling_detector
from groundgraph.stages.views import viewed_regions, viewer
from groundgraph.stages.vocabulary import vocabulary
from groundgraph.training.trainer import Curves


def write_model(
    run: Run,
    folder: Path,
    model: SggModel,
    curves: Curves,
    precision: str,
    showing: Showing,
    unions_of: UnionsOf = no_unions,
) -> dict[str, Any]:
    """Store a trained model, its curves, and the graphs that it finds on the measured split.

    Args:
        run: The run.
        folder: The stage's.
        model: Trained.
        curves: Of the training.
        precision: Of the training.
        showing: What people are shown of its graphs.
        unions_of: Gives the visual features around pairs.

    Returns:
        The stage's counts.
    """
    config, categories, (objects, predicates) = run.recipe.sgg, detector_categories(run), vocabulary(run)
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
    with run.progress("finding scene graphs", len(measured)) as advance:
        unions = unions_of(examples(run, run.recipe.measured), measured)
        graphs = predict(model, measured, config.inference, done_of(advance), unions=unions)
    _write_graphs(folder / "graphs.safetensors", run, graphs)
    for task in config.tasks:
        _write_graphs(folder / f"{task}.safetensors", run, _graphs_of_given_boxes(run, model, task, unions_of))
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "graphs": len(graphs),
        "precision": precision_of(model, precision, next(model.parameters()).device),
    }


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
                pooled += named.box_regions(part, boxes, names, detector_categories(run))
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
