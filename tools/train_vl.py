"""Train the bundled vision-language model: ALBEF's architecture on a small convolutional tower, from captions alone.

Phase 1 teaches the tower the tags of the captions; the log-sum-exp over cells makes single cells answer, and a small
receptive field keeps the answer where the thing is. Phase 2 puts the text encoder on top: match with plausible
negatives, masked words, word-patch contrast, and the cross-attention of a true caption's nouns drawn to the cells
that answer to their tags.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase, ResNetConfig

from groundgraph.models import FOLDER, resolve
from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.pixels import image_processor, normalise
from groundgraph.training.trainer import seeded
from tools.corpus import draw
from tools.train_text import mask_words
from tools.vl_data import Captions, prepare
from tools.vl_evaluation import grounding, matching, tag_grounding
from tools.vl_parsing import canonical, parse
from tools.workbench import ExpertTask, card, command_line, fit, save, scratch_of

PICTURES, HELD_OUT = 40_000, 1_000
STEPS, TAG_SHARE = 6_500, 0.3  # of the steps
PICTURES_A_TAG_STEP, PICTURES_A_FUSION_STEP = 64, 32
POSITIVES, NEGATIVES = 2, 3  # true captions of a picture, and false ones to each
LEARNING_RATE = 1e-3
PREPARATION = image_processor((112, 112), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


class TagHead(nn.Module):
    """Tags from cells: a linear unit a tag and cell, log-sum-exp over the cells; thrown away after training."""

    def __init__(self, width: int, tags: int):
        super().__init__()
        self.linear = nn.Linear(width, tags)
        nn.init.constant_(self.linear.bias, -6.0)

    def forward(self, states: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, tags]."""
        return self.linear(states)

    @staticmethod
    def loss(cells: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy of each picture's tags, summed over tags, mean over pictures."""
        pooled = torch.logsumexp(cells.float(), 1) - 2.0
        return functional.binary_cross_entropy_with_logits(pooled, labels, reduction="sum") / len(labels)


def build(text_model: str, channels: int = 128) -> AlbefModel:
    """A fresh model: the tower is new, the text layers are the trained BERT's, as ALBEF starts from bert-base."""
    text = AutoModel.from_pretrained(resolve(text_model))
    vision = ResNetConfig(embedding_size=48, hidden_sizes=[64, channels], depths=[1, 3], layer_type="basic")
    config = AlbefConfig(vision, text.config, fusion_layer=2, projection_dim=64, image_norm=True)
    model = AlbefModel(config)
    model.embeddings.load_state_dict(text.embeddings.state_dict())
    for ours, theirs in zip(model.layers, text.encoder.layer, strict=True):
        ours.load_state_dict(theirs.state_dict(), strict=False)  # cross-attention has no counterpart
    # Dropout slows a model this small that sees every caption a few times only.
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.to(memory_format=torch.channels_last)


def mirrored(images: Tensor, pictures: np.ndarray, rng: np.random.Generator) -> Tensor:
    """[B, 3, side, side] float32, half of the batches mirrored (no caption tells left from right)."""
    pixels = normalise(PREPARATION, images[torch.from_numpy(pictures)])
    pixels = pixels.flip(-1) if rng.random() < 0.5 else pixels
    return pixels.contiguous(memory_format=torch.channels_last)


class TagTask(ExpertTask[np.ndarray]):
    """Phase 1: the tower and a tag head on pictures drawn at random.

    Args:
        model: whose tower is trained.
        head: of as many tags as `labels` gives.
        images: [N, side, side, 3] uint8.
        labels: pictures' numbers [B] -> [B, tags] float32, 1 where a caption holds the tag.
        learning_rates: of the tower and of the head.
        steps, seed: see `ExpertTask`.
    """

    def __init__(
        self,
        model: AlbefModel,
        head: TagHead,
        images: Tensor,
        labels: Callable[[np.ndarray], Tensor],
        learning_rates: tuple[float, float],
        steps: int,
        seed: int,
    ) -> None:
        whole = nn.ModuleDict({"tower": model.tower, "adapter": model.adapter, "head": head})
        super().__init__("tags", whole, steps, seed, images=len(images))
        self.vl, self.head, self.images, self.labels, self.learning_rates = model, head, images, labels, learning_rates

    def draw(self, places: list[int]) -> np.ndarray:
        """Pictures, drawn anew at each step."""
        return self.rng.integers(0, len(self.images), PICTURES_A_TAG_STEP)

    def losses(self, batch: np.ndarray) -> dict[str, Tensor]:
        """The tags' binary cross-entropy."""
        cells = self.head(self.vl.image_states(mirrored(self.images, batch, self.rng)).states)
        return {"loss": self.head.loss(cells, self.labels(batch))}

    def parameters(self) -> list[dict[str, Any]]:
        """The tower, and the head."""
        tower = [*self.vl.tower.parameters(), *self.vl.adapter.parameters()]
        return [
            {"params": group, "lr": rate}
            for group, rate in zip((tower, list(self.head.parameters())), self.learning_rates, strict=True)
        ]


class FusionTask(ExpertTask[np.ndarray]):
    """Phase 2: everything, on pictures with two true captions and six false ones each.

    Args:
        model: what is trained.
        head: the tag head of phase 1, which is trained further.
        tokenizer: whose pieces the captions consist of.
        images: [N, side, side, 3] uint8.
        captions: of the pictures.
        steps, seed: see `ExpertTask`.
    """

    def __init__(
        self,
        model: AlbefModel,
        head: TagHead,
        tokenizer: PreTrainedTokenizerBase,
        images: Tensor,
        captions: Captions,
        steps: int,
        seed: int,
    ) -> None:
        whole = nn.ModuleDict({"model": model, "head": head})
        whole.register_parameter("scale", nn.Parameter(torch.tensor(2.5)))
        super().__init__("fusion", whole, steps, seed, images=len(images))
        self.vl, self.head, self.tokenizer, self.images, self.captions = model, head, tokenizer, images, captions

    def draw(self, places: list[int]) -> np.ndarray:
        """Pictures, drawn anew at each step."""
        return self.rng.integers(0, len(self.images), PICTURES_A_FUSION_STEP)

    def losses(self, batch: np.ndarray) -> dict[str, Tensor]:
        """Match, masked words, contrast, tags, and the guidance of cross-attention, weighted by `WEIGHTS`."""
        model, data, rng = self.vl, self.captions, self.rng
        true = [rng.choice(data.of[i], POSITIVES) for i in batch]
        false = [n for row in true for m in row for n in data.negatives(int(m), NEGATIVES, rng)]
        true_ids = data.ids[torch.from_numpy(np.stack(true))]  # [B, P, T]
        false_ids = data.ids[torch.tensor(false)].view(len(batch), POSITIVES * NEGATIVES, -1)
        words, mask_id = len(self.tokenizer), self.tokenizer.mask_token_id
        masked, labels = mask_words(true_ids[:, 0], true_ids[:, 0] < 5, mask_id, words, self.generator, share=0.25)
        ids = torch.cat([true_ids, false_ids, masked[:, None]], 1)
        ids = ids[..., : int((ids > 0).sum(-1).max())]
        mask, labels = (ids > 0).long(), labels[:, : ids.shape[-1]]
        attention = {model.cam_layer: None}
        image = model.image_states(mirrored(self.images, batch, rng))
        text = model.text_states(ids, mask)
        fused = model.fuse(text, mask, image, attention=attention)
        cells = self.head(image.states)
        guessed = model.words(fused[:, -1][labels >= 0])
        terms = {
            "match": match_loss(model.match_logits(fused[:, :-1]).float(), POSITIVES),
            "words": functional.cross_entropy(guessed.float(), labels[labels >= 0]),
            "contrast": word_patch_contrast(model, text[:, 0], ids[:, 0], image.states, self.model.scale),
            "tags": self.head.loss(cells, data.labels(batch)),
            "guide": guide_loss(attention[model.cam_layer], cells.detach(), np.stack(true), data, ids.shape[1:]),
        }
        return {name: WEIGHTS[name] * term for name, term in terms.items()}

    def parameters(self) -> list[dict[str, Any]]:
        """What phase 1 has trained learns more slowly."""
        slow = [*self.vl.tower.parameters(), *self.vl.adapter.parameters(), *self.head.parameters()]
        trained = {id(p) for p in slow}
        fast = [p for p in self.model.parameters() if id(p) not in trained]
        return [{"params": slow, "lr": 0.8 * LEARNING_RATE}, {"params": fast, "lr": LEARNING_RATE}]


WEIGHTS = {"match": 1.0, "words": 0.5, "contrast": 0.3, "tags": 0.1, "guide": 0.3}


def match_loss(logits: Tensor, positives: int) -> Tensor:
    """[B, K, 2], the first `positives` true -> each right on its own, and the true ones above the false."""
    true = torch.arange(logits.shape[1]) < positives
    weight = torch.where(true, 1 / positives, 1 / (logits.shape[1] - positives))
    alone = functional.cross_entropy(logits.flatten(0, 1), true.long().repeat(len(logits)), reduction="none")
    score = logits[..., 1] - logits[..., 0]
    ranked = torch.cat(
        [score[:, :positives].flatten()[:, None], score[:, None, positives:].expand(-1, positives, -1).flatten(0, 1)], 1
    )
    rank = functional.cross_entropy(ranked, torch.zeros(len(ranked), dtype=torch.long))
    return (alone.view(len(logits), -1) * weight).sum(1).mean() + rank


def word_patch_contrast(model: AlbefModel, text: Tensor, ids: Tensor, image: Tensor, scale: Tensor) -> Tensor:
    """Captions [B, T, d] against pictures [B, N, d] of the batch by their words' best cells, both ways."""
    words = functional.normalize(model.word_projection(text), dim=-1)
    patches = functional.normalize(model.patch_projection(image), dim=-1)
    alike = torch.einsum("btd,cnd->bctn", words, patches)
    alike = ((10 * alike).softmax(-1) * alike).sum(-1).float()
    real = (ids >= 5).float()[:, None]
    score = (alike * real).sum(-1) / real.sum(-1).clamp(min=1) * scale.exp()
    own = torch.arange(len(score))
    return (functional.cross_entropy(score, own) + functional.cross_entropy(score.T, own)) / 2


def guide_loss(attention: Tensor, cells: Tensor, true: np.ndarray, data: Captions, shape: tuple[int, int]) -> Tensor:
    """Draw the true captions' nouns to the cells that answer to their tags: cross-entropy of the heads' mean attention.

    attention [B, heads, K * T, N]; cells [B, N, tags]; true [B, P] caption numbers, the first P of K; shape (K, T).
    """
    length = shape[1]
    rows = [
        (b, p * length + place, tags)
        for b, row in enumerate(true)
        for p, caption in enumerate(row)
        for place, tags in data.guides[caption]
        if place < length
    ]
    if not rows:
        return attention.sum() * 0
    picture, word = torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows])
    tags = torch.tensor([r[2] for r in rows])  # [G, 3]: the noun's cells that the interaction picks out
    # Half the sum: a map that covers a thing rather than its best cell.
    target = (0.5 * cells[picture[:, None], :, tags].float().sum(1)).softmax(-1)
    words = attention[picture, :, word].float().mean(1)
    return -(target * words.clamp(min=1e-6).log()).sum(-1).mean()


def train_vl(
    out: Path, steps: int = STEPS, seed: int = 0, pictures: int = PICTURES, text_model: str = "bundled:text"
) -> dict[str, float]:
    """Train and save the vision-language model; returns its held-out figures."""
    corpus, held_out = draw("expert", pictures), draw("heldout", min(HELD_OUT, pictures))
    tokenizer = AutoTokenizer.from_pretrained(resolve(text_model))
    captions = prepare(corpus, parse, tokenizer, canonical)
    images, tag_steps = torch.from_numpy(corpus.images), max(1, round(TAG_SHARE * steps))
    print(f"{len(captions.picture)} captions, {len(captions.tags)} tags", flush=True)
    with scratch_of(out) as scratch, seeded(seed, torch.device("cpu")):
        model = build(text_model)
        head = TagHead(model.config.text_config.hidden_size, len(captions.tags))
        tags = TagTask(model, head, images, captions.labels, (1.5e-3, 1.5e-3), tag_steps, seed)
        fit(tags, scratch, weight_decay=0.02, max_grad_norm=5.0, precision="bf16")
        print(tag_grounding(model, head, captions.tags, held_out, PREPARATION, HELD_OUT), flush=True)
        fusion = FusionTask(model, head, tokenizer, images, captions, max(1, steps - tag_steps), seed)
        fit(fusion, scratch, weight_decay=0.02, max_grad_norm=2.0, precision="bf16")
        figures = grounding(model, tokenizer, held_out, PREPARATION, HELD_OUT)
        figures |= matching(model, tokenizer, held_out, PREPARATION, HELD_OUT)
        facts = {
            "pictures": len(images),
            "captions": len(captions.picture),
            "boxes": 0,
            "tags parsed from the captions": len(captions.tags),
            f"tag steps ({PICTURES_A_TAG_STEP} pictures)": tags.steps,
            f"fusion steps ({PICTURES_A_FUSION_STEP} pictures, 9 captions each)": fusion.steps,
            "seed": seed,
        }
        what = (
            "ALBEF's architecture in small: a convolutional tower (stride 8, 14 x 14 cells), a BERT whose last two "
            "layers cross-attend to it, a match head. It knows MiniGenome's drawings and words only."
        )
        command = f"python -m tools.train_vl --steps {steps} --seed {seed}"
        text = card("Vision-language model", what, facts, figures, command)
        save(out, model, tokenizer, text, PREPARATION.save_pretrained)
    return figures


if __name__ == "__main__":
    command_line(train_vl, __doc__, STEPS, FOLDER / "vl")
