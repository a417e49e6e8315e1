"""Captions to entities and triplets by a network that writes graphs (FACTUAL's T5 models, Li et al. 2023)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.config import ParserConfig
from groundgraph.language.facts import caption_of_facts, read_facts
from groundgraph.language.parser import CUT
from groundgraph.language.reading import LONGEST, beginning

if TYPE_CHECKING:
    import torch

    from groundgraph.models.device import Precision

MODEL = "lizhuang144/flan-t5-base-VG-factual-sg"
PREFIX = "Generate Scene Graph: "  # that FACTUAL's models were trained with
SHORTENED = "captions beyond the parser's length, of which the end was not read"


class Seq2SeqConfig(ParserConfig):
    """A network that reads a caption and writes its graph as "( subject , predicate , object ) , ...".

    Any encoder-decoder of transformers, such as FACTUAL's.
    """

    seconds: ClassVar[float] = 900

    model: str = Field(MODEL, description="a hub id or folder of an encoder-decoder")
    prefix: str = Field(PREFIX, description="what it was trained to read before a caption")
    num_beams: int = Field(1, ge=1, description="of the search for the likeliest graph; 1: greedy")
    batch_size: int = Field(32, ge=1, description="captions a forward pass; changes no result")
    max_new_tokens: int = Field(256, ge=1, description="of a graph at most; a fact that is cut off is left out")

    @property
    def network(self) -> str:
        """The encoder-decoder."""
        return self.model

    @property
    def settings(self) -> dict[str, Any]:
        """All but how many captions are read at once."""
        return self.model_dump(exclude={"batch_size"})


class Seq2SeqParser:
    """Parses captions with an encoder-decoder that writes graphs.

    Args:
        model: A hub id or local folder.
        prefix: What is put before a caption.
        num_beams: Of the beam search; 1: the likeliest token each time.
        batch_size: Captions a forward pass.
        max_new_tokens: Longest graph, in tokens.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.

    Attributes:
        counts: Of the captions so far: malformed facts by kind, entities without characters in their caption, captions
            that were cut.

    Raises:
        InputError: The model is missing, or is no encoder-decoder.
    """

    Config = Seq2SeqConfig
    images_at_once: ClassVar[int] = 64  # by a stage, which keeps what it has and may be stopped after them

    def __init__(
        self,
        model: str = MODEL,
        prefix: str = PREFIX,
        num_beams: int = 1,
        batch_size: int = 32,
        max_new_tokens: int = 256,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ) -> None:
        from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

        from groundgraph.models import quietly
        from groundgraph.models.device import device_of, dtype_of
        from groundgraph.models.hub import TOKENIZER, WEIGHTS, located

        place, self.device = located(model, WEIGHTS, TOKENIZER), device_of(device)
        try:
            with quietly():
                config = AutoConfig.from_pretrained(place)
                if not config.is_encoder_decoder:
                    raise InputError(
                        f"'{model}' is a {config.model_type} model, no encoder-decoder: name one that writes graphs, "
                        f"such as {MODEL}"
                    )
                self.tokenizer = AutoTokenizer.from_pretrained(place)
                self.model = AutoModelForSeq2SeqLM.from_pretrained(place, dtype=dtype_of(precision, self.device))
        except InputError:
            raise
        except (OSError, KeyError, ValueError, ImportError) as error:
            raise InputError(f"no parser could be loaded from '{model}' ({error}): check the name") from error
        self.model.to(self.device).eval()
        positions = getattr(config, "max_position_embeddings", None)
        self.limit = min(self.tokenizer.model_max_length, positions or 1024)
        self.prefix, self.batch_size = prefix, batch_size
        # Without early stopping: with it the first graphs that end would be taken, not the likeliest.
        self.search = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "do_sample": False}
        self.search["early_stopping"] = False
        self.counts: Counter[str] = Counter()

    def parse(self, captions: Sequence[str]) -> list[ParsedCaption]:
        """Return one ParsedCaption a caption, in order; spans are characters of the caption as it stands.

        Equal captions are parsed once; captions of like length are read together.

        Raises:
            InputError: `captions` is not a list of texts.
        """
        if isinstance(captions, str):
            raise InputError("one text stands for a list of captions: write parse([caption])")
        self.counts[CUT] += sum(len(text) > LONGEST for text in captions)
        unique = sorted((text for text in set(captions) if text.strip()), key=lambda text: (len(text), text))
        parsed, times = {text: ParsedCaption(text) for text in captions}, Counter(captions)
        lengths = self._lengths(unique)
        self.counts[SHORTENED] += sum(times[t] for t, n in zip(unique, lengths, strict=True) if n > self.limit)
        for start in range(0, len(unique), self.batch_size):
            part = unique[start : start + self.batch_size]
            for text, graph in zip(part, self._write(part), strict=True):
                facts, counts = read_facts(graph)
                parsed[text] = caption_of_facts(text, facts, counts)
                for what, count in counts.items():
                    self.counts[what] += count * times[text]
        return [parsed[text] for text in captions]

    def _prompt(self, caption: str) -> str:
        return self.prefix + " ".join(beginning(caption).split())

    def _lengths(self, captions: Sequence[str]) -> list[int]:
        """Tokens of what is read of each caption."""
        prompts = [self._prompt(text) for text in captions]
        return list(map(len, self.tokenizer(prompts, verbose=False)["input_ids"])) if prompts else []

    def _write(self, captions: Sequence[str]) -> list[str]:
        """The graphs that the network writes."""
        import torch

        texts = [self._prompt(text) for text in captions]
        encoded = self.tokenizer(texts, padding=True, truncation=True, max_length=self.limit, return_tensors="pt")
        with torch.inference_mode():
            written = self.model.generate(
                input_ids=encoded["input_ids"].to(self.device),
                attention_mask=encoded["attention_mask"].to(self.device),
                **self.search,
            )
        return self.tokenizer.batch_decode(written.cpu(), skip_special_tokens=True)
