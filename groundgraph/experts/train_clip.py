"""Train the bundled image-text model: a small ConvNeXt and BERT pulled together on crops that no box chose.

A crop is found by words alone: of many random boxes, the one that holds most of where the vision-language model looks
for the noun (Eq. 7). Crop and phrase of the same thing are pulled together, others pushed apart (CLIP's loss).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoTokenizer,
    ConvNextConfig,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)

from groundgraph.data.minigenome import CATEGORIES
from groundgraph.experts import FOLDER, resolve
from groundgraph.experts.corpus import Corpus, article, draw
from groundgraph.experts.vl_parsing import NOUNS, parse
from groundgraph.experts.workbench import Budget, card, command_line, save
from groundgraph.language.pieces import piece_mask, spans_of
from groundgraph.teachers.albef import AlbefModel
from groundgraph.teachers.gradcam import cam
from groundgraph.teachers.interaction import region_scores
from groundgraph.teachers.preparation import Preparation

PICTURES, HELD_OUT, CANDIDATES = 16_000, 1_000, 300
SIDE = 48  # pixels of a crop, whatever its aspect was
PREPARATION = Preparation((SIDE, SIDE), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PROMPTS = ("a photo of {a} {noun}", "{a} {noun}", "the {noun}", "{noun}")


@dataclass
class Crops:
    """Which part of which picture shows what a caption names.

    picture  [M] index of the picture; box [M, 4] xyxy in pixels
    name     [M] the noun in the world's own word; word  the noun as it was written; colour  "" or what was said
    """

    picture: np.ndarray
    box: np.ndarray
    name: list[str]
    word: list[str]
    colour: list[str]


def random_boxes(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """[count, 4] boxes of all sizes and of aspects from 1:3 to 3:1 inside the picture."""
    scale = side * np.exp(rng.uniform(np.log(0.1), np.log(0.8), count))
    stretch = np.exp(rng.uniform(-0.55, 0.55, count))
    size = np.minimum(np.stack([scale * stretch, scale / stretch], 1), side - 1)
    low = rng.uniform(0, 1, (count, 2)) * (side - size)
    return np.concatenate([low, low + size], 1).astype(np.float32)


def find_crops(corpus: Corpus, model_name: str, rng: np.random.Generator, batch: int = 24) -> Crops:
    """One crop an entity of each picture's region captions: the best of many random boxes by Eq. 7."""
    model = AlbefModel.from_pretrained(resolve(model_name), dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(resolve(model_name))
    preparation = Preparation.from_pretrained(resolve(model_name))
    # Two captions a picture say most of what its captions say.
    texts = [(captions * 2)[:2] for captions in corpus.texts]
    parsed = parse([text for pair in texts for text in pair])
    side = corpus.images.shape[1]
    rows: list[tuple[int, np.ndarray, str, str, str]] = []
    for start in range(0, len(corpus), batch):
        captions = parsed[2 * start : 2 * (start + batch)]
        encoded = tokenizer(
            [c.text for c in captions], padding=True, truncation=True, return_offsets_mapping=True, return_tensors="pt"
        )
        shape = len(captions) // 2, 2, -1
        pixels = preparation.normalise(torch.from_numpy(corpus.images[start : start + batch]))
        with torch.no_grad():
            image = model.image_states(pixels.contiguous(memory_format=torch.channels_last))
        maps = cam(model, image, encoded["input_ids"].view(shape), encoded["attention_mask"].view(shape)).flatten(0, 1)
        which, spans = spans_of(captions)
        pieces = torch.from_numpy(piece_mask(encoded["offset_mapping"].numpy(), which, spans)).float()
        own = torch.einsum("et,ethw->ehw", pieces, maps[torch.from_numpy(which)]).numpy()
        boxes = random_boxes(CANDIDATES, side, rng)
        best = boxes[region_scores(own, boxes, (side, side)).argmax(1)]
        entities = [entity for caption in captions for entity in caption.entities]
        for caption, entity, box, phi in zip(which, entities, best, own, strict=True):
            if entity.name in NOUNS and phi.any():
                colour = entity.attributes[0] if entity.attributes else ""
                rows.append((start + caption // 2, box, NOUNS[entity.name], entity.name, colour))
    picture, box, name, word, colour = zip(*rows, strict=True)
    return Crops(np.array(picture), np.stack(box), list(name), list(word), list(colour))


def cut(images: torch.Tensor, boxes: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """Crops [B, 3, side, side] in 0..255 of pictures [B, H, W, 3] uint8 at boxes [B, 4], stretched to a square."""
    size = torch.tensor([images.shape[2], images.shape[1]] * 2)
    x0, y0, x1, y1 = (2 * boxes / size - 1).T
    steps = (torch.arange(side) + 0.5) / side
    x, y = x0[:, None] + (x1 - x0)[:, None] * steps, y0[:, None] + (y1 - y0)[:, None] * steps
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)
    return functional.grid_sample(images.permute(0, 3, 1, 2).float(), grid, padding_mode="border", align_corners=False)


def build(text_model: str) -> VisionTextDualEncoderModel:
    """A fresh dual encoder: a new ConvNeXt, and the trained text encoder."""
    vision = ConvNextConfig(
        patch_size=3, num_stages=3, hidden_sizes=[48, 96, 192], depths=[2, 2, 2], layer_scale_init_value=0.5,
        image_size=SIDE, hidden_size=192,
    )  # fmt: skip
    text = AutoModel.from_pretrained(resolve(text_model), dtype=torch.float32)
    config = VisionTextDualEncoderConfig(
        vision_config=vision.to_dict(), text_config=text.config.to_dict(), projection_dim=128
    )
    model = VisionTextDualEncoderModel(config)
    model.text_model.load_state_dict(text.state_dict())
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def phrase(crops: Crops, i: int, rng: np.random.Generator) -> tuple[str, str]:
    """A crop's words, varied, and the colour they mention."""
    colour = crops.colour[i] if crops.colour[i] and rng.random() < 0.5 else ""
    word = crops.word[i] if rng.random() < 0.5 else crops.name[i]
    noun = f"{colour} {word}".strip()
    return PROMPTS[rng.integers(len(PROMPTS))].format(a=article(noun), noun=noun), colour


def contrast(logits: torch.Tensor, names: np.ndarray, colours: np.ndarray) -> torch.Tensor:
    """CLIP's loss where several rows may be right: [B, B] crops by phrases.

    A phrase fits a crop of its name (and colour, if it mentions one); of a crop of its name whose colour is another or
    unknown nothing is known, and the pair is left out.
    """
    same = torch.from_numpy(names[:, None] == names[None])
    spoken = torch.from_numpy((colours[None] == "") | (colours[:, None] == colours[None]))
    right = (same & spoken) | torch.eye(len(names), dtype=torch.bool)
    logits = logits.masked_fill(same & ~right, -1e4)
    share = right.float()
    rows = -(share / share.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    columns = -(share / share.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (rows + columns) / 2


@torch.inference_mode()
def evaluate(model: VisionTextDualEncoderModel, tokenizer, corpus: Corpus, count: int = HELD_OUT) -> dict[str, float]:
    """The category of true crops among all categories, asked as "a photo of a ..."."""
    training = model.training
    model.eval()
    prompts = [PROMPTS[0].format(a=article(name), noun=name) for name in CATEGORIES]
    words = model.get_text_features(**tokenizer(prompts, padding=True, return_tensors="pt")).pooler_output
    words = functional.normalize(words, dim=-1)
    picture = [i for i in range(min(count, len(corpus))) for _ in corpus.scenes[i].objects]
    objects = [thing for i in range(min(count, len(corpus))) for thing in corpus.scenes[i].objects]
    right: list[bool] = []
    for start in range(0, len(objects), 250):
        part = slice(start, start + 250)
        boxes = torch.tensor([thing.box for thing in objects[part]], dtype=torch.float32)
        pixels = (cut(torch.from_numpy(corpus.images[picture[part]]), boxes) / 255 - 0.5) / 0.25
        seen = functional.normalize(model.get_image_features(pixels).pooler_output, dim=-1)
        guess = (seen @ words.T).argmax(1).tolist()
        right += [CATEGORIES[g] == thing.category for g, thing in zip(guess, objects[part], strict=True)]
    model.train(training)
    return {
        "category of a true crop among all categories": float(np.mean(right)),
        "chance": 1 / len(CATEGORIES),
        "true crops": len(right),
    }


def train_clip(
    out: Path,
    minutes: float = 12,
    seed: int = 0,
    pictures: int = PICTURES,
    text_model: str = "bundled:text",
    vl_model: str = "bundled:vl",
    size: int = 256,
) -> dict[str, float]:
    """Train and save the image-text model; returns its held-out figures. Boxes are read by the evaluation alone."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    corpus, held_out = draw("expert", pictures), draw("heldout", min(HELD_OUT, pictures))
    crops = find_crops(corpus, vl_model, rng)
    print(f"{len(crops.name)} crops of {len(set(crops.name))} names", flush=True)
    tokenizer = AutoTokenizer.from_pretrained(resolve(text_model))
    model = build(text_model).train()
    images = torch.from_numpy(corpus.images)
    # Rare names are drawn more often than they occur.
    _, inverse, counts = np.unique(crops.name, return_inverse=True, return_counts=True)
    chances = counts[inverse] ** -0.5
    chances /= chances.sum()
    names = np.array(crops.name)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    budget = Budget("clip", minutes)
    figures: dict[str, float] = {}

    def write() -> None:
        what = (
            "A dual encoder (`get_image_features`, `get_text_features`): a small ConvNeXt over crops of 48 px and the "
            "bundled BERT. It knows MiniGenome's drawings and words only. No box was used: crops are the random boxes "
            "where the bundled vision-language model looks for a caption's noun."
        )
        facts = {
            "pictures": len(images), "crops": len(names), "boxes": 0, "steps": budget.step, "crops a step": size,
            "minutes on 2 cores": round(budget.elapsed / 60, 1), "seed": seed,
        }  # fmt: skip
        command = f"python -m groundgraph.experts.train_clip --minutes {minutes:g} --seed {seed}"
        text = card("Image-text model", what, facts, figures, command)
        save(out, model, tokenizer, text, PREPARATION.save_pretrained)

    for _ in budget.steps(optimiser):
        chosen = rng.choice(len(names), size, p=chances)
        words, colours = zip(*(phrase(crops, int(i), rng) for i in chosen), strict=True)
        boxes = torch.from_numpy(crops.box[chosen])
        # The boxes are guesses; a shake keeps the tower from resting on their edges.
        boxes = boxes + torch.randn(boxes.shape) * 0.06 * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        pixels = (cut(images[torch.from_numpy(crops.picture[chosen])], boxes) / 255 - 0.5) / 0.25
        pixels = pixels.flip(-1) if rng.random() < 0.5 else pixels
        encoded = tokenizer(list(words), padding=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            seen = model.get_image_features(pixels).pooler_output
            said = model.get_text_features(**encoded).pooler_output
        seen, said = functional.normalize(seen.float(), dim=-1), functional.normalize(said.float(), dim=-1)
        logits = model.logit_scale.exp().clamp(max=50) * seen @ said.T
        loss = contrast(logits, names[chosen], np.array(colours))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        budget.note(loss=loss.item())
        if budget.due(120):
            print(evaluate(model, tokenizer, held_out, 200), flush=True)
            write()
    figures |= evaluate(model, tokenizer, held_out)
    write()
    return figures


if __name__ == "__main__":
    command_line(train_clip, __doc__, 12, FOLDER / "clip")
