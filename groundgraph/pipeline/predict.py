"""Scene graphs of new images from a finished run: pictures and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from groundgraph.data.images import ImageError, open_image
from groundgraph.data.types import Example, Skipped
from groundgraph.errors import InputError
from groundgraph.pipeline.config import load_recipe
from groundgraph.pipeline.proposals import open_detector
from groundgraph.report.pictures import FORMATS, graph_json, save_graph
from groundgraph.sgg.inference import predict
from groundgraph.sgg.training import load_sgg


def predict_images(
    run: Path, images: Sequence[Path], out: Path, method: str | None = None, top: int = 10, kind: str = "png"
) -> tuple[int, list[tuple[str, str]]]:
    """Find and draw the scene graph of each image with a run's model.

    run     a finished run's folder; nothing is written into it unless `out` lies there
    out     gets NAME.KIND for each image, and graphs.json: {image: {"objects": [...], "relations": [...]}}
    method  whose model; None: the first of the recipe
    top     relations drawn and written an image
    kind    png, or svg or pdf: vectors with words as text
    Gives how many graphs were written and what was skipped with the reason. Raises InputError, naming the fix, where
    `run` is no finished run or has no such method, and on another kind.
    """
    if kind not in FORMATS:
        raise InputError(f"pictures are written as {', '.join(FORMATS)}, not {kind}")
    recipe_file = run / "recipe.yaml"
    if not recipe_file.is_file():
        raise InputError(
            f"{run} is no run's folder (it holds no recipe.yaml): give the folder that `groundgraph run` wrote"
        )
    recipe = load_recipe(recipe_file)
    method = method or recipe.grounder[0]
    if not (run / f"sgg-{method}").is_dir():
        done = sorted(p.name.removeprefix("sgg-") for p in run.glob("sgg-*") if p.suffix != ".tmp")
        raise InputError(
            f"{run} holds no trained model of {method!r}; it has {', '.join(done) or 'none yet: finish the run'}"
        )
    model, vocabularies = load_sgg(run / f"sgg-{method}")
    detector = open_detector(recipe.detector, vocabularies["detector"])  # the names its labels stood for in training
    skipped, out = Skipped(), Path(out)
    names = _names(images)
    found = detector.detect([Example(str(path), str(path)) for path in images], skipped)
    kept = [
        (path, name, regions) for path, name, regions in zip(images, names, found, strict=True) if regions is not None
    ]
    graphs = predict(model, [regions for _, _, regions in kept], recipe.sgg.inference)
    out.mkdir(parents=True, exist_ok=True)
    records = {}
    for (path, name, _), graph in zip(kept, graphs, strict=True):
        try:
            picture = open_image(path)
        except ImageError as error:  # precomputed regions never opened it
            skipped.add(str(path), str(error))
            continue
        words = vocabularies["categories"], vocabularies["predicates"]
        save_graph(out / f"{name}.{kind}", picture, graph, *words, top)
        records[str(path)] = graph_json(graph, *words, top)
    temporary = out / "graphs.json.tmp"
    temporary.write_text(json.dumps(records, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(temporary, out / "graphs.json")
    return len(records), skipped.items


def _names(images: Sequence[Path]) -> list[str]:
    """A file name for each picture: the image's own, numbered where two are alike."""
    names: list[str] = []
    for path in images:
        name, number = path.stem, 2
        while name in names:
            name, number = f"{path.stem}-{number}", number + 1
        names.append(name)
    return names
