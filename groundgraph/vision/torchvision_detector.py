"""Regions from torchvision's detectors: the bundled small one, a folder of one's own, or torchvision's by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import softmax
from torchvision.models import detection, get_model, get_model_weights, list_models
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import clip_boxes_to_image, nms
from torchvision.transforms.functional import pil_to_tensor

from groundgraph.data.types import Regions
from groundgraph.errors import InputError
from groundgraph.formats.torch_file import tensors_of
from groundgraph.models import resolve
from groundgraph.models.device import device_of, device_of_model, narrow
from groundgraph.models.hub import load_torchvision
from groundgraph.vision.detector import ImageDetector
from groundgraph.vision.one_stage_detector import OneStageDetector
from groundgraph.vision.small_faster_rcnn import SmallConfig, small_faster_rcnn

SIDE_FLOOR = 1.0  # pixels; a thinner box is no region
RENAMED = {"suppression": "nms_threshold", "commit": "label_threshold"}  # in folders saved by older versions


class TorchvisionDetector(ImageDetector):
    """Regions of a Faster, Mask or Keypoint R-CNN: confident detections and class-agnostic proposals in one list.

    Every proposal of the region proposal network is classified and its box refined; after one non-maximum suppression
    over all classes the best remain. Features are the box head's output for the final box.

    Args:
        model: Torchvision's FasterRCNN; its class 0 is background.
        categories: Names of its classes 1 to C.
        count: Regions an image at most.
        objectness_weight: A region's score is the larger of its best class probability and this times its objectness,
            so that things the classifier was never taught keep a place.
        nms_threshold: IoU above which the weaker of two boxes is left out.
        label_threshold: Probability of the best class, for the final box, below which a region has label -1: on things
            never taught that separates better than 1 - background, which such things share.
        device: See `groundgraph.models.device`.
    """

    pools_boxes = True

    def __init__(
        self,
        model: FasterRCNN,
        categories: Sequence[str],
        *,
        count: int = 36,
        objectness_weight: float = 0.3,
        nms_threshold: float = 0.65,
        label_threshold: float = 0.5,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(categories)
        self.model = model.eval().to(device_of(device))
        if self._device.type == "cpu":
            self.model.to(memory_format=torch.channels_last)  # a fifth less time for the same function
        self.count, self.objectness_weight = count, objectness_weight
        self.nms_threshold, self.label_threshold = nms_threshold, label_threshold

    @classmethod
    def load(
        cls, source: str | Path, *, count: int | None = None, device: str | torch.device = "auto"
    ) -> TorchvisionDetector | OneStageDetector:
        """Return the detector of a folder, `bundled:detector`, or the name of any of torchvision's detectors.

        A folder holds config.json and model.safetensors (or model.pth, of which tensors alone are read). The config
        has `categories`, `regions` (options of the class), and `model`: what `SmallConfig` takes, or
        {"torchvision": NAME} with options of torchvision's builder, for a network that one has trained oneself.

        Args:
            source: The folder or name.
            count: Regions an image at most; None: as the folder's config says, else 36.
            device: See `groundgraph.models.device`.

        Raises:
            InputError: It is neither, or a file is broken; the message names the file and the fix.
        """
        name = resolve(source)
        if Path(name).is_dir():
            return _from_folder(Path(name), count, device)
        if name in list_models(detection):
            return _from_torchvision(name, count, device)
        raise InputError(
            f"{source}: no such detector folder, and no detector of torchvision has that name; give a folder with "
            f"config.json and model.safetensors, or one of {', '.join(list_models(detection))}"
        )

    def narrow(self, dtype: torch.dtype) -> None:
        """See `ImageDetector.narrow`; anchors, which are made in the maps' precision, and boxes stay exact."""
        for part in (self.model.backbone, self.model.rpn.head, self.model.roi_heads.box_head):
            narrow(part, dtype)

    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.regions`; `count` of them at most, fewer where there are no more."""
        return self.in_batches(images, self._detect)

    @torch.inference_mode()
    def _detect(self, images: Sequence[Image.Image]) -> list[Regions]:
        batch, maps = self._encode(images)
        return self._pack(images, batch, *self.find(batch, maps))

    def find(
        self, batch: ImageList, maps: dict[str, Tensor]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """The best boxes of each image of the network's input, from its maps: at most `count`.

        Args:
            batch: Pictures as `model.transform` gives them.
            maps: Of these, as `model.backbone` gives them.

        Returns:
            Of each picture boxes [V, 4] in pixels of the input, features [V, D], class probabilities [V, 1 + C] and
            scores [V].
        """
        proposals, objectness = self._propose(batch, maps)
        _, probabilities, refined = self.classify(batch, maps, proposals)
        kept, scores = [], []
        for boxes, of_class, of_object in zip(refined, probabilities, objectness, strict=True):
            score = torch.maximum(of_class[:, 1:].amax(1), self.objectness_weight * of_object)
            wide_enough = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= SIDE_FLOOR
            boxes, score = boxes[wide_enough], score[wide_enough]
            keep = nms(boxes, score, self.nms_threshold)[: self.count]
            kept.append(boxes[keep])
            scores.append(score[keep])
        features, probabilities, _ = self.classify(batch, maps, kept)
        return kept, features, probabilities, scores

    def labels(self, probabilities: Tensor) -> Tensor:
        """The labels [V] of regions with class probabilities [V, 1 + C]; -1: none is likely enough."""
        best, label = probabilities[:, 1:].max(1)
        return torch.where(best >= self.label_threshold, label, -1)

    @torch.inference_mode()
    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`; labels and scores are the classifier's for the given boxes."""
        regions: list[Regions] = []
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            arrays = [np.array(b, np.float32).reshape(-1, 4) for b in boxes[start : start + self.batch_size]]
            batch, maps = self._encode(part)
            scaled = [
                torch.from_numpy(array).to(self._device) * self._scale(image, size)
                for array, image, size in zip(arrays, part, batch.image_sizes, strict=True)
            ]
            features, probabilities, _ = self.classify(batch, maps, scaled)
            packed = self._pack(part, batch, scaled, features, probabilities, [p[:, 1:].amax(1) for p in probabilities])
            regions += [replace(r, boxes=array) for r, array in zip(packed, arrays, strict=True)]
        return regions

    @property
    def _device(self) -> torch.device:
        return device_of_model(self.model)

    def _scale(self, image: Image.Image, size: tuple[int, int]) -> Tensor:
        """Factors [4] from pixels of the image to pixels of the network's input."""
        return torch.tensor([size[1] / image.width, size[0] / image.height] * 2, device=self._device)

    def _encode(self, images: Sequence[Image.Image]) -> tuple[ImageList, dict[str, Tensor]]:
        pixels = [pil_to_tensor(image).to(self._device).float() / 255 for image in images]
        batch, _ = self.model.transform(pixels)
        return batch, self.model.backbone(batch.tensors)

    def _propose(self, batch: ImageList, maps: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Proposals [P, 4] and their objectness [P] an image: what `rpn.forward` does, with the scores kept."""
        rpn, levels = self.model.rpn, list(maps.values())
        objectness, corrections = rpn.head(levels)
        anchors = rpn.anchor_generator(batch, levels)
        sizes = [o.shape[1] * o.shape[2] * o.shape[3] for o in objectness]
        objectness, corrections = concat_box_prediction_layers(objectness, corrections)
        proposals = rpn.box_coder.decode(corrections, anchors).view(len(anchors), -1, 4)
        return rpn.filter_proposals(proposals, objectness, batch.image_sizes, sizes)

    def classify(
        self, batch: ImageList, maps: dict[str, Tensor], boxes: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Features [P, D], class probabilities [P, 1 + C], boxes refined for the best foreground class [P, 4]."""
        heads, counts = self.model.roi_heads, [b.shape[0] for b in boxes]
        features = heads.box_head(heads.box_roi_pool(maps, boxes, batch.image_sizes))
        logits, corrections = heads.box_predictor(features)
        probabilities = softmax(logits, -1)
        decoded = heads.box_coder.decode(corrections, boxes)
        best = probabilities[:, 1:].argmax(1) + 1
        refined = decoded[torch.arange(best.shape[0], device=best.device), best].split(counts)
        inside = [clip_boxes_to_image(b, size) for b, size in zip(refined, batch.image_sizes, strict=True)]
        return list(features.split(counts)), list(probabilities.split(counts)), inside

    def _pack(
        self,
        images: Sequence[Image.Image],
        batch: ImageList,
        boxes: list[Tensor],
        features: list[Tensor],
        probabilities: list[Tensor],
        scores: list[Tensor],
    ) -> list[Regions]:
        packed = []
        for image, size, b, f, p, s in zip(
            images, batch.image_sizes, boxes, features, probabilities, scores, strict=True
        ):
            pixels = b / self._scale(image, size)
            arrays = (x.cpu().numpy() for x in (pixels, self.labels(p), s, f))
            packed.append(Regions(*arrays, size=image.size))
        return packed


def _from_folder(folder: Path, count: int | None, device: str | torch.device) -> TorchvisionDetector | OneStageDetector:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings = {RENAMED.get(key, key): value for key, value in config["regions"].items()}
        categories, network = config["categories"], dict(config["model"])
        if name := network.pop("torchvision", None):
            if name not in list_models(detection):
                raise InputError(f"{name} is no detector of torchvision")
            network = {"weights": None, "weights_backbone": None, "num_classes": 1 + len(categories)} | network
            model = get_model(name, **network)
        else:
            model = small_faster_rcnn(SmallConfig(**network), len(categories))
        if count is not None:
            settings["count"] = count
        detector = _of(model)(model, categories, device=device, **settings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'config.json'}: not a detector's config ({error!r}); train it anew") from error
    weights = folder / "model.safetensors"
    if not weights.is_file() and (folder / "model.pth").is_file():
        weights = folder / "model.pth"
    try:
        if weights.suffix == ".pth":
            model.load_state_dict(tensors_of(weights))
        else:
            model.load_state_dict(load_file(weights))
    except Exception as error:  # a damaged file makes the readers fail in any way
        raise InputError(f"{weights}: cannot be loaded ({error}); train it anew") from error
    return detector


def _from_torchvision(
    name: str, count: int | None, device: str | torch.device
) -> TorchvisionDetector | OneStageDetector:
    names = get_model_weights(name).DEFAULT.meta["categories"]
    model = get_model(name, weights=None, weights_backbone=None, num_classes=len(names))
    load_torchvision(model, name)
    return _of(model)(model, names[1:], count=count or 36, device=device)


def _of(model: nn.Module) -> type[TorchvisionDetector] | type[OneStageDetector]:
    """Which class a network's regions come from: Mask and Keypoint R-CNN are Faster R-CNNs too."""
    return TorchvisionDetector if isinstance(model, FasterRCNN) else OneStageDetector
