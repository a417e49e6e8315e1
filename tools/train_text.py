"""Train the bundled text encoder: a small BERT with masked words on captions of the experts' part of the world."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer

from groundgraph.models import FOLDER
from groundgraph.training.trainer import seeded
from tools.corpus import world_captions
from tools.workbench import ExpertTask, card, command_line, fit, replacing, save, scratch_of

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = 1500
SCENES, BATCH, STEPS = 12_000, 128, 6_000


def train_tokenizer(captions: Sequence[str], pieces: int = PIECES) -> BertTokenizer:
    """A lower-case WordPiece tokenizer of at most `pieces` pieces; every frequent word of the captions stays whole."""
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # All letters and digits are there even if no caption has them, so that any word can be spelt.
    letters = sorted("abcdefghijklmnopqrstuvwxyz0123456789'-.,!?")
    raw.train_from_iterator(
        captions,
        trainers.WordPieceTrainer(
            vocab_size=pieces, special_tokens=SPECIAL, initial_alphabet=letters, show_progress=False
        ),
    )
    vocabulary = raw.get_vocab()
    ordered = {piece: i for i, piece in enumerate(sorted(vocabulary, key=vocabulary.__getitem__))}
    for letter in letters:  # continuations of every letter, for words the captions never had
        ordered.setdefault(f"##{letter}", len(ordered))
    return BertTokenizer(vocab=ordered, model_max_length=64)


def stored_tokenizer(folder: Path, captions: Sequence[str]) -> BertTokenizer:
    """A tokenizer trained once and kept: of pieces that are equally frequent, another training takes others."""
    if not folder.is_dir():
        with replacing(folder) as scratch:
            train_tokenizer(captions).save_pretrained(scratch)
    return BertTokenizer.from_pretrained(folder)


def mask_words(
    ids: torch.Tensor, special: torch.Tensor, mask_id: int, size: int, generator: torch.Generator, share: float = 0.15
) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's corruption: of `share` of the pieces, 80 % become [MASK], 10 % a random piece, 10 % stay.

    ids [B, T], special [B, T] bool (never masked) -> corrupted ids [B, T], labels [B, T] (-100 where not masked).
    """
    chosen = (torch.rand(ids.shape, generator=generator) < share) & ~special
    how = torch.rand(ids.shape, generator=generator)
    other = torch.randint(len(SPECIAL), size, ids.shape, generator=generator)
    corrupted = torch.where(chosen & (how < 0.8), mask_id, torch.where(chosen & (how >= 0.9), other, ids))
    return corrupted, ids.masked_fill(~chosen, -100)


def encode(tokenizer: BertTokenizer, captions: Sequence[str]) -> list[list[int]]:
    """Word pieces of each caption, [CLS] and [SEP] included, cut at the tokenizer's length."""
    return tokenizer(list(captions), truncation=True)["input_ids"]


def pad(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """[B, T] int64, padded with 0."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(r) for r in rows], batch_first=True)


def evaluate(model: BertForMaskedLM, rows: Sequence[Sequence[int]], mask_id: int) -> dict[str, float]:
    """Accuracy and perplexity on held-out captions, every 7th piece masked in turn."""
    model.eval()
    right = masked = 0
    loss = 0.0
    with torch.inference_mode():
        for start in range(0, len(rows), 250):
            ids = pad(rows[start : start + 250])
            special = ids < len(SPECIAL)
            chosen = ((torch.arange(ids.shape[1])[None] + torch.arange(len(ids))[:, None]) % 7 == 0) & ~special
            logits = model(ids.masked_fill(chosen, mask_id), attention_mask=(ids > 0).long()).logits[chosen]
            right += int((logits.argmax(-1) == ids[chosen]).sum())
            loss += float(functional.cross_entropy(logits, ids[chosen], reduction="sum"))
            masked += len(logits)
    model.train()
    return {
        "masked pieces predicted right": right / masked,
        "perplexity of a masked piece": float(torch.tensor(loss / masked).exp()),
    }


class TextTask(ExpertTask[torch.Tensor]):
    """Masked words of captions.

    Args:
        model: what is trained.
        tokenizer: whose pieces the captions consist of.
        rows: the captions' pieces, the shortest first.
        batch_size: captions of a step.
        steps, seed: see `ExpertTask`.
    """

    def __init__(
        self,
        model: BertForMaskedLM,
        tokenizer: BertTokenizer,
        rows: list[list[int]],
        batch_size: int,
        steps: int,
        seed: int,
    ) -> None:
        super().__init__("text", model, steps, seed, captions=len(rows))
        self.bert, self.tokenizer, self.rows, self.batch_size = model, tokenizer, rows, batch_size

    def draw(self, places: list[int]) -> torch.Tensor:
        """Captions of like length, from a window of eight batches: little padding, and another batch every time."""
        window = 8 * self.batch_size
        start = int(self.rng.integers(max(1, len(self.rows) - window)))
        near = self.rows[start : start + window]
        chosen = self.rng.choice(len(near), min(self.batch_size, len(near)), replace=False)
        return pad([near[i] for i in chosen])

    def losses(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """The cross-entropy of the masked pieces."""
        special, mask_id = batch < len(SPECIAL), self.tokenizer.mask_token_id
        corrupted, labels = mask_words(batch, special, mask_id, len(self.tokenizer), self.generator)
        hidden = self.bert.bert(corrupted, attention_mask=(batch > 0).long()).last_hidden_state
        masked = labels >= 0
        return {"loss": functional.cross_entropy(self.bert.cls(hidden[masked]).float(), labels[masked])}

    def parameters(self) -> list[dict[str, Any]]:
        """All, with the short memory that BERTs are trained with."""
        return [{"params": list(self.model.parameters()), "betas": (0.9, 0.98)}]


def train_text(out: Path, steps: int = STEPS, seed: int = 0, scenes: int = SCENES) -> dict[str, float]:
    """Train and save the text encoder; returns its held-out figures.

    Captions of all three styles (regions, whole scenes, sentences made of triplets) count alike, since the encoder
    serves all three settings.
    """
    captions, held_out = world_captions("expert", scenes), world_captions("heldout", max(50, scenes // 20))
    with scratch_of(out) as scratch, seeded(seed, torch.device("cpu")):
        tokenizer = stored_tokenizer(scratch / "tokenizer", captions)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=512,
            max_position_embeddings=64,
            pad_token_id=0,
        )
        model = BertForMaskedLM(config)
        rows = sorted(encode(tokenizer, captions), key=len)
        task = TextTask(model, tokenizer, rows, BATCH, steps, seed)
        fit(task, scratch, learning_rate=1e-3, weight_decay=0.01, warmup=0.03, max_grad_norm=1.0, precision="bf16")
        figures = evaluate(model, encode(tokenizer, held_out), tokenizer.mask_token_id)
        # A whole BertModel, pooler and all, so that loading it finds every weight; nothing trained the pooler.
        whole = BertModel(config)
        whole.load_state_dict(model.bert.state_dict(), strict=False)
        what = (
            "A small BERT (4 layers of 128), trained with masked words on captions of MiniGenome's expert world. It "
            "knows no other words: for captions of real photos take a text encoder that knows English."
        )
        facts = {
            "captions": len(captions), "word pieces": len(tokenizer), "steps": steps, "captions a step": BATCH,
            "seed": seed,
        }  # fmt: skip
        command = f"python -m tools.train_text --steps {steps} --seed {seed}"
        save(out, whole, tokenizer, card("Text encoder", what, facts, figures, command))
    return figures


if __name__ == "__main__":
    command_line(train_text, __doc__, STEPS, FOLDER / "text")
