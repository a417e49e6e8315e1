"""The conversations that ask a language model, from prompts.yaml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple

import yaml


class Message(NamedTuple):
    """A turn of a conversation.

    Attributes:
        role: user or assistant; an instruction is the user's, since not every model knows a system's.
        content: What is said.
    """

    role: Literal["user", "assistant"]
    content: str


Conversation = tuple[Message, ...]


@cache
def _prompts() -> dict[str, Any]:
    text = resources.files("groundgraph.language.llm").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


@cache
def _examples(task: str) -> Conversation:
    """A task's instruction and examples, up to the last answer."""
    prompt, turns = _prompts()[task], []
    for example in prompt["examples"]:
        caption = example["caption"] if turns else f"{prompt['instruction']}\n{example['caption']}"
        turns += [Message("user", caption), Message("assistant", json.dumps(example["answer"], ensure_ascii=False))]
    return tuple(turns)


def example_answers(task: str) -> list[tuple[str, dict[str, Any]]]:
    """A task's examples: captions with what is to be answered."""
    return [(example["caption"], example["answer"]) for example in _prompts()[task]["examples"]]


def conversation(task: Literal["triplets", "paraphrase"], caption: str) -> Conversation:
    """What asks for a caption's scene graph, or for the one of its paraphrase."""
    return (*_examples(task), Message("user", caption))


def corrected(conversation: Conversation, answer: str, why: str) -> Conversation:
    """What asks again after a malformed answer.

    Args:
        conversation: The first.
        answer: What came.
        why: What is wrong with it.
    """
    return (*conversation, Message("assistant", answer), Message("user", _prompts()["again"].format(why=why).strip()))


def alignment(kind: Literal["thing", "relation"], names: Sequence[str], word: str) -> Conversation:
    """What asks which name of a vocabulary a word means."""
    instruction = _prompts()["alignment"]["instruction"].format(kind=kind, names=", ".join(names))
    return (Message("user", f"{instruction}\n{word}"),)
