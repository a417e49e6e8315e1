"""A detector as one ONNX graph: a picture in, its regions out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from groundgraph.errors import InputError
from groundgraph.pretrained.onnx.graph_file import OneImage
from groundgraph.vision.chain import DetectorChain
from groundgraph.vision.label_coverage import CoveredDetector
from groundgraph.vision.one_stage_detector import OneStageDetector
from groundgraph.vision.open_vocabulary_detector import OpenVocabularyDetector
from groundgraph.vision.pooling import sides_of
from groundgraph.vision.query_detector import backbone_maps, feature_map
from groundgraph.vision.torchvision_detector import TorchvisionDetector
from groundgraph.vision.transformers_detector import TransformersDetector

OUTPUTS = ("boxes", "labels", "scores", "features")
PICTURE_AXES = {"image": {0: "height", 1: "width"}, "pixels": {1: "height", 2: "width"}}
PREPARED_ALIKE = 0.05  # of pixels of variance 1 about: half a step of 256, and what rounding adds in resizing


class PictureNetwork(OneImage):
    """What a detector's ONNX graphs have in common.

    Args:
        detector: With its labels as the recipe has them, its weights on the CPU.

    Attributes:
        inputs: "image" [h, w, 3] uint8; of a detector of transformers "pixels" [3, h, w] float32, prepared as
            `preparation` says, and "size" [2] float32, the picture's width and height.
        preparation: What `predict.prepared` does with a picture; None: nothing.

    Raises:
        InputError: There is no such graph of it; the message says why.
    """

    def __init__(self, detector: CoveredDetector) -> None:
        super().__init__()
        chain = detector.detector
        if not isinstance(chain, DetectorChain) or len(chain.detectors) > 1:
            raise InputError("several detectors are asked in turn (detector.also)")
        self.detector: Any = chain.detectors[0]
        self.preparation: dict[str, Any] | None = None
        self.prompt: dict[str, Tensor] = {}  # the names that an open-vocabulary detector looks for, part of its graph
        if isinstance(self.detector, TransformersDetector):
            self.preparation, self.probabilities = preparation_of(self.detector), self.detector.probabilities_of
        elif isinstance(self.detector, OpenVocabularyDetector):
            self.preparation = preparation_of(self.detector)
            self.prompt, self.probabilities = self.detector.prompt(example_picture((64, 64)))
        elif not isinstance(self.detector, TorchvisionDetector | OneStageDetector):
            raise InputError(f"{type(self.detector).__name__}: {_WHY_NOT.get(type(self.detector).__name__, _OTHER)}")
        self.model: nn.Module = self.detector.model
        self.inputs = ("image",) if self.preparation is None else ("pixels", "size")
        self.eval()

    def enter(self, image: Tensor) -> tuple[Tensor, Any, Any, Tensor]:
        """A picture [h, w, 3] for a detector of torchvision.

        Returns:
            Its pixels [3, h, w] in 0..1, the network's input, its maps, and what a box [4] is multiplied by on its way
            from the picture into that.
        """
        pixels = image.permute(2, 0, 1).float() / 255
        batch, _ = self.detector.model.transform([pixels])
        ((height, width),) = batch.image_sizes
        entered = torch.stack([torch.as_tensor(side).float() for side in (width, height)])
        maps = self.detector.model.backbone(batch.tensors)
        return pixels, batch, maps, (entered / sides_of(pixels)).repeat(2)


class DetectedRegions(PictureNetwork):
    """A detector's regions of one picture: `Detector.detect` as far as tensors go."""

    outputs = OUTPUTS
    axes = PICTURE_AXES | {name: {0: "regions"} for name in OUTPUTS}

    def __init__(self, detector: CoveredDetector) -> None:
        super().__init__(detector)
        if detector.coverage.noise:
            raise InputError("its labels are made wrong by chance (detector.label_noise)")
        every = np.arange(-1, len(self.detector.categories))
        self.register_buffer("new_label", torch.from_numpy(detector.coverage.labels("", every)))

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """What `inputs` names -> boxes [V, 4] in pixels, labels [V], -1 for none, scores [V] and features [V, D]."""
        if self.preparation is not None:
            inputs = {"pixel_values": values[0][None]} | self.prompt
            ((boxes, labels, scores, features),) = self.detector.find(inputs, self.probabilities, values[1])
        elif isinstance(self.detector, OneStageDetector):
            ((boxes, labels, scores, features),) = self.detector.find([values[0].permute(2, 0, 1).float() / 255])
        else:
            _, batch, maps, scale = self.enter(values[0])
            (boxes,), (features,), (probabilities,), (scores,) = self.detector.find(batch, maps)
            boxes, labels = boxes / scale, self.detector.labels(probabilities)
        wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
        return boxes[wide], self.new_label[labels[wide] + 1], scores[wide], features[wide]


class PooledUnions(PictureNetwork):
    """A detector's features of the boxes around pairs of boxes of one picture: `ImageDetector.pool` of these."""

    outputs = ("unions",)
    axes = PICTURE_AXES | {"boxes": {0: "regions"}, **{name: {0: "pairs"} for name in ("pairs", "unions")}}

    def __init__(self, detector: CoveredDetector) -> None:
        super().__init__(detector)
        self.inputs = (*self.inputs, "boxes", "pairs")

    def forward(self, *values: Tensor) -> Tensor:
        """What `inputs` names, boxes [V, 4] in pixels and pairs [Q, 2] of these among it -> features [Q, D]."""
        ends = values[-2][values[-1]]
        boxes = torch.cat([ends[..., :2].amin(1), ends[..., 2:].amax(1)], 1)
        if self.preparation is not None:
            inputs = {"pixel_values": values[0][None]} | self.prompt
            with backbone_maps(self.model) as maps:
                output = self.model(**inputs)
            whole = feature_map(self.model, inputs, output, maps)
            return self.detector.features_of([boxes], values[1], whole, inputs)[0]
        pixels, batch, maps, scale = self.enter(values[0])
        if isinstance(self.detector, OneStageDetector):
            return self.detector.features_of([pixels], [boxes], batch, maps)[0]
        return self.detector.classify(batch, maps, [boxes * scale])[0][0]


_OTHER = "its network is not known here"
_WHY_NOT = {
    "PooledDetector": "its features come from a network of their own (detector.features), which reads the boxes",
}


def preparation_of(detector: TransformersDetector | OpenVocabularyDetector) -> dict[str, Any]:
    """How a detector of transformers has pictures: what `predict.prepared` reads.

    Returns:
        "short" and "long", the most of the shorter and of the longer side, or "size", width and height; "resample",
        PIL's filter; "scale", "mean", "std", which levels of 0..255 are multiplied by, less and divided by.

    Raises:
        InputError: Pictures so prepared are not what its processor gives.
    """
    from groundgraph.pretrained.onnx.predict import prepared

    processor = getattr(detector.processor, "image_processor", detector.processor)

    def says(name: str, otherwise: Any = None) -> Any:
        return getattr(processor, name, None) or otherwise

    size = dict(says("size", {})) if says("do_resize") else {}
    rule: dict[str, Any] = {"resample": int(says("resample", Image.Resampling.BILINEAR))}
    if "shortest_edge" in size:
        rule |= {"short": size["shortest_edge"], "long": size.get("longest_edge") or 1_000_000}
    elif "height" in size:
        rule["size"] = [size["width"], size["height"]]
    rule["scale"] = says("rescale_factor") if says("do_rescale") else 1.0
    normal = says("do_normalize")
    rule["mean"], rule["std"] = (
        list(says(name)) if normal else [none] * 3 for name, none in (("image_mean", 0.0), ("image_std", 1.0))
    )
    for picture in map(example_picture, ((90, 60), (40, 70), (64, 64))):
        inputs = detector.prepare([picture])
        pixels, mask = inputs["pixel_values"][0].numpy(), inputs.get("pixel_mask")
        own = prepared(picture, rule) if {"short", "size"} & set(rule) else pixels[:0]
        if (
            own.shape != pixels.shape
            or np.abs(own - pixels).mean() > PREPARED_ALIKE
            or (mask is not None and not mask.all())
        ):
            raise InputError(f"{type(processor).__name__} prepares pictures in another way than by resizing them")
    return rule


def example_picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A picture of smooth random colours, of a width and a height."""
    levels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)


def example_inputs(network: PictureNetwork, size: tuple[int, int], seed: int = 0) -> tuple[Tensor, ...]:
    """What a graph reads of `example_picture`; of boxes so many as `seed` says, and one, with all pairs."""
    from groundgraph.pretrained.onnx.predict import prepared

    picture = example_picture(size, seed)
    corner = torch.rand(1 + seed, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor(size) / 2
    values = {
        "image": torch.from_numpy(np.array(picture)),
        "size": torch.tensor(size, dtype=torch.float32),
        "boxes": torch.cat([corner, corner + torch.tensor(size) / 3], 1),
        "pairs": torch.cartesian_prod(torch.arange(1 + seed), torch.arange(1 + seed)),
    }
    if network.preparation is not None:
        values["pixels"] = torch.from_numpy(np.ascontiguousarray(prepared(picture, network.preparation)))
    return tuple(values[name] for name in network.inputs)
