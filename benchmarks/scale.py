"""What an image and a step cost with experts of the paper's size: seconds of one core, and floating-point operations.

    python benchmarks/scale.py [--images 4]

The architectures are the paper's or the nearest one that pip brings, with random weights, through the very classes that
a run uses: Faster R-CNN (ResNet-50-FPN, 800 pixels), BERT-base on the captions, ALBEF's size (ViT-B/16 at 384 pixels,
12 text layers, Grad-CAM of layer 8), CLIP ViT-B/32 on 36 crops and on the entities' sentences; then a step of the
grounder, of Motifs and of Uniter in the recipe vg-caption-ours. Pictures are MiniGenome's, enlarged to 640 x 480, with
5 captions of MiniGenome as COCO has; where captions count, what one more costs is taken from 10 instead. Operations (a
multiply-add is two) are counted by torch while the same call runs; docs/scale.md divides them by what a GPU does.
Bytes are of what a run stores of an image. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from transformers import AutoTokenizer, BertConfig, BertModel, CLIPConfig, CLIPImageProcessor, CLIPModel, ViTConfig
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.data.types import Entity, ParsedCaption, Regions
from groundgraph.grounding import build_grounder
from groundgraph.grounding.data import GroundingImage
from groundgraph.language import load_parser
from groundgraph.language.encoder import TextEncoder
from groundgraph.models import resolve
from groundgraph.sgg import new_model
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.inference import predict
from groundgraph.sgg.training import train_sgg
from groundgraph.stages.recipe import find_recipe, load_recipe
from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.expert import ImageTextModel
from groundgraph.teachers.gradcam import GradCamModel
from groundgraph.teachers.interaction import region_scores
from groundgraph.teachers.pixels import image_processor, pixel_values
from groundgraph.vision.torchvision_detector import TorchvisionDetector

PICTURE, REGIONS, FEATURE, WORD, CAPTIONS = (640, 480), 36, 1536, 768, 5
WORDS = "package:all_minilm_l6_v2"  # its tokenizer is BERT's


class Operations(TorchDispatchMode):
    """Counts floating-point operations by torch's own formulas; fused LSTMs have none there."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, formula = kwargs or {}, flop_registry.get(func._overloadpacket)
        if formula is None and func is not torch.ops.prim.device.default:
            with self:  # in inference mode an operation may come whole that is made of counted ones
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def cost(work: Callable[[], Any], count: int) -> dict[str, float]:
    """Seconds of one core and GFLOP an item of `count`, the first call apart."""
    with Operations() as counter:
        work()
    began = time.perf_counter()
    work()
    return {
        "seconds": round((time.perf_counter() - began) / count, 4),
        "GFLOP": round(counter.total / count / 1e9, 2),
    }


def by_caption(work: Callable[[int], Any], count: int) -> dict[str, float]:
    """`cost` of `work` with CAPTIONS captions an image, and what one more costs."""
    one, two = cost(lambda: work(CAPTIONS), count), cost(lambda: work(2 * CAPTIONS), count)
    more = {f"{name} a caption more": round((two[name] - one[name]) / CAPTIONS, 4) for name in one}
    return one | more


def pictures(count: int, folder: Path) -> tuple[list[Image.Image], list[list[ParsedCaption]], list[Regions]]:
    """Photos' size, with twice CAPTIONS captions each and regions."""
    drawn = list(MiniGenome("train", "vg_caption", folder, count))
    images = [Image.open(example.path).convert("RGB").resize(PICTURE) for example in drawn]
    parsed = load_parser("rules").parse([caption for example in drawn for caption in example.captions])
    captions = [(parsed[i:] + parsed * 2 * CAPTIONS)[: 2 * CAPTIONS] for i in range(count)]
    rng = np.random.default_rng(0)
    regions = []
    for _ in drawn:
        corner, side = rng.uniform(0, 300, (REGIONS, 2)), rng.uniform(40, 170, (REGIONS, 2))
        boxes = np.concatenate([corner, corner + side], 1).astype(np.float32)
        features = rng.normal(size=(REGIONS, FEATURE)).astype(np.float32)
        labels, scores = rng.integers(0, 600, REGIONS), np.linspace(1, 0.1, REGIONS, dtype=np.float32)
        regions.append(Regions(boxes, labels, scores, features, PICTURE))
    return images, captions, regions


def experts(count: int, folder: Path) -> dict[str, Any]:
    """The five extraction stages, an image."""
    images, captions, regions = pictures(count, folder / "images")
    costs: dict[str, dict[str, float]] = {}
    tokenizer = AutoTokenizer.from_pretrained(resolve(WORDS))
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 512}

    names = ["thing"] * 90
    detector = TorchvisionDetector(fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None), names, count=REGIONS)
    costs["regions (Faster R-CNN R50-FPN)"] = cost(lambda: detector.regions(images), count)

    disable_progress_bar()
    set_verbosity_error()
    BertModel(BertConfig(**sizes)).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    reader = TextEncoder(str(folder / "bert"))
    costs["text (BERT-base)"] = by_caption(
        lambda most: reader.embed([caption for own in captions for caption in own[:most]]), count
    )

    tower = ViTConfig(image_size=384)
    albef = AlbefModel(AlbefConfig(vision_config=tower, text_config=BertConfig(**sizes), cam_layer=8))
    looker = GradCamModel(albef, tokenizer, image_processor((384, 384)))

    def look(most: int) -> None:
        for maps, region in zip(looker.activation_maps(images, [own[:most] for own in captions]), regions, strict=True):
            for rows in maps:
                region_scores(rows, region.boxes, region.size)

    costs["teachers (Grad-CAM, ALBEF's size)"] = by_caption(look, count)
    costs["teachers, preparing the picture alone"] = cost(lambda: pixel_values(looker.image_processor, images), count)

    config = CLIPConfig(text_config={"vocab_size": len(tokenizer)}, vision_config={"patch_size": 32})
    CLIPModel(config).save_pretrained(folder / "clip")
    CLIPImageProcessor().save_pretrained(folder / "clip")
    tokenizer.save_pretrained(folder / "clip")
    expert = ImageTextModel(str(folder / "clip"))
    costs["crops (CLIP ViT-B/32)"] = cost(lambda: expert.region_features(images, regions), count)

    def cut() -> None:
        for image, region in zip(images, regions, strict=True):
            crops = [image.resize((224, 224), Image.Resampling.BICUBIC, box=box) for box in region.boxes.tolist()]
            pixel_values(expert.image_processor, crops)

    costs["crops, preparing the pictures alone"] = cost(cut, count)

    def entities(most: int) -> list[Entity]:
        return [entity for own in captions for caption in own[:most] for entity in caption.entities]

    costs["reliability (CLIP's text side)"] = cost(lambda: expert.entity_features(entities(CAPTIONS)), count)
    return costs | {"entities": len(entities(CAPTIONS)) / count}


def steps() -> dict[str, dict[str, float]]:
    """A step of each training, and finding an image's graph, in the sizes of vg-caption-ours."""
    recipe, rng = load_recipe(find_recipe("vg-caption-ours")), np.random.default_rng(0)
    costs: dict[str, dict[str, float]] = {}
    entities, images = 12, recipe.grounding.batch_size * 4
    grounded = []
    for _ in range(images):
        targets = rng.dirichlet(np.ones(REGIONS), (2, entities)).astype(np.float32)
        words, features = rng.normal(size=(entities, WORD)), rng.normal(size=(REGIONS, FEATURE))
        grounded.append(GroundingImage(words.astype(np.float32), features.astype(np.float32), *targets))
    grounder = build_grounder("ours", recipe.grounding.model_copy(update={"epochs": 1}))
    costs["grounder, a step of 24 images"] = cost(lambda: grounder.train(grounded, [], 0), 4)
    costs["grounder, scoring an image"] = cost(lambda: grounder.scores(grounded), images)

    sizes, sgg = Sizes(FEATURE, 601, 150, 50), recipe.sgg
    batch = sgg.training.batch_size
    _, _, regions = pictures(2 * batch, Path(tempfile.mkdtemp()))
    training = sgg.training.model_copy(update={"epochs": 1, "precision": "fp32"})

    def draw(i: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = np.where(np.arange(REGIONS) < 10, 1 + np.arange(REGIONS) % 150, 0)
        return labels, np.array([[0, 1, 1], [2, 3, 2], [4, 5, 3]])

    for name in ("motifs", "uniter"):
        model = new_model(getattr(sgg, name), sizes, ["thing"] * 601)
        costs[f"{name}, a step of {batch} images"] = cost(lambda: train_sgg(model, regions, draw, training), 2)  # noqa: B023
        costs[f"{name}, an image's graph"] = cost(lambda: predict(model, regions[:8], sgg.inference), 8)  # noqa: B023
        costs[f"{name}, a step of {batch} images"]["parameters"] = sum(p.numel() for p in model.parameters())
    return costs


def stored(entities: float) -> dict[str, float]:
    """KB an image that a run keeps, in float32."""
    width = 512  # of CLIP's common space
    parts = {
        "regions": REGIONS * (FEATURE + 4 + 1 + 2) * 4,
        "text": entities * 1.5 * WORD * 4,  # and the predicates
        "teachers": entities * REGIONS * 4,
        "crops": REGIONS * width * 4,
        "reliability": entities * 2 * 4,
        "grounding": entities * REGIONS * 4,
    }
    return {name: round(size / 1e3, 1) for name, size in parts.items()} | {"all": round(sum(parts.values()) / 1e3)}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--images", type=int, default=4)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        costs = experts(arguments.parse_args().images, Path(folder))
    entities = costs.pop("entities")
    costs |= steps()
    for name, figures in costs.items():
        print(f"{name:40} {figures}", file=sys.stderr)
    print(json.dumps({"captions": CAPTIONS, "entities": entities, "costs": costs, "KB an image": stored(entities)}))


if __name__ == "__main__":
    main()
