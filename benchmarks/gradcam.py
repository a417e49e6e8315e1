"""Grad-CAM for a batch of captions with 6 entities each: ours against one full backward pass an entity.

    python benchmarks/gradcam.py [--image-size 256] [--images 2] [--captions 2]

The model has ALBEF's real size (ViT-B/16, 12 text layers of which 6 look at the picture, Grad-CAM on layer 8) and
random weights, which cost the same. All ways below give the same maps; that is checked before anything is reported.

full backward an entity      ALBEF's demo recipe, asked once for each entity: forward of the whole model with one
                             picture and one caption, backward of the match score through everything, image encoder
                             included, then the entity's row (the naive formulation)
image encoded once           the same, but a picture is encoded once, without gradient: forward of the text layers and
                             backward of the score through them for each entity
full backward a caption      ALBEF's demo recipe as it stands: one forward and backward of the whole model a caption,
                             and all its entities' rows from it
both                         one forward and backward a caption, its picture encoded once, without gradient
ours                         pictures encoded in a batch, without gradient; one backward for all captions, which
                             ends at the layer's attention

Seconds are the processor's, which do not waver where a machine is shared; on a GPU the clock's. The last line is a
JSON object with the seconds of each and the ratios to ours.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from transformers import BertConfig, ViTConfig

from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.cross_attention import ImageStates
from groundgraph.teachers.gradcam import gradcam

ENTITIES, WORDS, LAYER = 6, 20, 8


def build(side: int) -> AlbefModel:
    """ALBEF with random weights; `side` in pixels."""
    torch.manual_seed(0)
    vision, text = ViTConfig(image_size=side, layer_norm_eps=1e-6), BertConfig()
    return AlbefModel(AlbefConfig(vision, text, fusion_layer=6, projection_dim=0, cam_layer=LAYER)).eval()


def demo(model: AlbefModel, image: torch.Tensor | ImageStates, ids: torch.Tensor) -> torch.Tensor:
    """ALBEF's demo for one caption [T]: backward of the score, hooks that keep attention and its gradient; [T, N]."""
    kept: dict[str, torch.Tensor] = {}

    def keep(module, inputs, outputs):
        kept["attention"] = outputs[1]
        outputs[1].register_hook(lambda gradient: kept.update(gradient=gradient))

    hook = model.layers[LAYER].crossattention.self.register_forward_hook(keep)
    image = image if isinstance(image, ImageStates) else model.image_states(image)
    mask = torch.ones_like(ids)[None, None]
    logits = model.match_logits(model.fuse(model.text_states(ids[None, None], mask), mask, image))
    hook.remove()
    model.zero_grad()
    logits[0, 0, 1].backward()
    return (kept["attention"] * kept["gradient"].clamp(min=0)).detach()[0].mean(0)[:, image.extra :]


def one(image: ImageStates, number: int) -> ImageStates:
    """One picture of a batch."""
    return ImageStates(image.states[number : number + 1], image.grid, image.extra)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--image-size", type=int, default=256, help="as ALBEF.pth's; refcoco.pth's is 384")
    arguments.add_argument("--images", type=int, default=2)
    arguments.add_argument("--captions", type=int, default=2, help="captions an image")
    options = arguments.parse_args()
    model = build(options.image_size)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    clock = time.perf_counter if device == "cuda" else time.process_time
    pixels = torch.randn(options.images, 3, options.image_size, options.image_size, device=device)
    ids = torch.randint(1000, 30000, (options.images, options.captions, WORDS), device=device)
    heads = torch.arange(2, 2 + 3 * ENTITIES, 3)  # the head nouns' places
    pairs = [(b, k) for b in range(options.images) for k in range(options.captions)]

    def encoded() -> ImageStates:
        with torch.no_grad():
            return model.image_states(pixels)

    def stacked(rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(rows).view(options.images, options.captions, ENTITIES, -1)

    def entity_by_entity() -> torch.Tensor:
        return stacked([demo(model, pixels[b : b + 1], ids[b, k])[place] for b, k in pairs for place in heads])

    def entity_by_entity_encoded_once() -> torch.Tensor:
        image = encoded()
        return stacked([demo(model, one(image, b), ids[b, k])[place] for b, k in pairs for place in heads])

    def caption_by_caption() -> torch.Tensor:
        return stacked([demo(model, pixels[b : b + 1], ids[b, k])[heads] for b, k in pairs])

    def caption_by_caption_encoded_once() -> torch.Tensor:
        image = encoded()
        return stacked([demo(model, one(image, b), ids[b, k])[heads] for b, k in pairs])

    def ours() -> torch.Tensor:
        return gradcam(model, encoded(), ids, torch.ones_like(ids))[:, :, heads].flatten(3)

    ways = {
        "full backward an entity": entity_by_entity,
        "image encoded once": entity_by_entity_encoded_once,
        "full backward a caption": caption_by_caption,
        "both": caption_by_caption_encoded_once,
    }
    reference = ours()  # also warms up
    seconds: dict[str, float] = {}
    for name, way in {**ways, "ours": ours}.items():
        tries = []
        # The short ones are repeated and the best taken, which favours the baselines as much as ours.
        for _ in range(1 if name.endswith("entity") else 3):
            start = clock()
            maps = way()
            if device == "cuda":
                torch.cuda.synchronize()
            tries.append(clock() - start)
        seconds[name] = min(tries)
        torch.testing.assert_close(maps, reference, rtol=1e-2, atol=float(reference.max()) * 1e-4)
        print(f"{name:26s} {seconds[name]:8.2f} s", flush=True)
        model.zero_grad(set_to_none=True)
    ratios = {name: round(seconds[name] / seconds["ours"], 2) for name in ways}
    for name, ratio in ratios.items():
        print(f"ours is {ratio:5.1f} times as fast as: {name}")
    entities = len(pairs) * ENTITIES
    print(
        json.dumps(
            {
                "benchmark": "gradcam",
                "image_size": options.image_size,
                "images": options.images,
                "captions": len(pairs),
                "entities": entities,
                "device": device,
                "threads": torch.get_num_threads(),
                "seconds": {name: round(value, 3) for name, value in seconds.items()},
                "ratios": ratios,
            }
        )
    )


if __name__ == "__main__":
    main()
