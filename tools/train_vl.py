"""Train the bundled vision-language model: ALBEF's architecture on a small convolutional tower, from captions alone.

Phase 1 teaches the tower the tags of the captions; the log-sum-exp over cells makes single cells answer, and a small
receptive field keeps the answer where the thing is. Phase 2 puts the text encoder on top: match with plausible
negatives, masked words, word-patch contrast, and the cross-attention of a true caption's nouns drawn to the cells
that answer to their tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, ResNetConfig

from groundgraph.models import FOLDER, resolve
from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.pixels import image_processor, normalise
from tools.corpus import Corpus, draw
from tools.train_text import mask_words
from tools.vl_data import Captions, prepare
from tools.vl_evaluation import grounding, matching, tag_grounding
from tools.vl_parsing import canonical, parse
from tools.workbench import Budget, card, command_line, save

PICTURES, HELD_OUT = 40_000, 1_000
TAG_SHARE = 0.42  # of the time
PREPARATION = image_processor((112, 112), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


class TagHead(nn.Module):
    """Tags from cells: a linear unit a tag and cell, log-sum-exp over the cells; thrown away after training."""

    def __init__(self, width: int, tags: int):
        super().__init__()
        self.linear = nn.Linear(width, tags)
        nn.init.constant_(self.linear.bias, -6.0)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[B, N, d] -> [B, N, tags]."""
        return self.linear(states)

    @staticmethod
    def loss(cells: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy of each picture's tags, summed over tags, mean over pictures."""
        pooled = torch.logsumexp(cells.float(), 1) - 2.0
        return functional.binary_cross_entropy_with_logits(pooled, labels, reduction="sum") / len(labels)


@dataclass
class Bench:
    """What both phases work on."""

    model: AlbefModel
    head: TagHead
    tokenizer: object
    images: torch.Tensor
    captions: Captions
    held_out: Corpus
    rng: np.random.Generator

    def pictures(self, indices: np.ndarray) -> torch.Tensor:
        """[B, 3, side, side], half of the batches mirrored (no caption tells left from right)."""
        pixels = normalise(PREPARATION, self.images[torch.from_numpy(indices)])
        if self.rng.random() < 0.5:
            pixels = pixels.flip(-1)
        return pixels.contiguous(memory_format=torch.channels_last)


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


def train_tags(bench: Bench, minutes: float, size: int = 64, rate: float = 1.5e-3) -> Budget:
    """Phase 1: the tower and a tag head, `size` pictures a step."""
    model, head = bench.model, bench.head
    weights = [*model.tower.parameters(), *model.adapter.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.02)
    budget = Budget("tags", minutes)
    model.train()
    for _ in budget.steps(optimiser):
        chosen = bench.rng.integers(0, len(bench.images), size)
        with torch.autocast("cpu", torch.bfloat16):
            cells = head(model.image_states(bench.pictures(chosen)).states)
        loss = head.loss(cells, bench.captions.labels(chosen))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 5.0)
        optimiser.step()
        budget.note(loss=loss.item())
        if budget.due(240):
            print(tag_grounding(model, head, bench.captions.tags, bench.held_out, PREPARATION, 300), flush=True)
    return budget


def train_fusion(
    bench: Bench, minutes: float, write, size: int = 32, positives: int = 2, negatives: int = 3, rate: float = 1e-3
) -> Budget:
    """Phase 2: everything, `size` pictures a step with `positives` true captions and `negatives` false ones to each."""
    model, head, data, rng = bench.model, bench.head, bench.captions, bench.rng
    slow = [*model.tower.parameters(), *model.adapter.parameters(), *head.parameters()]
    known = {id(p) for p in slow}
    fast = [p for p in model.parameters() if id(p) not in known]
    scale = nn.Parameter(torch.tensor(2.5))
    groups = [{"params": slow, "lr": 0.8 * rate}, {"params": [*fast, scale], "lr": rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    budget = Budget("fusion", minutes)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    mask_id, words = bench.tokenizer.mask_token_id, len(bench.tokenizer)
    model.train()
    for _ in budget.steps(optimiser):
        chosen = rng.integers(0, len(bench.images), size)
        true = [rng.choice(data.of[i], positives) for i in chosen]
        false = [n for row in true for m in row for n in data.negatives(int(m), negatives, rng)]
        true_ids = data.ids[torch.from_numpy(np.stack(true))]  # [B, P, T]
        false_ids = data.ids[torch.tensor(false)].view(size, positives * negatives, -1)
        masked, labels = mask_words(true_ids[:, 0], true_ids[:, 0] < 5, mask_id, words, generator, share=0.25)
        ids = torch.cat([true_ids, false_ids, masked[:, None]], 1)
        ids = ids[..., : int((ids > 0).sum(-1).max())]
        mask = (ids > 0).long()
        layer = model.cam_layer
        seen = {layer: None}
        with torch.autocast("cpu", torch.bfloat16):
            image = model.image_states(bench.pictures(chosen))
            text = model.text_states(ids, mask)
            fused = model.fuse(text, mask, image, attention=seen)
            logits = model.match_logits(fused[:, :-1]).float()
            labels = labels[:, : ids.shape[-1]]
            guessed = model.words(fused[:, -1][labels >= 0])
            cells = head(image.states)
            contrast = word_patch_contrast(model, text[:, 0], ids[:, 0], image.states, scale)
        losses = {
            "match": match_loss(logits, positives),
            "words": functional.cross_entropy(guessed.float(), labels[labels >= 0]),
            "contrast": contrast,
            "tags": head.loss(cells, data.labels(chosen)),
            "guide": guide_loss(seen[layer], cells.detach(), np.stack(true), data, ids.shape[1:]),
        }
        loss = sum(weight * losses[name] for name, weight in WEIGHTS.items())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*slow, *fast], 2.0)
        optimiser.step()
        budget.note(**{name: value.item() for name, value in losses.items()})
        if budget.due(240):
            print(grounding(model, bench.tokenizer, bench.held_out, PREPARATION, 200), flush=True)
            print(matching(model, bench.tokenizer, bench.held_out, PREPARATION, 200), flush=True)
            write(budget)
    return budget


WEIGHTS = {"match": 1.0, "words": 0.5, "contrast": 0.3, "tags": 0.1, "guide": 0.3}


def match_loss(logits: torch.Tensor, positives: int) -> torch.Tensor:
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


def word_patch_contrast(
    model: AlbefModel, text: torch.Tensor, ids: torch.Tensor, image: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Captions [B, T, d] against pictures [B, N, d] of the batch by their words' best cells, both ways."""
    words = functional.normalize(model.word_projection(text), dim=-1)
    patches = functional.normalize(model.patch_projection(image), dim=-1)
    alike = torch.einsum("btd,cnd->bctn", words, patches)
    alike = ((10 * alike).softmax(-1) * alike).sum(-1).float()
    real = (ids >= 5).float()[:, None]
    score = (alike * real).sum(-1) / real.sum(-1).clamp(min=1) * scale.exp()
    own = torch.arange(len(score))
    return (functional.cross_entropy(score, own) + functional.cross_entropy(score.T, own)) / 2


def guide_loss(
    attention: torch.Tensor, cells: torch.Tensor, true: np.ndarray, data: Captions, shape: tuple[int, int]
) -> torch.Tensor:
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
    wanted = (0.5 * cells[picture[:, None], :, tags].float().sum(1)).softmax(-1)
    looked = attention[picture, :, word].float().mean(1)
    return -(wanted * looked.clamp(min=1e-6).log()).sum(-1).mean()


def train_vl(
    out: Path, minutes: float = 48, seed: int = 0, pictures: int = PICTURES, text_model: str = "bundled:text"
) -> dict[str, float]:
    """Train and save the vision-language model; returns its held-out figures."""
    torch.manual_seed(seed)
    corpus, held_out = draw("expert", pictures), draw("heldout", min(HELD_OUT, pictures))
    tokenizer = AutoTokenizer.from_pretrained(resolve(text_model))
    captions = prepare(corpus, parse, tokenizer, canonical)
    print(f"{len(captions.picture)} captions, {len(captions.tags)} tags", flush=True)
    model = build(text_model)
    head = TagHead(model.config.text_config.hidden_size, len(captions.tags))
    images = torch.from_numpy(corpus.images)
    bench = Bench(model, head, tokenizer, images, captions, held_out, np.random.default_rng(seed))
    figures: dict[str, float] = {}
    tags = train_tags(bench, TAG_SHARE * minutes)
    print(tag_grounding(model, head, captions.tags, held_out, PREPARATION, HELD_OUT), flush=True)

    def write(fusion: Budget) -> None:
        write_vl(out, bench, tags.step, tags.elapsed, fusion, figures, minutes, seed)

    fusion = train_fusion(bench, (1 - TAG_SHARE) * minutes, write)
    figures |= grounding(model, tokenizer, held_out, PREPARATION, HELD_OUT)
    figures |= matching(model, tokenizer, held_out, PREPARATION, HELD_OUT)
    write(fusion)
    return figures


def write_vl(
    out: Path,
    bench: Bench,
    tag_steps: int,
    tag_seconds: float,
    fusion: Budget,
    figures: dict[str, float],
    minutes: float,
    seed: int,
) -> None:
    """Save the model with its tokenizer, image settings and card."""
    facts = {
        "pictures": len(bench.images),
        "captions": len(bench.captions.picture),
        "boxes": 0,
        "tags parsed from the captions": len(bench.captions.tags),
        "tag steps (64 pictures)": tag_steps,
        "fusion steps (32 pictures, 9 captions each)": fusion.step,
        "minutes on 2 cores": round((tag_seconds + fusion.elapsed) / 60, 1),
        "seed": seed,
    }
    what = (
        "ALBEF's architecture in small: a convolutional tower (stride 8, 14 x 14 cells), a BERT whose last two layers "
        "cross-attend to it, a match head. It knows MiniGenome's drawings and words only."
    )
    command = f"python -m tools.train_vl --minutes {minutes:g} --seed {seed}"
    text = card("Vision-language model", what, facts, figures, command)
    save(out, bench.model, bench.tokenizer, text, PREPARATION.save_pretrained)


if __name__ == "__main__":
    command_line(train_vl, __doc__, 48, FOLDER / "vl")
