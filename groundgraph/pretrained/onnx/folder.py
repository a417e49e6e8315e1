"""A packed model's `onnx` folder: what runs with ONNX Runtime, numpy and pillow alone.

detector.onnx       a picture -> its regions
pooling.onnx        a picture, boxes and pairs -> features of the boxes around pairs, where a model reads them
scene_graph.onnx    regions and pairs of them (with open heads the vocabulary too) -> objects and relations
grounder.onnx       embeddings of words, and regions -> scores
vocabulary.npz      the names, and with open heads what scene_graph.onnx reads of them
manifest.json       which parts are there, why others are not, and the numbers of what is done after the networks
predict.py          an example that puts them together
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import atomic_write, write_json
from groundgraph.errors import InputError
from groundgraph.grounding import build_grounder
from groundgraph.grounding.learned import Learned
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.pretrained.onnx import detectors, grounders, scene_graphs
from groundgraph.pretrained.onnx.graph_file import require_onnx, write_graph
from groundgraph.pretrained.onnx.system_graphs import SystemGraph
from groundgraph.pretrained.packing import ModelParts
from groundgraph.sgg.heads import names_kept
from groundgraph.sgg.showing import Showing
from groundgraph.sgg.unions import reads_unions
from groundgraph.stages.detector_labels import coverage
from groundgraph.stages.regions import open_detector
from groundgraph.systems.model import SystemModel
from groundgraph.vision.label_coverage import CoveredDetector

FORMAT = 2
# Sizes of pictures that a detector's file is tried with; it is traced with the first.
PICTURES = ((320, 240), (200, 260), (256, 256))
REGIONS = (5, 1, 2, 12)  # likewise of a scene-graph model's
WORDS = ((3, 5, 2), (1, 1, 0), (2, 12, 1), (5, 8, 4))  # likewise entities, regions and triplets of a grounder's


def write_onnx(parts: ModelParts, folder: Path) -> None:
    """Write a model's `onnx` folder; a part that ONNX cannot hold is left out, and the manifest says why.

    Args:
        parts: The model's; its weights stay where they are.
        folder: Of the packed model, in which `onnx` is made.

    Raises:
        InputError: The extra `onnx` is not installed.
    """
    require_onnx()
    target = folder / "onnx"
    target.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {"format": FORMAT, "preparation": None}
    showing = Showing.of_names(parts.names)

    def picture_network(kind: type[detectors.PictureNetwork], name: str) -> dict[str, Any]:
        recipe = parts.recipe
        chain = open_detector(recipe, parts.names["detector"], device="cpu", precision="fp32")
        network = kind(CoveredDetector(chain, coverage(recipe, chain.categories)))
        manifest["preparation"] = network.preparation
        examples = [detectors.example_inputs(network, size, i) for i, size in enumerate(PICTURES)]
        return write_graph(network, target / name, examples)

    def detector() -> dict[str, Any]:
        return picture_network(detectors.DetectedRegions, "detector.onnx")

    def pooling() -> dict[str, Any]:
        return picture_network(detectors.PooledUnions, "pooling.onnx")

    def scene_graph() -> dict[str, Any]:
        if parts.recipe.sgg.start == "image-text":
            raise InputError("it reads what an image-text model makes of regions' crops (sgg.start: image-text)")
        kind = SystemGraph if isinstance(parts.network, SystemModel) else scene_graphs.SceneGraph
        network: Any = kind(parts.network, parts.recipe.sgg.inference, showing.merging)
        examples = [scene_graphs.example_inputs(network, count, count) for count in REGIONS]
        with names_kept(network.model):
            return write_graph(network, target / "scene_graph.onnx", examples)

    def grounder() -> dict[str, Any]:
        if parts.grounder is None:
            raise InputError(f"{parts.method} has no grounder that learnt")
        learned = build_grounder(parts.method)
        assert isinstance(learned, Learned)
        network = grounders.Grounding(learned.load(parts.grounder, "cpu"))
        examples = [grounders.example_inputs(network, *counts, seed=i) for i, counts in enumerate(WORDS)]
        return write_graph(network, target / "grounder.onnx", examples)

    pools = {"pooling": pooling} if reads_unions(parts.recipe.sgg.chosen) else {}
    names = {"detector": detector, **pools, "scene-graph model": scene_graph, "grounder": grounder}
    write_vocabulary(parts, target / "vocabulary.npz")
    manifest |= {
        "parts": {name: _part(make) for name, make in names.items()},
        "inference": parts.recipe.sgg.inference.model_dump(mode="json"),
        "showing": showing.record() | {"min score": showing.min_score},
    }
    shutil.copyfile(Path(__file__).with_name("predict.py"), target / "predict.py")
    write_json(target / "manifest.json", manifest, indent=1)


def write_vocabulary(model: SceneGraphModel | ModelParts, file: Path) -> None:
    """Write the names that a model finds, as `predict.py` reads them; in `model.named(...)` those that it is told.

    Args:
        model: Of closed heads, whose names are in its weights, the names alone are written.
        file: An npz file.
    """
    if isinstance(model, SceneGraphModel):
        network, categories, predicates = model.model, model.categories, model.predicates
    else:
        network, categories, predicates = model.network, model.names["categories"], model.names["predicates"]
    arrays = scene_graphs.vocabulary_of(network)
    arrays |= {"category names": np.array(list(categories)), "predicate names": np.array(list(predicates))}
    with atomic_write(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def _part(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says of a part."""
    try:
        return make()
    except InputError as error:
        return {"why not": str(error)}
