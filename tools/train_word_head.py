"""Fit the masked-word head of the bundled text encoder, which stays as it is: what a language prior is read from."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer, BertForMaskedLM
from transformers.models.bert.modeling_bert import BertPooler

from groundgraph.models import FOLDER
from groundgraph.training.trainer import seeded
from tools.corpus import world_captions
from tools.train_text import BATCH, SCENES, TextTask, encode, evaluate
from tools.workbench import card, command_line, fit, save, scratch_of

STEPS = 1_000
TITLE = "Masked-word head"


def with_head(encoder: torch.nn.Module) -> BertForMaskedLM:
    """A masked language model of a BERT's encoder and pooler, with a new head."""
    model = BertForMaskedLM(encoder.config)
    model.bert.pooler = BertPooler(encoder.config)  # so that whoever loads the encoder alone finds every weight
    model.bert.load_state_dict(encoder.state_dict())
    model.tie_weights()
    return model


def train_word_head(out: Path, steps: int = STEPS, seed: int = 0, scenes: int = SCENES) -> dict[str, float]:
    """Fit the head of the text encoder in a folder, and store both there; returns held-out figures."""
    tokenizer = AutoTokenizer.from_pretrained(out)
    captions, held_out = world_captions("expert", scenes), world_captions("heldout", max(50, scenes // 20))
    with scratch_of(out) as scratch, seeded(seed, torch.device("cpu")):
        model = with_head(AutoModel.from_pretrained(out, dtype=torch.float32))
        model.bert.requires_grad_(False)
        rows = sorted(encode(tokenizer, captions), key=len)
        task = TextTask(model, tokenizer, rows, BATCH, steps, seed)
        fit(task, scratch, learning_rate=3e-3, weight_decay=0.01, warmup=0.03, max_grad_norm=1.0, precision="fp32")
        figures = evaluate(model, encode(tokenizer, held_out), tokenizer.mask_token_id)
        command = f"python -m tools.train_word_head --steps {steps} --seed {seed}"
        what = "What fills in masked words, fitted on the encoder above as it is: a language prior is read from it."
        own = card(TITLE, what, {"captions": len(captions), "steps": steps, "seed": seed}, figures, command)
        encoders = (out / "README.md").read_text(encoding="utf-8").split(f"\n# {TITLE}")[0]
        save(out, model, tokenizer, f"{encoders}\n{own}")
    return figures


if __name__ == "__main__":
    command_line(train_word_head, __doc__, STEPS, FOLDER / "text")
