"""A scene-graph generator: detector, scene-graph model and grounder together, on new images."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from huggingface_hub import ModelHubMixin, snapshot_download
from PIL import Image

from groundgraph.data.images import open_image
from groundgraph.data.types import Example, Graph, ProgressBar, Regions, Skipped
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.grounding import build_grounder
from groundgraph.grounding.detected import Detected
from groundgraph.grounding.learned import Learned
from groundgraph.grounding.sgnls import Sgnls
from groundgraph.pretrained.packing import ModelParts, read_packed, run_parts, write_packed
from groundgraph.pretrained.results import GroundedCaption, NamedGraph
from groundgraph.pretrained.words import WordGrounder
from groundgraph.sgg.calibration import at_least
from groundgraph.sgg.heads import names_kept
from groundgraph.sgg.inference import predict
from groundgraph.sgg.showing import Showing
from groundgraph.sgg.unions import union_features
from groundgraph.stages.detector_labels import coverage
from groundgraph.stages.names import name_needs, tell_names
from groundgraph.stages.preflight import require_all
from groundgraph.stages.regions import described_by, detector_requirements, open_detector, open_named_detector
from groundgraph.stages.views import viewer
from groundgraph.vision.chain import DetectorChain
from groundgraph.vision.label_coverage import CoveredDetector
from groundgraph.vision.named import NamedDetector

Picture = str | Path | Image.Image


class SceneGraphModel(ModelHubMixin, library_name="groundgraph", tags=["scene-graph-generation"]):
    """A trained scene-graph generator, loaded once for any number of images; nothing is written where it came from.

    `groundgraph.load` makes one of a run, a folder or a hub id. `save_pretrained`, `from_pretrained` and `push_to_hub`
    are huggingface_hub's; a folder is what `groundgraph pack` writes.

    Args:
        parts: What it is made of.

    Attributes:
        categories: The names of the graphs' labels 1, 2, ...
        predicates: The names of the graphs' predicate columns 1, 2, ...

    Raises:
        InputError: Something that the detector reads is missing; names the fix.
    """

    batch_size = 16  # images that go through the networks at once

    def __init__(self, parts: ModelParts) -> None:
        self.parts, self.model = parts, parts.network
        self.categories, self.predicates = parts.names["categories"], parts.names["predicates"]
        recipe = parts.recipe
        views = name_needs(recipe) if recipe.sgg.start == "image-text" else []
        require_all(detector_requirements(recipe) + views)
        placement = {"device": recipe.device, "precision": recipe.precision}
        # The names that the detector's labels stood for in training.
        detector: DetectorChain | NamedDetector
        if described_by(recipe):
            detector = open_named_detector(recipe, **placement)
        else:
            detector = open_detector(recipe, parts.names["detector"], **placement)
        self.detector = CoveredDetector(detector, coverage(recipe, detector.categories))
        self.config, self.view = recipe.sgg.inference, viewer(recipe)
        self.unions_of = union_features(self.model.config, lambda: self.detector)
        self.showing = Showing.of_names(parts.names)

    @classmethod
    def from_run(cls, run: str | Path, method: str | None = None, device: str | None = None) -> SceneGraphModel:
        """A finished run's model; arguments as of `groundgraph.load`."""
        return cls(run_parts(Path(run), method, device))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, device: str | None = None, **options: Any) -> SceneGraphModel:
        if not Path(model_id).is_dir():
            names = ("revision", "cache_dir", "force_download", "local_files_only", "token")
            model_id = snapshot_download(model_id, **{name: options[name] for name in names if name in options})
        return cls(read_packed(Path(model_id), device))

    def _save_pretrained(self, save_directory: Path) -> None:
        write_packed(self.parts, save_directory)

    @property
    def min_score(self) -> float:
        """The least score of what is shown by default, see `Showing.min_score`."""
        return self.showing.min_score

    @cached_property
    def identity(self) -> str:
        """A digest of the weights and names: equal for equal models."""
        names = [*self.categories, "", *self.predicates, "", str(self.showing)]
        digest = hashlib.sha256("\n".join(names).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    @overload
    def predict(self, images: Picture, boxes: Any = None, **options: Any) -> NamedGraph: ...
    @overload
    def predict(self, images: Sequence[Picture], boxes: Any = None, **options: Any) -> list[NamedGraph]: ...
    def predict(
        self,
        images: Picture | Sequence[Picture],
        boxes: np.ndarray | Sequence[np.ndarray] | None = None,
        categories: Sequence[str] | None = None,
        predicates: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> NamedGraph | list[NamedGraph]:
        """Find the scene graph of an image, or of each of several.

        Args:
            images: A file or a PIL image, or a list of them.
            boxes: The objects' boxes [V, 4] xyxy in pixels, or a list of such arrays, one an image: the graphs have
                these, in order. None: the detector finds them.
            categories: Names of things to find instead of the model's own, of a model with open heads.
            predicates: Names of relations to find instead of the model's own, likewise.
            min_score: Relations that score less are left out, and objects that no other joins; None: `min_score` of the
                model; 0: nothing is, not even what was found twice. Objects whose boxes are given all stay.

        Returns:
            The graph, or a list of graphs, in order.

        Raises:
            InputError: An image cannot be used, heads are closed, or the detector cannot pool given boxes.
        """
        if isinstance(images, (str, Path, Image.Image)):
            boxes_by_image = None if boxes is None else [np.asarray(boxes)]
            return self.predict([images], boxes_by_image, categories, predicates, min_score)[0]
        if boxes is not None and len(boxes) != len(images):
            raise InputError(f"boxes of {len(boxes)} images for {len(images)} images: give an array an image")
        with self.named(categories, predicates), tempfile.TemporaryDirectory() as scratch:
            paths, skipped = [_as_file(image, Path(scratch) / f"{i}.png") for i, image in enumerate(images)], Skipped()
            graphs = dict(enumerate(self._graphs(paths, skipped, boxes, merged=min_score != 0)))
            if skipped.items and any(graph is None for graph in graphs.values()):
                name, why = next(item for item in skipped.items)
                raise InputError(f"{name}: {why}")
            least, names = self.min_score if min_score is None else min_score, (self.categories, self.predicates)
            kept = (at_least(graph, least, objects=boxes is not None) for graph in graphs.values() if graph is not None)
            return [NamedGraph(graph, *map(tuple, names)) for graph in kept]

    def graphs(
        self,
        images: Sequence[str | Path],
        skipped: Skipped | None = None,
        progress: ProgressBar | None = None,
        *,
        merged: bool = True,
    ) -> Iterator[tuple[Path, Graph]]:
        """Find the scene graph of each image, a batch at a time.

        Args:
            images: Files.
            skipped: Gets what cannot be used, with the cause.
            progress: Shows how far it is.
            merged: Each thing once; else everything that was found, which is what detection and recall are measured on.

        Yields:
            Each usable image's path and graph, in order.
        """
        paths, skipped = [Path(image) for image in images], Skipped() if skipped is None else skipped
        with progress("finding scene graphs", len(paths)) if progress else nullcontext(lambda count: None) as advance:
            for path, graph in zip(paths, self._graphs(paths, skipped, merged=merged), strict=True):
                if graph is not None:
                    yield path, graph
                advance(1)

    def ground(self, image: Picture, caption: str) -> GroundedCaption:
        """Find the box that each thing of a caption means.

        Args:
            image: A file or a PIL image.
            caption: An English sentence about it.

        Raises:
            InputError: The image cannot be used.
        """
        with tempfile.TemporaryDirectory() as scratch:
            return self.words.ground(_as_file(image, Path(scratch) / "0.png"), caption)

    def record(self, graph: Graph, top: int = 10) -> dict[str, Any]:
        """The graph's `top` best relations and their objects, by name: see `report.pictures.graph_json`."""
        from groundgraph.report.pictures import graph_json  # with matplotlib, which takes half a second

        return graph_json(graph, self.categories, self.predicates, top)

    @cached_property
    def words(self) -> WordGrounder:
        """Grounds captions: by this model's grounder, or where it has none by its recipe's teachers."""
        folder, name = self.parts.grounder, self.parts.method
        grounder: Learned | Sgnls | Detected | None = None
        method = self.parts.recipe.methods[name]
        if folder is not None:
            grounder = build_grounder(name).load(folder, self.parts.recipe.device)
        elif method.grounds and not method.learns:
            grounder = build_grounder(name)
        return WordGrounder(self.parts.recipe, self.detector, grounder)

    def _graphs(
        self,
        paths: Sequence[Path],
        skipped: Skipped,
        boxes: Sequence[np.ndarray] | None = None,
        merged: bool = True,
    ) -> Iterator[Graph | None]:
        """The graph of each image, None of one that cannot be used."""
        for first in range(0, len(paths), self.batch_size):
            part = slice(first, first + self.batch_size)
            examples = [Example(str(path), str(path)) for path in paths[part]]
            regions: list[Regions | None]
            if boxes is None:
                regions = self.detector.detect(examples, skipped)
            else:
                arrays = [np.asarray(own, np.float32).reshape(-1, 4) for own in boxes[part]]
                regions = [*self.detector.pool([open_image(path) for path in paths[part]], arrays)]
            usable = [(example, own) for example, own in zip(examples, regions, strict=True) if own is not None]
            listing = [example for example, _ in usable]
            proposals = self.view(listing, [own for _, own in usable])
            task, unions = "sgdet" if boxes is None else "sgcls", self.unions_of(listing, proposals)
            graphs = predict(self.model, proposals, self.config, task=task, unions=unions)
            # Given boxes are of a thing each.
            whole = boxes is None and merged
            shown = map(self.showing.whole if whole else self.showing.scored, graphs)
            yield from (None if own is None else next(shown) for own in regions)

    @contextmanager
    def named(self, categories: Sequence[str] | None = None, predicates: Sequence[str] | None = None) -> Iterator[None]:
        """Let a model with open heads find other names in the block; None: its own.

        Nothing is known of the scores of other names: they are not calibrated, and all are shown by default.

        Raises:
            InputError: Its heads are closed.
        """
        own, showing = (self.categories, self.predicates), self.showing
        if categories is None and predicates is None:
            yield
            return
        if not self.model.sizes.text:
            raise InputError(
                "this model knows its own names only: train one with open heads (groundgraph run RECIPE --set "
                "sgg.heads=open)"
            )
        recipe, names = self.parts.recipe, (categories or own[0], predicates or own[1])
        require_all(name_needs(recipe))
        with names_kept(self.model):
            self.showing = Showing(showing.merging)
            self.categories, self.predicates = (list(Vocabulary(tuple(listing)).names) for listing in names)
            try:
                detector, trained = (self.parts.names[kind] for kind in ("detector", "trained predicates"))
                tell_names(recipe, self.model, detector, self.categories, self.predicates, trained)
                yield
            finally:
                (self.categories, self.predicates), self.showing = own, showing


def _as_file(image: Picture, place: Path) -> Path:
    """An image's file; a PIL image is written to `place`, for detectors read files."""
    if not isinstance(image, Image.Image):
        return Path(image)
    image.convert("RGB").save(place, compress_level=1)
    return place
