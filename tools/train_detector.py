"""Trains the bundled detector on MiniGenome images without the categories it shall never have seen."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models.detection import FasterRCNN

from groundgraph.data.minigenome import CATEGORIES, EXPERT_SEED, HELDOUT_SEED, UNSEEN, sample
from groundgraph.data.types import Graph, GroundTruth, Regions
from groundgraph.evaluation.detection import detection_map
from groundgraph.models import FOLDER
from groundgraph.training.trainer import seeded
from groundgraph.vision.small_faster_rcnn import SmallConfig, small_faster_rcnn
from groundgraph.vision.torchvision_detector import TorchvisionDetector
from tools.workbench import ExpertTask, card, command_line, fit, replacing, scratch_of, threads

SEEN = tuple(name for name in CATEGORIES if name not in UNSEEN)
IMAGES, HELDOUT, BATCH, RATE, STEPS = 24_000, 600, 16, 1e-3, 4_000
REGIONS = {"count": 36, "objectness_weight": 0.3, "nms_threshold": 0.65, "label_threshold": 0.6}
COMMAND = "python -m tools.train_detector"


@dataclass(frozen=True)
class Drawn:
    """A scene as training wants it: pixels [S, S, 3] uint8, boxes [G, 4] float32 xyxy, category names."""

    pixels: np.ndarray
    boxes: np.ndarray
    names: tuple[str, ...]


def draw(part: tuple[int, int]) -> Drawn:
    """The scene of (world seed, index)."""
    scene = sample(*part)
    boxes = np.array([thing.box for thing in scene.objects], np.float32).reshape(-1, 4)
    return Drawn(np.array(scene.image), boxes, tuple(thing.category for thing in scene.objects))


def gather(images: int, workers: int) -> list[Drawn]:
    """`images` scenes with objects, all of seen categories: an unseen one would be taught as background."""
    kept: list[Drawn] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers) as pool:
        numbers = ((EXPERT_SEED, index) for index in range(4 * images))
        for scene in pool.imap(draw, numbers, chunksize=64):
            if scene.names and UNSEEN.isdisjoint(scene.names):
                kept.append(scene)
            if len(kept) == images:
                break
        pool.terminate()
    return kept


def batch(scenes: Sequence[Drawn], flip: np.ndarray) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Images [3, S, S] in 0..1 and torchvision's targets; `flip` [B] bool mirrors an image and its boxes."""
    images, targets = [], []
    for scene, mirrored in zip(scenes, flip, strict=True):
        pixels, boxes = torch.from_numpy(scene.pixels), torch.from_numpy(scene.boxes)
        if mirrored:
            pixels, boxes = pixels.flip(1), boxes[:, [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1])
            boxes = boxes + torch.tensor([pixels.shape[1], 0, pixels.shape[1], 0])
        images.append(pixels.permute(2, 0, 1).float() / 255)
        labels = torch.tensor([SEEN.index(name) + 1 for name in scene.names])
        targets.append({"boxes": boxes, "labels": labels})
    return images, targets


def loss_of(model: FasterRCNN, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """torchvision's four losses: what the model's own forward does, with the backbone in half precision.

    The backbone is most of the work; boxes and losses need single precision.
    """
    ready, targets = model.transform(images, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = model.backbone(ready.tensors.contiguous(memory_format=torch.channels_last))
    maps = {name: value.float() for name, value in maps.items()}
    proposals, first = model.rpn(ready, maps, targets)
    _, second = model.roi_heads(maps, proposals, ready.image_sizes, targets)
    return {**first, **second}


def evaluate(detector: TorchvisionDetector, scenes: Sequence[Drawn]) -> dict[str, float]:
    """AP50 of the seen categories, and the share of true objects that some region covers at IoU 0.5."""
    regions_of = detector.regions([Image.fromarray(scene.pixels) for scene in scenes])
    figures = coverage(regions_of, scenes)
    return {**figures, **average_precision(regions_of, scenes, detector.categories)}


def coverage(regions_of: Sequence[Regions], scenes: Sequence[Drawn]) -> dict[str, float]:
    """Share of objects, all, seen and unseen, with a region of IoU >= 0.5."""
    from torchvision.ops import box_iou

    covered, unseen = [], []
    for regions, scene in zip(regions_of, scenes, strict=True):
        overlap = box_iou(torch.from_numpy(scene.boxes), torch.from_numpy(regions.boxes))
        covered += (overlap.amax(1) >= 0.5).tolist() if len(regions) else [False] * len(scene.names)
        unseen += [name in UNSEEN for name in scene.names]
    hit, new = np.array(covered), np.array(unseen)
    return {
        "covered, all objects": float(hit.mean()),
        "covered, seen categories": float(hit[~new].mean()),
        "covered, unseen categories": float(hit[new].mean()) if new.any() else float("nan"),
    }


def average_precision(regions_of: Sequence[Regions], scenes: Sequence[Drawn], names: Sequence[str]) -> dict[str, float]:
    """AP50, its mean over the seen categories first; regions without a label are no detections."""
    graphs = []
    for regions in regions_of:
        named = regions.labels >= 0
        nothing = np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32)
        graphs.append(Graph(regions.boxes[named], regions.labels[named] + 1, regions.scores[named], *nothing))
    truths = [GroundTruth(scene.boxes, tuple(scene.names)) for scene in scenes]
    mean, parts = detection_map(truths, graphs, names)
    return {"AP50, seen categories": mean} | {f"AP50 {name}": value for name, value in parts.items()}


def save(folder: Path, model: torch.nn.Module, config: SmallConfig, text: str) -> None:
    """Writes config.json, model.safetensors (float16) and the card, all or nothing."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    described = {"model": asdict(config), "regions": REGIONS, "categories": SEEN}
    with replacing(folder) as scratch:
        save_file({k: v.contiguous() for k, v in state.items()}, scratch / "model.safetensors")
        (scratch / "model.safetensors").chmod(0o644)  # safetensors lets only the owner read
        (scratch / "config.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        (scratch / "README.md").write_text(text, encoding="utf-8")


class DetectorTask(ExpertTask[tuple[list[Tensor], list[dict[str, Tensor]]]]):
    """torchvision's losses on scenes, half of them mirrored, all of them once before any is seen again."""

    def __init__(self, model: FasterRCNN, scenes: Sequence[Drawn], batch_size: int, steps: int, seed: int) -> None:
        super().__init__("detector", model, steps, seed, images=len(scenes), batch_size=batch_size)
        self.detector, self.scenes, self.batch_size = model, scenes, batch_size

    def order(self) -> list[int]:
        """Permutations of the scenes, one after the other."""
        rounds = -(-self.steps * self.batch_size // len(self.scenes))
        whole = np.concatenate([self.rng.permutation(len(self.scenes)) for _ in range(rounds)])
        return list(whole[: self.steps * self.batch_size].tolist())

    def draw(self, places: list[int]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """The scenes' images and targets."""
        return batch([self.scenes[i] for i in places], self.rng.random(len(places)) < 0.5)

    def losses(self, batch: tuple[list[Tensor], list[dict[str, Tensor]]]) -> dict[str, Tensor]:
        """The four losses, without torchvision's prefix."""
        return {name.removeprefix("loss_"): value for name, value in loss_of(self.detector, *batch).items()}


def train_detector(
    out: Path, steps: int = STEPS, seed: int = 0, images: int = IMAGES, heldout: int = HELDOUT, batch_size: int = BATCH
) -> dict[str, float]:
    """Train and save the detector; returns its held-out figures."""
    config, scenes = SmallConfig(), gather(images, threads())
    with scratch_of(out) as scratch, seeded(seed, torch.device("cpu")):
        model = small_faster_rcnn(config, len(SEEN)).to(memory_format=torch.channels_last)
        task = DetectorTask(model, scenes, batch_size, steps, seed)
        fit(task, scratch, learning_rate=RATE, weight_decay=1e-3, warmup=0.07, max_grad_norm=5.0)
        save(out, model, config, "# Detector, not measured yet\n")
        figures = evaluate(TorchvisionDetector.load(out), [draw((HELDOUT_SEED, index)) for index in range(heldout)])
        facts = {
            "images": f"{len(scenes)} of MiniGenome (world seed {EXPERT_SEED}), mirrored at random",
            "categories": f"{len(SEEN)} taught; never seen: {', '.join(sorted(UNSEEN))}",
            "steps": f"{steps} of {batch_size} images, AdamW, {RATE:g}, cosine",
            "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        }
        save(out, model, config, describe(facts, figures, heldout))
    return figures


def describe(facts: dict[str, str], figures: dict[str, float], heldout: int) -> str:
    """The card."""
    what = (
        "A small Faster R-CNN of torchvision for MiniGenome's 112 x 112 pictures. It gives 36 regions an image: "
        f"detections, and class-agnostic proposals (label -1) for what it was never taught. Measured on {heldout} "
        f"images of world seed {HELDOUT_SEED}; AP50 over the regions as they come, unseen objects in the picture."
    )
    return card("Region detector", what, facts, figures, COMMAND)


if __name__ == "__main__":
    command_line(train_detector, __doc__, STEPS, FOLDER / "detector")
