"""A language model of transformers on this machine: conversations batched by length, answers without chance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from groundgraph.errors import InputError
from groundgraph.language.llm.cache import Completion
from groundgraph.language.llm.prompts import Conversation, Message
from groundgraph.models import quietly
from groundgraph.models.device import Precision, device_of, dtype_of
from groundgraph.models.hub import TOKENIZER, WEIGHTS, located
from groundgraph.terminal import visible


class LocalModel:
    """A decoder with a tokenizer; by its chat template where it has one, else the turns are written one after another.

    Args:
        model: A folder or hub id.
        limit: Tokens that an answer may have.
        batch_size: Conversations a batch.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.

    Attributes:
        identity: What stands for the model and how it computes: its name, its files and its type of numbers.
        longest: Tokens that it reads.
        works: True.

    Raises:
        InputError: There is no such model, or it writes no text.
    """

    def __init__(
        self,
        model: str,
        limit: int,
        batch_size: int = 16,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        place = located(model, WEIGHTS, TOKENIZER)
        self.device = device_of(device)
        try:
            with quietly():
                self.tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left", truncation_side="left")
                self.model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype_of(precision, self.device))
        except (OSError, KeyError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"no language model could be loaded from '{model}' ({error}): name one of transformers' decoders"
            ) from error
        self.model.to(self.device).eval()
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.convert_ids_to_tokens(0)
        self.limit, self.batch_size, self.works = limit, batch_size, True
        self.identity = json.dumps([model, str(self.model.dtype), _files(Path(place))])
        self.longest = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30

    def answers(self, conversations: Sequence[Conversation]) -> Iterator[list[tuple[Conversation, Completion | None]]]:
        """Conversations with their answers, the longest first, so that too little memory shows at once.

        None for one that is longer than the model reads.
        """
        encoded = [self.tokens(one) for one in conversations]
        order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i]))
        long = [i for i in order if not self.fits(encoded[i])]
        if long:
            yield [(conversations[i], None) for i in long]
        for start in range(len(long), len(order), self.batch_size):
            part = order[start : start + self.batch_size]
            answers = self._generate([encoded[i] for i in part])
            yield [(conversations[i], answer) for i, answer in zip(part, answers, strict=True)]

    def fits(self, tokens: Sequence[int]) -> bool:
        """Whether the model reads a conversation of these tokens, and its answer."""
        return len(tokens) + self.limit <= self.longest

    def tokens(self, conversation: Conversation) -> list[int]:
        """What the model reads of a conversation."""
        if self.tokenizer.chat_template:
            turns = [message._asdict() for message in conversation]
            text = self.tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=False, enable_thinking=False
            )
            return self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.tokenizer(transcript(conversation))["input_ids"]

    @torch.inference_mode()
    def _generate(self, encoded: list[list[int]]) -> list[Completion]:
        inputs = self.tokenizer.pad({"input_ids": encoded}, return_tensors="pt").to(self.device)
        sequences = self.model.generate(
            **inputs,
            max_new_tokens=self.limit,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        answers = sequences[:, inputs["input_ids"].shape[1] :]
        lengths = (answers != self.tokenizer.pad_token_id).sum(1).tolist()
        texts = self.tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [
            Completion(visible(text), len(own), length)
            for text, own, length in zip(texts, encoded, lengths, strict=True)
        ]


def transcript(conversation: Sequence[Message]) -> str:
    """A conversation for a model that was not made for any: each turn a paragraph with its name."""
    names = {"user": "Caption", "assistant": "Answer"}
    turns = [f"{names[message.role]}: {message.content.strip()}" for message in conversation]
    return "\n\n".join([*turns, "Answer:"])


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a model's files; what is in them would take as long to read as the model."""
    files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
