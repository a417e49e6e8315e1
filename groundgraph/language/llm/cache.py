"""Answers of language models kept on the disk, by model and prompt, so that none is paid for twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from groundgraph.errors import InputError
from groundgraph.language.llm.prompts import Conversation
from groundgraph.models import cache_folder

FILE = "language-models.sqlite"
PATIENCE = 60.0  # seconds that a process waits for another that writes
_BATCH = 500  # keys looked up by one query


class Completion(NamedTuple):
    """What a model answered.

    Attributes:
        text: The answer.
        read: Tokens of the conversation, as the model's server counts them.
        written: Tokens of the answer.
    """

    text: str
    read: int
    written: int


def answers_file() -> Path:
    """Where answers are kept, there or not: in the user's cache folder."""
    return cache_folder() / FILE


class AnswerCache:
    """A table of answers in one file, which several processes may use at once; each answer is on the disk at once.

    Args:
        path: The file; None: in the user's cache folder.
        model: What stands for the model: its name at a server, or what identifies its files.
        limit: Tokens that an answer may have: a greater limit is another answer.

    Raises:
        InputError: The file cannot be written, or is no such table.
    """

    def __init__(self, model: str, limit: int, path: Path | None = None) -> None:
        self.path = path or answers_file()
        self.prefix = [model, limit]
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(self.path, timeout=PATIENCE)
            self.connection.execute(  # committed by itself
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, text TEXT, read INTEGER, written INTEGER) "
                "WITHOUT ROWID"
            )

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def key(self, conversation: Conversation) -> bytes:
        """What an answer is kept under: a digest of the model, the limit and the whole conversation."""
        return hashlib.sha256(json.dumps([*self.prefix, conversation]).encode()).digest()

    def lookup(self, conversations: Sequence[Conversation]) -> dict[Conversation, Completion]:
        """Those of the conversations that were answered before, with their answers."""
        by_key = {self.key(one): one for one in conversations}
        keys, answers = list(by_key), {}
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            query = f"SELECT key, text, read, written FROM answers WHERE key IN ({','.join('?' * len(part))})"
            with self._errors():
                for key, *completion in self.connection.execute(query, part):
                    answers[by_key[bytes(key)]] = Completion(*completion)
        return answers

    def store(self, completions: Iterable[tuple[Conversation, Completion]]) -> None:
        """Keep answers; all are on the disk when this ends."""
        rows = [(self.key(conversation), *completion) for conversation, completion in completions]
        with self._errors(), self.connection:
            self.connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{self.path}: answers of language models cannot be kept there ({error}); move the file away, or let "
                "XDG_CACHE_HOME name another folder"
            ) from error
