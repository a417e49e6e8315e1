"""What transformers' detectors share: boxes of queries to regions, and features from states or from a map."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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


class QueryDetector(ImageDetector):
    """One region a query: its box, its best class, and the model's state of that query as the feature.

    The best `count` regions an image by class probability, after one suppression over all classes at IoU
    `suppression` (these models are trained to need none, but their weak queries repeat each other). Labels are -1
    where the best probability is below `commit`. Images of different sizes never share a batch, so nothing is padded.

    pooled  features by RoIAlign on the model's feature map instead of the queries' states; then, and where a model
            has no states, given boxes can be pooled into the same space (`pool` always pools from the map)
    """

    pools_own_map = True

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        categories: Sequence[str],
        *,
        count: int = 36,
        suppression: float = 0.65,
        commit: float = 0.3,
        pooled: bool = False,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(categories)
        self.device = device_of(device)
        self.model, self.processor = model.eval().to(self.device), processor
        self.count, self.suppression, self.commit = count, suppression, commit
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
        return self.by_size(images, lambda numbers: self.find([images[i] for i in numbers]))

    def by_size(self, images: Sequence[Image.Image], find: Callable[[list[int]], Sequence[Regions]]) -> list[Regions]:
        """`find` of the numbers of images of one size, at most `batch` at once; the answers in the images' order."""
        groups: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            groups.setdefault(image.size, []).append(number)
        found: dict[int, Regions] = {}
        for numbers in groups.values():
            for start in range(0, len(numbers), self.batch_size):
                part = numbers[start : start + self.batch_size]
                found.update(zip(part, find(part), strict=True))
        return [found[number] for number in range(len(images))]

    @abstractmethod
    def find(self, images: list[Image.Image]) -> list[Regions]:
        """Regions of images of one size."""

    @torch.inference_mode()
    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`: features from the map, no labels, scores 1.

        Raises InputError unless the detector's own regions are pooled too: states of queries are another space.
        """
        if not self.pooled:
            return super().pool(images, boxes)
        given = [np.asarray(b, np.float32).reshape(-1, 4) for b in boxes]

        def found(numbers: list[int]) -> list[Regions]:
            part = [images[i] for i in numbers]
            inputs = self.prepare(part)
            with last_map(self.model) as seen:
                output = self.model(**inputs)
            known = [unnamed(given[i], image.size) for i, image in zip(numbers, part, strict=True)]
            return self.from_map(known, feature_map(self.model, inputs, output, seen), inputs)

        return self.by_size(images, found)

    @abstractmethod
    def prepare(self, images: list[Image.Image]) -> Any:
        """The model's inputs for images of one size."""

    def read(self, images: list[Image.Image], inputs: Any, chances: Callable[[Any], Tensor]) -> list[Regions]:
        """Regions of images of one size from one forward pass; `chances` of its output: [B, Q, C]."""
        with last_map(self.model) as seen:
            output = self.model(**inputs)
        scores, labels = chances(output).max(-1)
        states = None if self.pooled else query_states(self.model, output)
        self.pooled = states is None  # a model without states: from the first image on
        size = images[0].size
        # OWLv2 pads a picture to a square, and its boxes are shares of that.
        square = (max(size),) * 4 if self.model.config.model_type == "owlv2" else size * 2
        boxes = box_convert(output.pred_boxes.float(), "cxcywh", "xyxy") * torch.tensor(square, device=scores.device)
        boxes = boxes.clamp(min=0).minimum(torch.tensor(size * 2, device=scores.device))
        labels = torch.where(scores >= self.commit, labels, -1)
        if states is None:
            states = boxes.new_zeros((*boxes.shape[:2], 0))
        found = [self.keep(*parts, size) for parts in zip(boxes, labels, scores, states.float(), strict=True)]
        return self.from_map(found, feature_map(self.model, inputs, output, seen), inputs) if self.pooled else found

    def keep(self, boxes: Tensor, labels: Tensor, scores: Tensor, states: Tensor, size: tuple[int, int]) -> Regions:
        """The best of an image's queries."""
        wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
        keep = wide[nms(boxes[wide], scores[wide], self.suppression)][: self.count]
        arrays: list[np.ndarray] = [part[keep].cpu().numpy() for part in (boxes, labels, scores, states)]
        return Regions(*arrays, size=size)

    def from_map(self, regions: Sequence[Regions], maps: Tensor, inputs: Any) -> list[Regions]:
        """The same regions of images of one size, their features pooled from a map [B, C, h, w]."""
        sizes = np.array([r.size * 2 for r in regions], np.float32)
        if self.model.config.model_type == "owlv2":
            sizes[:] = sizes.max(1, keepdims=True)
        shares = [torch.from_numpy(r.boxes / size) for r, size in zip(regions, sizes, strict=True)]
        mask = inputs.get("pixel_mask")
        if mask is not None:  # a processor that pads to a fixed size: the picture is the part that the mask marks
            seen = torch.stack([mask[0].any(0).float().mean(), mask[0].any(1).float().mean()]).repeat(2).cpu()
            shares = [share * seen for share in shares]
        pooled = pool_regions(maps.float(), shares)
        return [
            Regions(r.boxes, r.labels, r.scores, f.cpu().numpy(), r.size) for r, f in zip(regions, pooled, strict=True)
        ]


def query_states(model: nn.Module, output: Any) -> Tensor | None:
    """The state [B, Q, D] that each query's box and class were read from; None where a model shows none."""
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
def last_map(model: nn.Module) -> Iterator[list[Tensor]]:
    """Within it, the feature maps [B, C, h, w] that the model's backbone gives are noted, the coarsest last."""
    seen: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: seen.extend(_maps(output)))
        for name, module in model.named_modules()
        if name.rpartition(".")[2] == "backbone"
    ]
    try:
        yield seen
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


def feature_map(model: nn.Module, inputs: Any, output: Any, seen: list[Tensor]) -> Tensor:
    """A map [B, C, h, w] over the model's whole input. Raises InputError where the model shows none."""
    kind = model.config.model_type
    if kind in ("owlvit", "owlv2"):
        return output.image_embeds.permute(0, 3, 1, 2)
    if kind == "yolos":
        h, w = (side // model.config.patch_size for side in inputs["pixel_values"].shape[2:])
        return output.last_hidden_state[:, 1 : 1 + h * w].transpose(1, 2).unflatten(2, (h, w))
    if not seen:
        raise InputError(
            f"{type(model).__name__} shows neither states of its queries nor a backbone's map, so its regions have no "
            "features of their own; give the option features a backbone, such as torchvision:resnet50"
        )
    return seen[-1]
