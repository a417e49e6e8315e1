"""What asking a language model for captions takes: tokens, and money where the recipe has prices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from groundgraph.language.llm.cache import AnswerCache
from groundgraph.language.llm.config import LlmConfig
from groundgraph.language.llm.prompts import Conversation, conversation, example_answers

CHARACTERS = 3.5  # a token, about: of English prose somewhat more, of JSON less


class TokenCost(NamedTuple):
    """What some captions take, about.

    Attributes:
        requests: How many are sent.
        read: Tokens of the prompts.
        written: Tokens of the answers.
        kept: Of what would be sent, how many answers are there already.
    """

    requests: float = 0
    read: float = 0
    written: float = 0
    kept: float = 0

    def times(self, share: float) -> TokenCost:
        """Of so many times as many captions."""
        return TokenCost(*(share * value for value in self))

    def plus(self, other: TokenCost) -> TokenCost:
        """Of both."""
        return TokenCost(*(a + b for a, b in zip(self, other, strict=True)))

    def words(self, config: LlmConfig) -> str:
        """The same for a person, with the cost where there are prices."""
        where = f" at {config.url}" if config.url else ""
        text = f"{self.requests:,.0f} requests to {config.model}{where}: about {_rounded(self.read)} tokens read, "
        text += f"{_rounded(self.written)} written"
        if config.prices:
            text += f", {(self.read * config.prices[0] + self.written * config.prices[1]) / 1e6:,.2f} by parser.prices"
        return f"{text} ({self.kept:,.0f} answers kept from before cost nothing)" if self.kept else text


def token_cost(config: LlmConfig, captions: Sequence[str], paraphrased: bool, cache: AnswerCache | None) -> TokenCost:
    """What captions take to be asked for.

    Args:
        config: Of the parser.
        captions: All of them; one that occurs twice is sent once.
        paraphrased: Whether their paraphrases are asked for too.
        cache: Where answers are kept; None: nowhere yet.
    """
    tasks = ("triplets", "paraphrase") if paraphrased and config.paraphrase else ("triplets",)
    cost = TokenCost()
    for task in tasks:
        conversations = [conversation(task, caption) for caption in dict.fromkeys(captions)]
        kept = cache.lookup(conversations) if cache else {}
        sent = [one for one in conversations if one not in kept]
        answers = [len(one[-1].content) * _longer(task) for one in sent]
        cost = cost.plus(TokenCost(len(sent), sum(map(_tokens, sent)), sum(answers) / CHARACTERS, len(kept)))
    return cost


def _tokens(conversation: Conversation) -> float:
    """Tokens of a conversation, with some that part its turns."""
    return sum(4 + len(message.content) / CHARACTERS for message in conversation)


def _longer(task: str) -> float:
    """How much longer than its caption an answer is, by the prompt's examples."""
    examples = example_answers(task)
    return sum(len(json.dumps(answer)) for _, answer in examples) / sum(len(caption) for caption, _ in examples)


def _rounded(count: float) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count / 1e3:,.0f} k" if count >= 1e4 else f"{count:,.0f}"
