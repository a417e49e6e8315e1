"""Train the bundled image-text model: a small ResNet and BERT pulled together on crops that no box chose.

Phase 1 turns the vision-language model's tower into one that says where each noun and each coloured noun of the
captions is; the boxes its maps fill become crops. Phase 2 pulls crop and phrase of the same thing together and pushes
others apart (CLIP's loss); the crop tower starts from phase 1's.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)

from groundgraph.data.minigenome import CATEGORIES, UNSEEN
from groundgraph.data.minigenome.captions import SYNONYMS
from groundgraph.data.minigenome.drawing import PEOPLE
from groundgraph.data.minigenome.icons import COLOURS
from groundgraph.models import FOLDER, resolve
from groundgraph.teachers.albef import AlbefModel
from groundgraph.teachers.flat_resnet import FlatResNetConfig
from groundgraph.teachers.pixels import image_processor
from groundgraph.training.trainer import seeded
from tools.clip_crops import Crops, Tags, find_crops, read_tags
from tools.corpus import Corpus, article, draw
from tools.train_vl import PICTURES_A_TAG_STEP, TagHead, TagTask
from tools.workbench import ExpertTask, card, command_line, fit, save, scratch_of

PICTURES, HELD_OUT = 12_000, 1_000
STEPS, TAG_SHARE = 2_000, 0.3  # of the steps
SIDE = 48  # pixels of a crop, whatever its aspect was
COLOURED = 48  # coloured phrases a step
PREPARATION = image_processor((SIDE, SIDE), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PROMPTS = ("a photo of {a} {noun}", "{a} {noun}", "the {noun}", "{noun}")


def cut(images: torch.Tensor, boxes: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """Crops [B, 3, side, side] in 0..255 of pictures [B, H, W, 3] uint8 at boxes [B, 4], stretched to a square."""
    size = torch.tensor([images.shape[2], images.shape[1]] * 2)
    x0, y0, x1, y1 = (2 * boxes / size - 1).T
    steps = (torch.arange(side) + 0.5) / side
    x, y = x0[:, None] + (x1 - x0)[:, None] * steps, y0[:, None] + (y1 - y0)[:, None] * steps
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)
    return functional.grid_sample(images.permute(0, 3, 1, 2).float(), grid, padding_mode="border", align_corners=False)


def see(model: VisionTextDualEncoderModel, crops: torch.Tensor) -> torch.Tensor:
    """Crops [B, 3, side, side] in 0..255 -> features [B, d] of unit length."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PREPARATION.image_mean, PREPARATION.image_std))
    pixels = ((crops / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
    return functional.normalize(model.get_image_features(pixels).pooler_output.float(), dim=-1)


def read(model: VisionTextDualEncoderModel, tokenizer, phrases: list[str]) -> torch.Tensor:
    """Phrases -> features [B, d] of unit length."""
    encoded = tokenizer(phrases, padding=True, return_tensors="pt")
    return functional.normalize(model.get_text_features(**encoded).pooler_output.float(), dim=-1)


def build(text_model: str, teacher: AlbefModel) -> VisionTextDualEncoderModel:
    """A dual encoder of the trained text encoder and the teacher's tower with one new stage on top."""
    text = AutoModel.from_pretrained(resolve(text_model), dtype=torch.float32)
    tower = teacher.config.vision_config
    width = tower.hidden_sizes[-1] * 3 // 2
    vision = FlatResNetConfig(
        embedding_size=tower.embedding_size, hidden_sizes=[*tower.hidden_sizes, width], depths=[*tower.depths, 1],
        layer_type=tower.layer_type, hidden_size=width,
    )  # fmt: skip
    settings = text.config.to_dict() | {"_name_or_path": ""}
    model = VisionTextDualEncoderModel(
        VisionTextDualEncoderConfig(vision_config=vision.to_dict(), text_config=settings, projection_dim=128)
    )
    model.text_model.load_state_dict(text.state_dict())
    model.vision_model.load_state_dict(teacher.tower.state_dict(), strict=False)  # the new stage has no counterpart
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def phrase(name: str, colour: str, words: Counter[str], rng: np.random.Generator) -> str:
    """A tag as a phrase, varied: the noun as captions write it, in one of the prompts."""
    words_of_it = sorted({name, *words})
    noun = f"{colour} {words_of_it[rng.integers(len(words_of_it))]}".strip()
    return PROMPTS[rng.integers(len(PROMPTS))].format(a=article(noun), noun=noun)


def contrast(
    logits: torch.Tensor, crops: tuple[np.ndarray, np.ndarray], phrases: tuple[np.ndarray, np.ndarray]
) -> torch.Tensor:
    """CLIP's loss where several may be right: logits [B, P], crops and phrases as (names, colours or "").

    A phrase fits a crop of its name (and colour, if it mentions one); of a crop of its name whose colour is unknown
    nothing is known, and the pair is left out. Rows and columns where nothing fits are left out too.
    """
    same = torch.from_numpy(crops[0][:, None] == phrases[0])
    right = same & torch.from_numpy((phrases[1] == "") | (crops[1][:, None] == phrases[1]))
    unknown = same & ~right & torch.from_numpy(crops[1] == "")[:, None]
    logits = logits.masked_fill(unknown, -1e4)
    losses = []
    for axis in (1, 0):
        count = right.sum(axis)
        each = -(right * logits.log_softmax(axis)).sum(axis) / count.clamp(min=1)
        losses.append(each.sum() / (count > 0).sum().clamp(min=1))
    return sum(losses) / 2


def sentence(noun: str) -> str:
    """The prompt that held-out crops are asked with."""
    return PROMPTS[0].format(a=article(noun), noun=noun)


@torch.inference_mode()
def evaluate(model: VisionTextDualEncoderModel, tokenizer, corpus: Corpus, count: int = HELD_OUT) -> dict[str, float]:
    """The category of true crops among all categories, asked as "a photo of a ..."; the colour where the noun is known.

    Where a category has several words, "in other words" asks with the last of them.
    """
    training = model.training
    model.eval()
    words = read(model, tokenizer, [sentence(name) for name in CATEGORIES])
    others = read(model, tokenizer, [sentence(SYNONYMS.get(name, (name,))[-1]) for name in CATEGORIES])
    colours = list(COLOURS)
    painted = read(model, tokenizer, [sentence(f"{colour} {name}") for name in CATEGORIES for colour in colours])
    painted = painted.view(len(CATEGORIES), len(colours), -1)
    picture = [i for i in range(min(count, len(corpus))) for _ in corpus.scenes[i].objects]
    objects = [thing for i in range(min(count, len(corpus))) for thing in corpus.scenes[i].objects]
    number = {name: i for i, name in enumerate(CATEGORIES)}
    truth = np.array([number[thing.category] for thing in objects])
    guess, other, colour = [], [], []
    for start in range(0, len(objects), 250):
        part = slice(start, start + 250)
        boxes = torch.tensor([thing.box for thing in objects[part]], dtype=torch.float32)
        features = see(model, cut(torch.from_numpy(corpus.images[picture[part]]), boxes))
        guess += (features @ words.T).argmax(1).tolist()
        other += (features @ others.T).argmax(1).tolist()
        colour += torch.einsum("bd,bcd->bc", features, painted[torch.from_numpy(truth[part])]).argmax(1).tolist()
    model.train(training)
    right = np.array(guess) == truth
    unseen = np.array([thing.category in UNSEEN for thing in objects])
    several = np.array([len(set(SYNONYMS.get(thing.category, ""))) > 1 for thing in objects])
    right_colour = [
        colours[c] == thing.colour for c, thing in zip(colour, objects, strict=True) if thing.category not in PEOPLE
    ]
    return {
        "category of a true crop among all categories": float(right.mean()),
        "the same, categories the bundled detector never saw": float(right[unseen].mean()),
        "the same, in other words, categories with synonyms": float((np.array(other) == truth)[several].mean()),
        "chance": 1 / len(CATEGORIES),
        "colour of a true crop, its noun given": float(np.mean(right_colour)),
        "chance of the colour": 1 / len(colours),
        "true crops": len(right),
    }


class ClipTask(ExpertTask[list[int]]):
    """The contrast of crops with every noun and with some of their own coloured nouns.

    Args:
        model: what is trained.
        tokenizer: of the phrases.
        images: [N, side, side, 3] uint8.
        crops: of the images.
        tags: what the crops show.
        batch_size: crops of a step.
        steps, seed: see `ExpertTask`.
    """

    def __init__(
        self,
        model: VisionTextDualEncoderModel,
        tokenizer: PreTrainedTokenizerBase,
        images: torch.Tensor,
        crops: Crops,
        tags: Tags,
        batch_size: int,
        steps: int,
        seed: int,
    ) -> None:
        super().__init__("clip", model, steps, seed, crops=len(crops), batch_size=batch_size)
        self.clip, self.tokenizer, self.images, self.crops, self.tags = model, tokenizer, images, crops, tags
        self.batch_size = batch_size
        # Rare nouns are drawn more often than they occur.
        noun = tags.noun[crops.tag].numpy()
        chances = np.bincount(noun)[noun] ** -0.5
        self.chances = chances / chances.sum()

    def draw(self, places: list[int]) -> list[int]:
        """Crops, drawn anew at each step."""
        return list(self.rng.choice(len(self.crops), self.batch_size, p=self.chances).tolist())

    def losses(self, batch: list[int]) -> dict[str, torch.Tensor]:
        """CLIP's loss."""
        box = self.crops.box[batch]
        # The boxes are guesses; a shake keeps the tower from resting on their edges.
        shake = 0.1 * torch.randn(box.shape, generator=self.generator)
        pixels = cut(self.images[self.crops.picture[batch]], box + shake * (box[:, 2:] - box[:, :2]).repeat(1, 2))
        pixels = pixels.flip(-1) if self.rng.random() < 0.5 else pixels
        shown = [self.tags.tags[t] for t in self.crops.tag[batch].tolist()]
        coloured = sorted({tag for tag in shown if tag[1]})
        some = self.rng.permutation(len(coloured))[:COLOURED]
        named = [*((name, "") for name in CATEGORIES), *(coloured[i] for i in some)]
        phrases = [phrase(name, colour, self.tags.words[name], self.rng) for name, colour in named]
        with torch.autocast("cpu", torch.bfloat16):
            crops, words = see(self.clip, pixels), read(self.clip, self.tokenizer, phrases)
        logits = self.clip.logit_scale.exp().clamp(max=50) * crops @ words.T
        return {"loss": contrast(logits, tuple(np.array(shown).T), tuple(np.array(named).T))}

    def parameters(self) -> list[dict[str, Any]]:
        """The text encoder, which is trained already, learns more slowly."""
        words = list(self.clip.text_model.parameters())
        rest = [p for name, p in self.clip.named_parameters() if not name.startswith("text_model.")]
        return [{"params": rest, "lr": 1e-3}, {"params": words, "lr": 5e-4}]


def train_clip(
    out: Path,
    steps: int = STEPS,
    seed: int = 0,
    pictures: int = PICTURES,
    text_model: str = "bundled:text",
    vl_model: str = "bundled:vl",
    batch_size: int = 256,
) -> dict[str, float]:
    """Train and save the image-text model; returns its held-out figures. Boxes are read by the evaluation alone."""
    corpus, held_out = draw("expert", pictures), draw("heldout", min(HELD_OUT, pictures))
    images, tags = torch.from_numpy(corpus.images), read_tags(corpus)
    tag_steps = max(1, round(TAG_SHARE * steps))
    with scratch_of(out) as scratch, seeded(seed, torch.device("cpu")):
        teacher = AlbefModel.from_pretrained(resolve(vl_model), dtype=torch.float32)
        teacher = teacher.to(memory_format=torch.channels_last)
        head = TagHead(teacher.config.text_config.hidden_size, len(tags.tags))
        first = TagTask(
            teacher, head, images, lambda chosen: tags.labels[torch.from_numpy(chosen)], (5e-4, 3e-3), tag_steps, seed
        )
        fit(first, scratch, weight_decay=0.02, max_grad_norm=5.0, precision="bf16")
        crops = find_crops(teacher, head, images, tags, np.random.default_rng(seed))
        print(f"{len(crops)} crops of {len(tags.tags)} nouns and coloured nouns", flush=True)
        tokenizer = AutoTokenizer.from_pretrained(resolve(text_model))
        model = build(text_model, teacher).to(memory_format=torch.channels_last)
        task = ClipTask(model, tokenizer, images, crops, tags, batch_size, max(1, steps - tag_steps), seed)
        fit(task, scratch, weight_decay=0.05, max_grad_norm=1.0)
        figures = evaluate(model, tokenizer, held_out)
        what = (
            "A dual encoder (`get_image_features`, `get_text_features`): a small ResNet over crops of 48 px and the "
            "bundled BERT. It knows MiniGenome's drawings and words only. No box was used: the crops are random boxes, "
            "those that hold most of where the bundled vision-language model's tower, trained further on the captions' "
            "nouns and coloured nouns, sees a noun."
        )
        facts = {
            "pictures": len(images), "crops": len(crops), "boxes": 0,
            f"tag steps ({PICTURES_A_TAG_STEP} pictures)": first.steps, f"steps ({batch_size} crops)": task.steps,
            "seed": seed,
        }  # fmt: skip
        command = f"python -m tools.train_clip --steps {steps} --seed {seed}"
        text = card("Image-text model", what, facts, figures, command)
        save(out, model, tokenizer, text, PREPARATION.save_pretrained)
    return figures


if __name__ == "__main__":
    command_line(train_clip, __doc__, STEPS, FOLDER / "clip")
