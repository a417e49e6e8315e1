"""Questions to a language model: answered from the cache where that has them, checked, put once more if malformed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from groundgraph.errors import InputError
from groundgraph.language.llm.answers import Answer, MalformedAnswer, read_answer
from groundgraph.language.llm.cache import AnswerCache, Completion
from groundgraph.language.llm.prompts import Conversation, conversation, corrected

if TYPE_CHECKING:
    import torch

    from groundgraph.models.device import Precision

AGAIN, MALFORMED = "answers asked for again, being malformed", "answers malformed twice"
REFUSED = "requests that the language model refused"
RETRIED = "requests sent again, the server being busy or away"
SENT, KEPT = "requests to the language model", "answers kept from before"
READ, WRITTEN = "tokens read", "tokens written"


class LanguageModel(Protocol):
    """Anything that answers conversations.

    Attributes:
        works: Whether it ever did.
    """

    works: bool

    def answers(self, conversations: Sequence[Conversation]) -> Iterator[list[tuple[Conversation, Completion | None]]]:
        """Conversations with their answers, those that come together at once, in any order; None: it is refused."""
        ...


class Respondent:
    """A language model with the answers it gave before.

    Args:
        model: What answers.
        cache: Where answers are kept.
        counts: Gets how many requests were sent, how many answers were kept, malformed, ..., by these words.
    """

    def __init__(self, model: LanguageModel, cache: AnswerCache, counts: Counter[str]) -> None:
        self.model, self.cache, self.counts = model, cache, counts

    def answers(self, conversations: Sequence[Conversation], schema: type[Answer]) -> list[Answer | None]:
        """The answers to conversations, in order; None where one was refused, or malformed twice.

        Args:
            conversations: One may occur twice; it is sent once.
            schema: Which the answers have to be of.

        Raises:
            InputError: The model cannot be asked.
        """
        answers: dict[Conversation, Answer | None] = dict.fromkeys(conversations)
        first = {one: one for one in answers}  # what is sent -> the conversation that it stands for
        for word in (AGAIN, MALFORMED):
            second = {}
            for sent, text in self._texts(list(first)).items():
                try:
                    answers[first[sent]] = read_answer(text, schema)
                except MalformedAnswer as error:
                    second[corrected(first[sent], text, str(error))] = first[sent]
            first = second
            self.counts[word] += len(second)
        self.counts[RETRIED] = getattr(self.model, "retries", 0)
        return [answers[one] for one in conversations]

    def _texts(self, conversations: Sequence[Conversation]) -> dict[Conversation, str]:
        completions = self.cache.lookup(conversations)
        self.counts[KEPT] += len(completions)
        self.model.works = self.model.works or bool(completions)
        for batch in self.model.answers([c for c in conversations if c not in completions]):
            answered = {sent: completion for sent, completion in batch if completion is not None}
            self.cache.store(answered.items())
            completions |= answered
            self.counts[SENT] += len(batch)
            self.counts[REFUSED] += len(batch) - len(answered)
            self.counts[READ] += sum(completion.read for completion in answered.values())
            self.counts[WRITTEN] += sum(completion.written for completion in answered.values())
        return {sent: completion.text for sent, completion in completions.items()}


def open_respondent(
    counts: Counter[str],
    *,
    model: str,
    url: str | None,
    api_key_env: str | None,
    max_tokens: int,
    requests: int,
    batch_size: int,
    device: str | torch.device = "auto",
    precision: Precision = "auto",
) -> Respondent:
    """The language model that a recipe's parser names, with the answers that it gave before; all as of `LlmConfig`.

    Answers are kept by a model's name at its server, or by its files here.

    Raises:
        InputError: It is missing, or reads less than the prompt.
    """
    if url:
        from groundgraph.language.llm.server import ChatServer  # brings an HTTP client

        server = ChatServer(url, model, max_tokens, requests, api_key_env)
        return Respondent(server, AnswerCache(model, max_tokens), counts)
    from groundgraph.language.llm.local import LocalModel  # brings transformers

    local = LocalModel(model, max_tokens, batch_size, device, precision)
    shortest = local.tokens(conversation("triplets", "a dog"))
    if not local.fits(shortest):
        raise InputError(
            f"parser.model {model} reads {local.longest:,} tokens, and the prompt has {len(shortest):,} and an answer "
            f"up to {max_tokens:,}: take a model that reads more, or a lower parser.max_tokens"
        )
    return Respondent(local, AnswerCache(local.identity, max_tokens), counts)
