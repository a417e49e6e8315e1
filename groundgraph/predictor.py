"""Scene graphs of new images from a finished run: pictures and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import atomic_write
from groundgraph.data.images import ImageError, open_image
from groundgraph.data.text import read_json
from groundgraph.data.types import Example, Graph, Skipped
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.report.pictures import FORMATS, graph_json, save_graph
from groundgraph.sgg.inference import predict
from groundgraph.sgg.storing import load_sgg
from groundgraph.sgg.unions import union_features
from groundgraph.stages.detector_labels import coverage
from groundgraph.stages.names import name_needs, tell_names
from groundgraph.stages.preflight import require_all
from groundgraph.stages.recipe import run_recipe
from groundgraph.stages.regions import detector_requirements, open_detector
from groundgraph.stages.views import viewer
from groundgraph.vision.label_coverage import CoveredDetector


class Predictor:
    """A finished run's model and detector, loaded once for any number of images; nothing is written into the run.

    Args:
        run: A finished run's folder.
        method: Whose model, by its grounder's name; None: the first of the recipe.
        device: Where models run, see `groundgraph.models.device`; None: as the run's recipe has it.
        categories: Names of things to find instead of the run's, for a run with `sgg.heads: open`.
        predicates: Names of relations to find instead of the run's, likewise.

    Attributes:
        categories: The names of the graphs' labels 1, 2, ...
        predicates: The names of the graphs' predicate columns 1, 2, ...

    Raises:
        InputError: Names the fix, where `run` is no finished run, has no such method, or is to find other names and
            has closed heads.
    """

    batch_size = 16  # images that go through the networks at once

    def __init__(
        self,
        run: str | Path,
        method: str | None = None,
        device: str | None = None,
        categories: Sequence[str] | None = None,
        predicates: Sequence[str] | None = None,
    ) -> None:
        run = Path(run)
        recipe = run_recipe(run, [f"device={device}"] if device else [])
        method = method or recipe.grounder[0]
        if not (run / f"sgg-{method}").is_dir():
            done = sorted(p.name.removeprefix("sgg-") for p in run.glob("sgg-*") if p.suffix not in (".tmp", ".part"))
            raise InputError(
                f"{run} holds no trained model of {method!r}; it has {', '.join(done) or 'none yet: finish the run'}"
            )
        require_all(detector_requirements(recipe) + name_needs(recipe))
        self.model, vocabularies = load_sgg(run / f"sgg-{method}", recipe.device)
        self.categories, self.predicates = vocabularies["categories"], vocabularies["predicates"]
        if categories or predicates:
            if not self.model.sizes.text:
                raise InputError(
                    f"{run}: this run's model knows its own names only: train one with open heads "
                    f"(groundgraph run {run / 'recipe.yaml'} --set sgg.heads=open)"
                )
            self.categories, self.predicates = (
                list(Vocabulary(tuple(given or own)).names)
                for given, own in ((categories, self.categories), (predicates, self.predicates))
            )
            trained = vocabularies["trained predicates"]
            tell_names(recipe, self.model, vocabularies["detector"], self.categories, self.predicates, trained)
        # The names that the detector's labels stood for in training.
        placement = {"device": recipe.device, "precision": recipe.precision}
        detector = open_detector(recipe, vocabularies["detector"], **placement)
        self.detector = CoveredDetector(detector, coverage(recipe, detector.categories))
        self.config, self.view = recipe.sgg.inference, viewer(recipe)
        self.unions_of = union_features(self.model.config, lambda: self.detector)

    def graphs(self, images: Sequence[str | Path], skipped: Skipped | None = None) -> Iterator[tuple[Path, Graph]]:
        """Find the scene graph of each image.

        Args:
            images: Files, read a batch at a time.
            skipped: Gets what cannot be used, with the cause.

        Yields:
            Each usable image's path and graph, in order.
        """
        skipped = Skipped() if skipped is None else skipped
        for first in range(0, len(images), self.batch_size):
            paths = [Path(image) for image in images[first : first + self.batch_size]]
            examples = [Example(str(path), str(path)) for path in paths]
            detected = zip(paths, examples, self.detector.detect(examples, skipped), strict=True)
            usable = [(path, example, own) for path, example, own in detected if own is not None]
            regions = self.view([example for _, example, _ in usable], [own for *_, own in usable])
            unions = self.unions_of([example for _, example, _ in usable], regions)
            graphs = predict(self.model, regions, self.config, unions=unions)
            yield from zip([path for path, *_ in usable], graphs, strict=True)

    def record(self, graph: Graph, top: int = 10) -> dict[str, Any]:
        """The graph's `top` best relations and their objects, by name, with scores: see `graph_json`."""
        return graph_json(graph, self.categories, self.predicates, top)


def at_least(graph: Graph, score: float) -> Graph:
    """The graph with the objects, and the relations (subject x predicate x object score), of at least this score."""
    kept = np.flatnonzero(np.asarray(graph.scores) >= score)
    place = np.full(len(graph.scores), -1)
    place[kept] = np.arange(len(kept))
    values = np.asarray(graph.scores)[graph.pairs].prod(1) * graph.predicate_scores[:, 1:].max(1, initial=0)
    rows = values >= score  # a product is no larger than its factors, so both its objects are kept
    objects = graph.boxes[kept], graph.labels[kept], graph.scores[kept]
    return Graph(*objects, place[graph.pairs[rows]], graph.predicate_scores[rows])


def predict_images(
    predictor: Predictor,
    images: Sequence[Path],
    out: Path,
    top: int = 10,
    kind: str = "png",
    min_score: float = 0.0,
    skipped: Skipped | None = None,
) -> dict[str, dict[str, Any]]:
    """Find and draw the scene graph of each image.

    Args:
        predictor: A finished run's model.
        images: Image files.
        out: Gets NAME.KIND for each image, NAME-2.KIND where that is a file not made here, and graphs.json, to which
            the new graphs are added: {image: {"objects", "relations", "path": the image's, "pictures": [NAME.KIND]}}.
        top: Relations drawn and written an image.
        kind: png, or svg or pdf: vectors with words as text.
        min_score: Of the relations and objects drawn and written, in 0..1.
        skipped: Gets what cannot be used, with the cause.

    Returns:
        What was added to graphs.json.

    Raises:
        InputError: Names the fix, on another kind, and where `out` holds a graphs.json that was not written here.
    """
    if kind not in FORMATS:
        raise InputError(f"pictures are written as {', '.join(FORMATS)}, not {kind}")
    skipped, added = Skipped() if skipped is None else skipped, {}
    out.mkdir(parents=True, exist_ok=True)
    records = _written_before(out / "graphs.json")
    keys = {record["path"]: key for key, record in records.items()}
    taken = {name for record in records.values() for name in record["pictures"]}
    try:
        for path, graph in predictor.graphs(list(dict.fromkeys(images)), skipped):
            try:
                picture = open_image(path)
            except ImageError as error:  # precomputed regions never opened it
                skipped.add(str(path), str(error))
                continue
            graph, place = at_least(graph, min_score), str(path.absolute())
            # The path as given names the image, unless another image was called so from another folder.
            key = keys.setdefault(place, place if str(path) in records else str(path))
            drawn = records[key]["pictures"] if key in records else []
            name = next((name for name in drawn if name.endswith(f".{kind}")), None)
            if name is None:
                name = _free(out, path.stem, kind, taken)
                taken.add(name)
                drawn = [*drawn, name]
            save_graph(out / name, picture, graph, predictor.categories, predictor.predicates, top)
            records[key] = added[key] = predictor.record(graph, top) | {"path": place, "pictures": drawn}
    finally:  # also of a command broken off: what was drawn is known as drawn here
        with atomic_write(out / "graphs.json") as temporary:
            text = json.dumps(records, indent=1, ensure_ascii=False)
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # a file's name may be no text
    return added


def _written_before(file: Path) -> dict[str, dict[str, Any]]:
    """What earlier calls wrote to a folder's graphs.json."""
    if not file.exists():
        return {}
    fix = "give another folder to --out"
    written = read_json(file, "the graphs.json of `groundgraph predict`", fix)
    records = written.values() if isinstance(written, dict) else [None]
    if not all(isinstance(record, dict) and {"path", "pictures"} <= set(record) for record in records):
        raise InputError(f"{file}: not written by `groundgraph predict`, which would add to it; {fix}")
    return written


def _free(out: Path, stem: str, kind: str, taken: set[str]) -> str:
    """A file name that nothing has yet: STEM.KIND, or STEM-2.KIND and so on."""
    name, number = f"{stem}.{kind}", 2
    while name in taken or os.path.lexists(out / name):
        name, number = f"{stem}-{number}.{kind}", number + 1
    return name
