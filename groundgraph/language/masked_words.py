"""What a masked language model expects between two things: a language prior for relations (Lu et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch

from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.device import Precision, device_of, dtype_of
from groundgraph.models.hub import TOKENIZER, WEIGHTS, located

SENTENCES = ("{subject} {relation} {object}", "a {subject} {relation} a {object}")


class MaskedLanguageModel:
    """A text model that fills in masked words.

    Args:
        model: "bundled:text", a hub id, a local folder, or "package:NAME"; a BERT with its masked-word head.
        batch_size: Sentences a forward pass.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.

    Raises:
        InputError: The model is missing, is none of this kind, or was stored without its masked-word head.
    """

    def __init__(
        self,
        model: str = "bundled:text",
        batch_size: int = 512,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        place, head = located(model, WEIGHTS, TOKENIZER), "take one that has it, such as bert-base-uncased"
        try:
            with quietly():
                self.tokenizer = AutoTokenizer.from_pretrained(place)
                self.model, loading = AutoModelForMaskedLM.from_pretrained(
                    place, dtype=torch.float32, output_loading_info=True
                )
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"no masked language model could be loaded from '{model}' ({error}); {head}") from error
        if missing := sorted(loading["missing_keys"]):
            raise InputError(f"'{model}' was stored without its masked-word head ({missing[0]} ...); {head}")
        if self.tokenizer.mask_token_id is None:
            raise InputError(f"the tokenizer of '{model}' has no word that stands for a masked one; {head}")
        self.batch_size, self.device = batch_size, device_of(device)
        self.model.to(self.device, dtype_of(precision, self.device)).eval()

    def log_ratios(self, things: Sequence[str], relations: Sequence[str]) -> np.ndarray:
        """How much likelier a relation is between two things than between any: [N, N, R] float32.

        log p(relation | "subject [MASK] object") - log p(relation | "[MASK] [MASK] [MASK]"), the pointwise mutual
        information, so that neither common nor short relations are ahead; the mean over `SENTENCES`. A relation of n
        pieces has n masks, whose probabilities are multiplied.

        Args:
            things: Names of N categories.
            relations: Names of R predicates.
        """
        pieces = [self.tokenizer(f" {name}", add_special_tokens=False)["input_ids"] for name in relations]
        ratios = np.zeros((len(things), len(things), len(relations)), np.float32)
        mask = self.tokenizer.mask_token
        for length in {len(piece) for piece in pieces if piece}:
            places = [place for place, piece in enumerate(pieces) if len(piece) == length]
            words = torch.tensor([pieces[place] for place in places])  # [r, n]
            pairs = [(mask, mask), *product(things, things)]
            for sentence in SENTENCES:
                between = " ".join([mask] * length)
                texts = [sentence.format(subject=s, relation=between, object=o) for s, o in pairs]
                logs = self._between(texts, words)
                ratios[..., places] += (logs[1:] - logs[:1]).reshape(len(things), len(things), -1) / len(SENTENCES)
        return ratios

    @torch.inference_mode()
    def _between(self, texts: list[str], words: torch.Tensor) -> np.ndarray:
        """Log p of relations' pieces [r, n] at a text's n masks (the first text's: all but the outer): [T, r]."""
        rows = []
        for start in range(0, len(texts), self.batch_size):
            encoded = self.tokenizer(texts[start : start + self.batch_size], padding=True, return_tensors="pt")
            masked = encoded["input_ids"] == self.tokenizer.mask_token_id
            if start == 0:
                first = masked[0].nonzero()[[0, -1], 0]
                masked[0, first] = False
            logits = self.model(**encoded.to(self.device)).logits[masked.to(self.device)].float()  # [T n, W]
            logs = logits.log_softmax(-1).unflatten(0, (-1, words.shape[1]))  # [T, n, W]
            rows.append(torch.stack([logs[:, place, word] for place, word in enumerate(words.T)]).sum(0).cpu().numpy())
        return np.concatenate(rows)
