"""Captions to entities and triplets by a language model, after LLM4SGG (Kim et al. 2024); the rules where it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.facts import Fact, caption_of_facts
from groundgraph.language.foreign import is_foreign
from groundgraph.language.lemmas import MODEL, name_lemma, predicate_lemma
from groundgraph.language.llm.answers import GraphAnswer, ParaphraseAnswer
from groundgraph.language.llm.config import LlmConfig
from groundgraph.language.llm.prompts import conversation
from groundgraph.language.llm.respondent import open_respondent
from groundgraph.language.parser import CUT, FOREIGN, RuleParser
from groundgraph.language.reading import LONGEST, Reading
from groundgraph.models.device import Precision

if TYPE_CHECKING:
    import torch

RULES = "captions that the rules read instead of the language model"
PARAPHRASES = "paraphrases with a triplet that their caption has not"


class LlmParser:
    """Asks a language model for each caption's graph, and for its paraphrase's.

    Args:
        model: A folder or hub id; with `url` the model's name at the server.
        url: See `LlmConfig`, as of all that follow but the last two.
        api_key_env: The environment variable with the server's key.
        paraphrase: Whether `paraphrases` asks for any.
        max_tokens: Tokens of an answer.
        requests: Sent at the same time.
        batch_size: Captions that a model here reads at once.
        prices: Count for nothing here.
        rules: The spaCy model of the rules.
        device: Where a model here runs, see `groundgraph.models.device`.
        precision: What it computes in, likewise.

    Attributes:
        counts: Of the captions so far: what was asked, and what was not read by the model, and why.

    Raises:
        InputError: The model is missing, or its prompt is longer than what it reads.
    """

    Config = LlmConfig
    images_at_once: ClassVar[int] = 16  # so that a signal need not wait long

    def __init__(
        self,
        model: str,
        url: str | None = None,
        api_key_env: str | None = None,
        paraphrase: bool = False,
        max_tokens: int = 512,
        requests: int = 16,
        batch_size: int = 16,
        prices: tuple[float, float] | None = None,
        rules: str = MODEL,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.paraphrase, self.rules = paraphrase, RuleParser(rules)
        self.respondent = open_respondent(
            self.counts,
            model=model,
            url=url,
            api_key_env=api_key_env,
            max_tokens=max_tokens,
            requests=requests,
            batch_size=batch_size,
            device=device,
            precision=precision,
        )

    def parse(self, captions: Sequence[str]) -> list[ParsedCaption]:
        """Return one ParsedCaption a caption, in order; spans are characters of the caption as it stands.

        Equal captions are asked for once. As with the rules, only the first 1000 characters are read, and a caption in
        another language has no entities.

        Raises:
            InputError: `captions` is not a list of texts, or the server cannot be asked.
        """
        if isinstance(captions, str) or not all(isinstance(text, str) for text in captions):
            raise InputError("captions are a list of texts: write parse([caption])")
        self.counts[CUT] += sum(len(text) > LONGEST for text in captions)
        beginnings = {text: Reading(text).text for text in captions}
        foreign = {text for text, beginning in beginnings.items() if is_foreign(beginning)}
        self.counts[FOREIGN] += sum(text in foreign for text in captions)
        parsed = {text: ParsedCaption(text) for text in captions}
        readable = [text for text in parsed if text not in foreign and beginnings[text].strip()]
        answers = self.respondent.answers(
            [conversation("triplets", beginnings[text]) for text in readable], GraphAnswer
        )
        unanswered = []
        for text, answer in zip(readable, answers, strict=True):
            if answer is None:
                unanswered.append(text)
            else:
                parsed[text] = caption_of_facts(text, facts_of(answer), self.counts)
        self.counts[RULES] += len(unanswered)
        parsed |= zip(unanswered, self.rules.parse(unanswered), strict=True)
        return [parsed[text] for text in captions]

    def paraphrases(self, parsed: Sequence[ParsedCaption]) -> list[ParsedCaption | None]:
        """Each caption in other words, with the triplets that only these have; None where there are none.

        A caption without entities has no paraphrase.

        Args:
            parsed: What `parse` gave.
        """
        if not self.paraphrase:
            return [None] * len(parsed)
        whole = [caption for caption in dict.fromkeys(parsed) if caption.entities]
        sent = [conversation("paraphrase", Reading(caption.text).text) for caption in whole]
        paraphrases: dict[ParsedCaption, ParsedCaption] = {}
        for caption, answer in zip(whole, self.respondent.answers(sent, ParaphraseAnswer), strict=True):
            if answer is not None and (new := _new_triplets(answer, caption)):
                paraphrases[caption] = caption_of_facts(answer.paraphrase, new, self.counts)
        self.counts[PARAPHRASES] += len(paraphrases)
        return [paraphrases.get(caption) for caption in parsed]


def facts_of(answer: GraphAnswer) -> list[Fact]:
    """An answer's entities and triplets as facts, each once."""
    triplets = dict.fromkeys(tuple(triplet) for triplet in answer.triplets)
    return [*((name,) for name in dict.fromkeys(answer.entities)), *triplets]


def _new_triplets(answer: GraphAnswer, caption: ParsedCaption) -> list[Fact]:
    """The triplets of an answer that are none of a caption's, in base forms."""
    own = {(caption.entities[t.subject].name, t.predicate, caption.entities[t.object].name) for t in caption.triplets}
    triplets = dict.fromkeys(tuple(triplet) for triplet in answer.triplets)
    return [(s, p, o) for s, p, o in triplets if (name_lemma(s), predicate_lemma(p), name_lemma(o)) not in own]
