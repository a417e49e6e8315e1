"""What transformers' detectors share: boxes of queries to regions, and features from states or from a map."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import box_convert, nms

from groundgraph.data.types import Regions
from groundgraph.errors import InputError
from groundgraph.models.device import device_of, narrow
from groundgraph.vision.detector import ImageDetector
from groundgraph.vision.pooling import pool_regions, unnamed

# The large parts of transformers' detectors, by the ends of their names.
TOWERS = (".backbone", ".text_backbone", ".vit", ".vision_model.encoder", ".text_model.encoder")


Answer = TypeVar("Answer")


class QueryDetector(ImageDetector):
    """One region a query: its box, its best class, and the model's state of that query as the feature.

    The best regions of an image by class probability, after one non-maximum suppression over all classes (these models
    are trained to need none, but their weak queries repeat each other). Images of different sizes never share a batch,
    so nothing is padded.

    Args:
        model: A detector of transformers.
        processor: Its processor.
        categories: Names of its classes.
        count: Regions an image at most.
        nms_threshold: IoU above which the weaker of two boxes is left out.
        label_threshold: Class probability below which a region has label -1.
        pooled: Features by RoIAlign on the model's feature map instead of the queries' states; then, and where a model
            has no states, given boxes can be pooled into the same space (`pool` always pools from the map).
        device: See `groundgraph.models.device`.
    """

    pools_own_map = True

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        categories: Sequence[str],
        *,
        count: int = 36,
        nms_threshold: float = 0.65,
        label_threshold: float = 0.3,
        pooled: bool = False,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(categories)
        self.device = device_of(device)
        self.model, self.processor = model.eval().to(self.device), processor
        self.count, self.nms_threshold, self.label_threshold = count, nms_threshold, label_threshold
        self.pooled = pooled

    def narrow(self, dtype: torch.dtype) -> None:
        """See `ImageDetector.narrow`: the towers; queries, whose boxes are read off their states, stay float32."""
        inside = ""
        for name, module in self.model.named_modules():
            if f".{name}".endswith(TOWERS) and not (inside and name.startswith(f"{inside}.")):
                inside = name
                narrow(module, dtype)

    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.regions`."""
        return self.by_size(images, lambda numbers: self.detect_same_size([images[i] for i in numbers]))

    def by_size(self, images: Sequence[Image.Image], detect: Callable[[list[int]], Sequence[Answer]]) -> list[Answer]:
        """Return what `detect` gives of the numbers of images of one size, `batch_size` at a time, in their order."""
        groups: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            groups.setdefault(image.size, []).append(number)
        detected: dict[int, Answer] = {}
        for numbers in groups.values():
            for start in range(0, len(numbers), self.batch_size):
                part = numbers[start : start + self.batch_size]
                detected.update(zip(part, detect(part), strict=True))
        return [detected[number] for number in range(len(images))]

    @abstractmethod
    def detect_same_size(self, images: list[Image.Image]) -> list[Regions]:
        """Return the regions of images of one size."""

    @torch.inference_mode()
    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`: features from the map, no labels, scores 1.

        Raises:
            InputError: The detector's own regions are not pooled: states of queries are another space.
        """
        if not self.pooled:
            return super().pool(images, boxes)

        def pool_same_size(numbers: list[int]) -> list[Regions]:
            part = [images[i] for i in numbers]
            inputs = self.prepare(part)
            with backbone_maps(self.model) as maps:
                output = self.model(**inputs)
            arrays = [np.array(boxes[i], np.float32).reshape(-1, 4) for i in numbers]
            tensors = [torch.from_numpy(array).to(self.device) for array in arrays]
            sides = torch.tensor(part[0].size, dtype=torch.float32, device=self.device)
            pooled = self.features_of(tensors, sides, feature_map(self.model, inputs, output, maps), inputs)
            return [
                replace(unnamed(array, part[0].size), features=own.cpu().numpy())
                for array, own in zip(arrays, pooled, strict=True)
            ]

        return self.by_size(images, pool_same_size)

    @abstractmethod
    def prepare(self, images: list[Image.Image]) -> Any:
        """Return the model's inputs for images of one size."""

    def forward(self, images: list[Image.Image], inputs: Any, probabilities: Callable[[Any], Tensor]) -> list[Regions]:
        """Return the regions of images of one size from one forward pass.

        Args:
            images: B pictures of one size.
            inputs: The model's inputs for them.
            probabilities: The model's output -> class probabilities [B, Q, C].
        """
        size = images[0].size
        sides = torch.tensor(size, dtype=torch.float32, device=self.device)
        return [
            Regions(*(part.cpu().numpy() for part in parts), size=size)
            for parts in self.find(inputs, probabilities, sides)
        ]

    def find(
        self, inputs: Any, probabilities: Callable[[Any], Tensor], size: Tensor
    ) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The best queries of pictures of one size.

        Args:
            inputs: The model's.
            probabilities: The model's output -> class probabilities [B, Q, C].
            size: [2], the pictures' width and height in pixels.

        Returns:
            Of each picture boxes [V, 4] in pixels, labels [V], scores [V], features [V, D].
        """
        with backbone_maps(self.model) as maps:
            output = self.model(**inputs)
        scores, labels = probabilities(output).max(-1)
        states = None if self.pooled else query_states(self.model, output)
        self.pooled = states is None  # a model without states: from the first image on
        boxes = self.boxes(output, size)
        labels = torch.where(scores >= self.label_threshold, labels, -1)
        if states is None:
            states = boxes.new_zeros((*boxes.shape[:2], 0))
        best = [self.keep(*parts) for parts in zip(boxes, labels, scores, states.float(), strict=True)]
        if not self.pooled:
            return best
        own = self.features_of(
            [parts[0] for parts in best], size, feature_map(self.model, inputs, output, maps), inputs
        )
        return [(*parts[:3], features) for parts, features in zip(best, own, strict=True)]

    def boxes(self, output: Any, size: Tensor) -> Tensor:
        """Return the queries' boxes [B, Q, 4], xyxy in pixels of images of one size [2]."""
        boxes = box_convert(output.pred_boxes.float(), "cxcywh", "xyxy") * self._whole(size)
        return boxes.clamp(min=0).minimum(size.repeat(2))

    def keep(
        self, boxes: Tensor, labels: Tensor, scores: Tensor, states: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the best of an image's Q queries: boxes [Q, 4], labels and scores [Q], states [Q, D]."""
        wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
        keep = wide[nms(boxes[wide], scores[wide], self.nms_threshold)][: self.count]
        return boxes[keep], labels[keep], scores[keep], states[keep]

    def _whole(self, size: Tensor) -> Tensor:
        """The sides [4] that a model's boxes are shares of: OWLv2 pads a picture to a square."""
        return (size.max().repeat(2) if self.model.config.model_type == "owlv2" else size).repeat(2)

    def features_of(self, boxes: Sequence[Tensor], size: Tensor, maps: Tensor, inputs: Any) -> list[Tensor]:
        """Features of boxes [V, 4] of pictures of one size [2], pooled from a map [B, C, h, w]."""
        shares = [own / self._whole(size) for own in boxes]
        mask = inputs.get("pixel_mask")
        if mask is not None:  # a processor that pads to a fixed size: the picture is the part that the mask marks
            unpadded = torch.stack([mask[0].any(0).float().mean(), mask[0].any(1).float().mean()]).repeat(2)
            shares = [share * unpadded for share in shares]
        return pool_regions(maps.float(), shares)


def query_states(model: nn.Module, output: Any) -> Tensor | None:
    """Return the state [B, Q, D] that each query's box and class were read from; None where a model shows none."""
    queries = output.pred_boxes.shape[1]
    if model.config.model_type in ("owlvit", "owlv2"):
        return output.image_embeds.flatten(1, 2)  # its queries are the patches
    states = getattr(output, "last_hidden_state", None)
    if states is None:
        return None
    if model.config.model_type == "yolos":
        return states[:, -queries:]  # class token, patches, then the detection tokens
    return states if states.shape[1] == queries else None


@contextmanager
def backbone_maps(model: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that gets the feature maps [B, C, h, w] of the model's backbone, the coarsest last."""
    maps: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: maps.extend(_maps(output)))
        for name, module in model.named_modules()
        if name.rpartition(".")[2] == "backbone"
    ]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def _maps(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        if output.ndim == 4 and output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        for part in output.values():
            yield from _maps(part)
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _maps(part)


def feature_map(model: nn.Module, inputs: Any, output: Any, maps: list[Tensor]) -> Tensor:
    """Return a map [B, C, h, w] over the model's whole input.

    Args:
        model: A detector of transformers.
        inputs: What it was given.
        output: What it gave.
        maps: What its backbone gave, see `backbone_maps`.

    Raises:
        InputError: The model shows none.
    """
    kind = model.config.model_type
    if kind in ("owlvit", "owlv2"):
        return output.image_embeds.permute(0, 3, 1, 2)
    if kind == "yolos":
        h, w = (side // model.config.patch_size for side in inputs["pixel_values"].shape[2:])
        return output.last_hidden_state[:, 1 : 1 + h * w].transpose(1, 2).unflatten(2, (h, w))
    if not maps:
        raise InputError(
            f"{type(model).__name__} shows neither states of its queries nor a backbone's map, so its regions have no "
            "features of their own; give the option features a backbone, such as torchvision:resnet50"
        )
    return maps[-1]
