"""A detector as one ONNX graph: a picture in, its regions out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from groundgraph.errors import InputError
from groundgraph.vision.chain import DetectorChain
from groundgraph.vision.label_coverage import CoveredDetector
from groundgraph.vision.one_stage_detector import OneStageDetector
from groundgraph.vision.pooling import sides_of
from groundgraph.vision.torchvision_detector import TorchvisionDetector
from groundgraph.vision.transformers_detector import TransformersDetector

OUTPUTS = ("boxes", "labels", "scores", "features")
AXES = {
    "image": {0: "height", 1: "width"},
    "pixels": {1: "height", 2: "width"},
    **{name: {0: "regions"} for name in OUTPUTS},
}
PREPARED_ALIKE = 0.05  # of pixels of variance 1 about: half a step of 256, and what rounding adds in resizing


class DetectedRegions(nn.Module):
    """A detector's regions of one picture: `Detector.detect` as far as tensors go.

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
        if detector.coverage.noise:
            raise InputError("its labels are made wrong by chance (detector.label_noise)")
        chain = detector.detector
        if not isinstance(chain, DetectorChain) or len(chain.detectors) > 1:
            raise InputError("several detectors are asked in turn (detector.also)")
        self.detector: Any = chain.detectors[0]
        self.preparation: dict[str, Any] | None = None
        if isinstance(self.detector, TransformersDetector):
            self.preparation = preparation_of(self.detector)
        elif not isinstance(self.detector, TorchvisionDetector | OneStageDetector):
            raise InputError(f"{type(self.detector).__name__}: {_WHY_NOT.get(type(self.detector).__name__, _OTHER)}")
        self.model: nn.Module = self.detector.model
        self.inputs = ("image",) if self.preparation is None else ("pixels", "size")
        self.register_buffer(
            "new_label", torch.from_numpy(detector.coverage.labels("", np.arange(-1, len(chain.categories))))
        )
        self.eval()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """What `inputs` names -> boxes [V, 4] in pixels, labels [V], -1 for none, scores [V] and features [V, D]."""
        if self.preparation is not None:
            pixels, size = values
            inputs, probabilities = {"pixel_values": pixels[None]}, self.detector.probabilities_of
            ((boxes, labels, scores, features),) = self.detector.find(inputs, probabilities, size)
        else:
            pixels = values[0].permute(2, 0, 1).float() / 255
            boxes, labels, scores, features = self._of_torchvision(pixels)
        wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
        return boxes[wide], self.new_label[labels[wide] + 1], scores[wide], features[wide]

    def _of_torchvision(self, pixels: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.detector, OneStageDetector):
            (parts,) = self.detector.find([pixels])
            return parts
        batch, _ = self.detector.model.transform([pixels])
        maps = self.detector.model.backbone(batch.tensors)
        (boxes,), (features,), (probabilities,), (scores,) = self.detector.find(batch, maps)
        ((height, width),) = batch.image_sizes
        entered = torch.stack([torch.as_tensor(side).float() for side in (width, height)])
        return boxes / (entered / sides_of(pixels)).repeat(2), self.detector.labels(probabilities), scores, features


_OTHER = "its network is not known here"
_WHY_NOT = {
    "OpenVocabularyDetector": "what it looks for is text, whose tokens the graph would have to be written for",
    "PooledDetector": "its features come from a network of their own (detector.features), which reads the boxes",
}


def preparation_of(detector: TransformersDetector) -> dict[str, Any]:
    """How a detector of transformers has pictures: what `predict.prepared` reads.

    Returns:
        "short" and "long", the most of the shorter and of the longer side, or "size", width and height; "resample",
        PIL's filter; "scale", "mean", "std", which levels of 0..255 are multiplied by, less and divided by.

    Raises:
        InputError: Pictures so prepared are not what its processor gives.
    """
    from groundgraph.pretrained.onnx.predict import prepared

    processor = detector.processor
    size = dict(processor.size)
    rule: dict[str, Any] = {"resample": int(processor.resample)}
    if "shortest_edge" in size:
        rule |= {"short": size["shortest_edge"], "long": size.get("longest_edge") or 1_000_000}
    elif "height" in size:
        rule["size"] = [size["width"], size["height"]]
    rule["scale"] = processor.rescale_factor if processor.do_rescale else 1.0
    normal = bool(processor.do_normalize)
    rule["mean"], rule["std"] = (
        list(values) if normal else [rest] * 3
        for values, rest in ((processor.image_mean, 0.0), (processor.image_std, 1.0))
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


def example_inputs(regions: DetectedRegions, size: tuple[int, int], seed: int = 0) -> tuple[Tensor, ...]:
    """What the graph reads of `example_picture`."""
    from groundgraph.pretrained.onnx.predict import prepared

    picture = example_picture(size, seed)
    if regions.preparation is None:
        return (torch.from_numpy(np.array(picture)),)
    pixels = torch.from_numpy(np.ascontiguousarray(prepared(picture, regions.preparation)))
    return pixels, torch.tensor(size, dtype=torch.float32)
