"""A scene-graph model as one ONNX graph: one image's regions and pairs in, objects and logits out.

With open heads the vocabulary is an input too, so that the file finds other names without being written again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from groundgraph.errors import InputError
from groundgraph.pretrained.onnx import finishing
from groundgraph.pretrained.onnx.decoding import LoopedMotifs, WholeUniter, suppressed_labels
from groundgraph.pretrained.onnx.finishing import RawGraph, finished, iou, suppressed
from groundgraph.pretrained.onnx.graph_file import OneImage
from groundgraph.sgg.batch import Batch, Outputs, SggModel
from groundgraph.sgg.heads import NameFeatures, OpenHead
from groundgraph.sgg.inference import InferenceConfig, Objects, beside_detected
from groundgraph.sgg.merging import Merging
from groundgraph.sgg.motifs import Motifs
from groundgraph.sgg.pairs import LanguagePrior
from groundgraph.sgg.start import DetectorStart
from groundgraph.sgg.uniter import Uniter

INPUTS = ("features", "boxes", "labels", "scores", "size", "pairs")
OUTPUTS = (*finishing.OUTPUTS, "object_logits", "predicate_logits")
AXES = {
    **{name: {0: "regions"} for name in INPUTS[:4]},
    "pairs": {0: "pairs"},
    "unions": {0: "pairs"},
    "categories": {0: "categories"},
    "predicates": {0: "predicates"},
    "bonus": {0: "1 + predicates"},
    **{name: {1: "1 + categories"} for name in ("match", "roles")},
    "views": {0: "categories"},
    "prior": {0: "1 + categories", 1: "1 + categories", 2: "1 + predicates"},
    **finishing.AXES,
    "object_logits": {0: "regions", 1: "1 + categories"},
    "predicate_logits": {0: "pairs", 1: "1 + predicates"},
}


def vocabulary_of(model: SggModel) -> dict[str, np.ndarray]:
    """What a model with open heads knows of its names, as its ONNX graph reads it; {} of one with closed heads.

    Returns:
        "categories" [C, d] and "predicates" [P, d], text features up to their length; "bonus" [1 + P], what is added to
        the predicates' logits; where the model starts from the detector "match" [D + 1, 1 + C] and "roles" likewise,
        with an image-text model "views" [C, e]; with a language model's expectations "prior" [1 + C, 1 + C, 1 + P].
    """
    values: dict[str, Tensor] = {}
    if not model.sizes.text:
        return {}
    for module in model.modules():
        if isinstance(module, NameFeatures):
            values[module.kind] = module.names + module.centre
        if isinstance(module, OpenHead) and module.kind == "predicates":
            values["bonus"] = module.bonus
        elif isinstance(module, DetectorStart):
            values |= {"match": module.match, "roles": module.roles.long()}
            if module.views:
                values["views"] = module.names
        elif isinstance(module, LanguagePrior):
            values["prior"] = module.table
    return {name: values[name].detach().cpu().numpy() for name in AXES if name in values}


class SceneGraph(OneImage):
    """A scene-graph model for one image: `sgg.inference.predict` as far as tensors go.

    Args:
        model: Of `SGG_MODELS`, on the CPU.
        config: What becomes of duplicates, and how many relations are kept.
        merging: Which boxes are of one thing.

    Raises:
        InputError: There is no such graph of this model; the message says why.
    """

    outputs = OUTPUTS
    axes = AXES

    def __init__(self, model: SggModel, config: InferenceConfig, merging: Merging) -> None:
        super().__init__()
        self.model, self.vocabulary = _one_image(model), tuple(vocabulary_of(model))
        self.config, self.merging = config, merging
        self.inputs = (*INPUTS, *(["unions"] if model.sizes.unions else []), *self.vocabulary)
        self.eval()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """What `inputs` names -> what OUTPUTS names.

        features [V, D], boxes [V, 4], labels [V], scores [V] of the regions, size [2] of the image, pairs [Q, 2] of
        regions; then union features [Q, U] and the vocabulary (`vocabulary_of`), where the model reads them.

        Returns:
            What `finishing.finished` does, of the objects and a relation a pair: the first V objects are the regions,
            and of a model that starts from the detector V more are what the detector makes of them. Then object logits
            [V, 1 + C] and predicate logits [Q, 1 + P].
        """
        named = dict(zip(self.inputs, values, strict=True))
        if self.vocabulary:
            tell(self.model, named)
        pairs, batch = named["pairs"], batch_of(named)
        with torch.enable_grad():  # without, pairs are scored some at a time, which fixes their number
            outputs = Outputs(*(None if part is None else part.detach() for part in self.model(batch)))
        boxes, labels, scores, there, settled = self._objects(batch, outputs)
        if self.config.duplicates == "drop":
            there = suppressed(boxes, labels, scores, there, self.config.nms_threshold, settled)
        allowed = torch.ones_like(pairs[:, 0], dtype=torch.bool)
        if self.config.overlapping:
            allowed = iou(named["boxes"])[pairs[:, 0], pairs[:, 1]] > 0
        raw = RawGraph(boxes, labels, scores, there, pairs + 0, outputs.predicates.softmax(-1), allowed)
        return (*finished(raw, self.config, self.merging), outputs.objects[0], outputs.predicates)

    def _objects(self, batch: Batch, outputs: Outputs) -> tuple[Tensor, ...]:
        """What the regions are before duplicates fall, as `sgg.inference` has it of SGDet; and what is settled."""
        objects, settled = self._of_batch(batch, outputs)
        return (*(part[0] for part in objects), settled[0])

    def _of_batch(self, batch: Batch, outputs: Outputs) -> tuple[Objects, Tensor]:
        probabilities, none = outputs.objects.softmax(-1), torch.zeros_like(batch.mask)
        if self.config.duplicates == "relabel":
            labels = suppressed_labels(probabilities, batch.boxes, self.config.nms_threshold)
            scores = probabilities.gather(-1, labels[..., None])[..., 0]
            return Objects(batch.boxes, labels, scores, batch.mask), none
        scores, best = probabilities[..., 1:].max(-1)
        alone = Objects(batch.boxes, best + 1, scores, batch.mask)
        start = next((module for module in self.model.modules() if isinstance(module, DetectorStart)), None)
        if start is None or start.views or outputs.own is None:
            return alone, none
        beside, settled = beside_detected(batch, outputs, probabilities)
        known = outputs.own.any()  # of no region the detector's answer is any name's: the model alone
        twice = Objects(
            batch.boxes.repeat(1, 2, 1),
            *(torch.cat([part, part], 1) for part in alone[1:3]),
            torch.cat([batch.mask, none], 1),
        )
        there = (known & beside.mask) | (~known & twice.mask)
        chosen = (torch.where(known, one, other) for one, other in zip(beside[:3], twice[:3], strict=True))
        return Objects(*chosen, there), settled & known


def batch_of(named: Mapping[str, Tensor]) -> Batch:
    """One image's regions as a batch, with pairs of them and features of the boxes around pairs where given."""
    labels, pairs = named["labels"][None], named.get("pairs")
    return Batch(
        *(named[name][None] for name in ("features", "boxes")),
        labels,
        named["scores"][None],
        mask=torch.ones_like(labels, dtype=torch.bool),
        sizes=named["size"][None],
        pairs=None if pairs is None else torch.cat([torch.zeros_like(pairs[:, :1]), pairs], 1),
        unions=named.get("unions"),
    )


def tell(model: SggModel, named: Mapping[str, Tensor]) -> None:
    """Let a model know the vocabulary of `vocabulary_of`, in operations that become part of the graph."""
    for module in model.modules():
        if isinstance(module, NameFeatures):
            module.names = normalize(named[module.kind] - module.centre, dim=-1)
        if isinstance(module, OpenHead):
            none = torch.cat([module.background, module.names])[:, 0] * 0
            module.bonus = named["bonus"] if module.kind == "predicates" else none
        elif isinstance(module, DetectorStart):
            module.match, module.roles = named["match"], named["roles"]
            if module.views:
                module.names = named["views"]
        elif isinstance(module, LanguagePrior):
            module.table = named["prior"]


def example_inputs(scene_graph: SceneGraph, regions: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random regions with all their pairs, as the graph reads them; the vocabulary is the model's own.

    Args:
        scene_graph: What reads them.
        regions: How many.
        seed: Of the numbers.
    """
    generator, sizes = torch.Generator().manual_seed(seed), scene_graph.model.sizes
    corner = torch.rand(regions, 2, generator=generator) * 200
    sides = 20 + 200 * torch.rand(regions, 2, generator=generator)
    pairs = (~torch.eye(regions, dtype=torch.bool)).nonzero()
    values = {
        "features": torch.randn(regions, sizes.features, generator=generator),
        "boxes": torch.cat([corner, corner + sides], 1),
        "labels": torch.randint(-1, sizes.detector_categories, (regions,), generator=generator),
        "scores": torch.rand(regions, generator=generator),
        "size": torch.tensor([480.0, 440.0]),
        "pairs": pairs,
        "unions": torch.randn(len(pairs), sizes.unions, generator=generator),
    }
    values |= {name: torch.from_numpy(array) for name, array in vocabulary_of(scene_graph.model).items()}
    return tuple(values[name] for name in scene_graph.inputs)


def _one_image(model: SggModel) -> SggModel:
    """The model with loops and no parts, whose numbers are the input's."""
    kind: type[SggModel]
    if isinstance(model, Motifs):
        kind = LoopedMotifs
    elif isinstance(model, Uniter):
        kind = WholeUniter
    else:
        raise InputError(f"{model.name} reads a graph off an image in steps of Python, not by one network")
    whole = kind(model.sizes, model.config)
    whole.load_state_dict(model.state_dict())
    return whole.eval()
