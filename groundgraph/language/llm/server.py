"""A language model behind a server that speaks OpenAI's protocol (vLLM, llama.cpp, Ollama, `transformers serve`, ...).

Only the server that the recipe names is spoken to: a redirect is not followed. The key is read from the environment
when it is sent, and is in no message.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import httpx

from groundgraph.errors import InputError
from groundgraph.language.llm.cache import Completion
from groundgraph.language.llm.prompts import Conversation
from groundgraph.terminal import visible

PATIENCE = 600.0  # seconds without any answer until the server is given up
FIRST_PATIENCE = 60.0  # the same of one that could not be reached yet
LONGEST_WAIT = 60.0  # seconds between two tries of a request, where the server does not say
SECONDS = 300.0  # that the server has for one answer
_TEMPORARY = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_REFUSED = {400, 413, 422}  # a conversation too long, or one that a filter takes offence at; or a wrong setting
_FOREVER = ("insufficient_quota", "billing")  # of which a 429 tells that waiting is of no use
_MESSAGE = 300  # characters of a server's message that are repeated


class _Stopped(Exception):
    """Another request failed for good."""


class ChatServer:
    """Asks many conversations at the same time.

    Args:
        url: The protocol's base, such as http://localhost:8000/v1.
        model: The model's name there.
        limit: Tokens that an answer may have.
        requests: How many are sent at the same time.
        api_key_env: The environment variable with the key; None: no key is sent.
        patience: Seconds without any answer until the server is given up.

    Attributes:
        retries: How many requests were sent again so far.
        works: Whether the model answered ever, now or in another run; a request that it refuses is then wrong by
            itself.
        reached: Whether it answered now.
    """

    def __init__(
        self,
        url: str,
        model: str,
        limit: int,
        requests: int = 16,
        api_key_env: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.url, self.model, self.requests, self.patience = url.rstrip("/"), model, requests, patience
        self.api_key_env, self.retries, self.works, self.reached = api_key_env, 0, False, False
        self.settings: dict[str, Any] = {"temperature": 0, "max_tokens": limit}
        self.client = httpx.Client(
            timeout=httpx.Timeout(SECONDS, connect=20), limits=httpx.Limits(max_connections=requests)
        )
        self.stopped = threading.Event()
        self.last_answer = time.monotonic()
        self.lock = threading.Lock()

    def answers(self, conversations: Sequence[Conversation]) -> Iterator[list[tuple[Conversation, Completion | None]]]:
        """Conversations with their answers, as they come; None: the server refuses it, though it answers others.

        Raises:
            InputError: The key is refused, the server has no such model, or does not answer any more; what was on its
                way has come before.
        """
        self.stopped.clear()
        self.last_answer = time.monotonic()
        queue, running = iter(conversations), dict[Future[Completion | None], Conversation]()
        error: BaseException | None = None
        pool = ThreadPoolExecutor(self.requests, "language-model")
        try:
            while True:
                for one in islice(queue, 2 * self.requests - len(running)) if error is None else ():
                    running[pool.submit(self._answer, one)] = one
                if not running:
                    break
                batch = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    conversation = running.pop(future)
                    if future.exception() is None:
                        batch.append((conversation, future.result()))
                    elif error is None or isinstance(error, _Stopped):
                        error = future.exception()
                yield batch
            if error is not None:
                raise error
        finally:
            self.stopped.set()
            pool.shutdown(cancel_futures=True)

    def _answer(self, conversation: Conversation) -> Completion | None:
        """One answer; whoever fails to get one stops the others."""
        try:
            return self._sent(conversation)
        except BaseException:
            self.stopped.set()
            raise

    def _sent(self, conversation: Conversation) -> Completion | None:
        """One answer, however often it has to be asked for."""
        if self.stopped.is_set():
            raise _Stopped
        for tries in itertools.count():
            seconds, patience = self._pause(tries), self.patience
            try:
                response = self._post(conversation)
            except httpx.RequestError as error:
                problem = f"cannot be reached ({self._safe(str(error) or type(error).__name__)})"
                patience = patience if self.reached else min(patience, FIRST_PATIENCE)
            else:
                if response.is_success:
                    return self._completion(response)
                if self._adapt(response):
                    continue
                problem = f"answers {response.status_code} ({self._message(response)})"
                if response.status_code in _REFUSED and (self.works or tries < 2):
                    if self.works:
                        return None
                else:
                    self._check(response, problem)
                seconds = _retry_after(response, seconds)
            waited = time.monotonic() - self.last_answer
            if waited + seconds > patience:
                raise InputError(
                    f"{self.url} {problem}; no answer for {waited:.0f} s, next try in {seconds:.0f} s: what it "
                    "answered is kept, go on by the same command when it is up"
                )
            with self.lock:
                self.retries += 1
            if self.stopped.wait(seconds):
                raise _Stopped

    def _post(self, conversation: Conversation) -> httpx.Response:
        content = {
            "model": self.model,
            "messages": [message._asdict() for message in conversation],
            **dict(self.settings),
        }
        headers = {"Authorization": f"Bearer {key}"} if (key := self._key()) else {}
        return self.client.post(f"{self.url}/chat/completions", json=content, headers=headers)

    def _key(self) -> str:
        """The key, "" where none is sent. Raises InputError where the variable has none, or not one of a header's."""
        if self.api_key_env is None:
            return ""
        key = os.environ.get(self.api_key_env, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise InputError(
                "parser.api_key_env names no environment variable with a key in it: export it, or write null where the "
                "server asks for none"
            )
        return key

    def _completion(self, response: httpx.Response) -> Completion:
        try:
            content = response.json()
            text = content["choices"][0]["message"]["content"] or ""
            usage = content.get("usage") or {}
            counts = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.url}: its answer is not of OpenAI's protocol ({self._safe(response.text)}); name the base that "
                "chat/completions follows, such as http://localhost:8000/v1"
            ) from error
        self.last_answer, self.works, self.reached = time.monotonic(), True, True
        return Completion(visible(str(text)), *counts)

    def _adapt(self, response: httpx.Response) -> bool:
        """Leave out a setting that a model refuses, as some of OpenAI's do; whether there was one."""
        if response.status_code != 400:
            return False
        message = response.text
        with self.lock:
            if "max_completion_tokens" in message and "max_tokens" in self.settings:
                self.settings = {
                    "max_completion_tokens" if k == "max_tokens" else k: v for k, v in self.settings.items()
                }
                return True
            if "temperature" in message and "temperature" in self.settings:
                del self.settings["temperature"]
                return True
        return False

    def _check(self, response: httpx.Response, problem: str) -> None:
        """Raise InputError where a request would be answered so however often it is sent."""
        status, fix = response.status_code, "see what it says"
        if status in _TEMPORARY and not (status == 429 and any(word in response.text for word in _FOREVER)):
            return
        if status in (401, 403):
            fix = "put the key into an environment variable, and that one's name under parser.api_key_env"
        elif status == 429:
            fix = "what was answered is kept: go on by the same command when there is some left"
        elif status == 404:
            fix = f"name the base that chat/completions follows (it ends in /v1), and a model it has ({self.model}?)"
        elif response.is_redirect:
            fix = "a redirect is not followed: name the address itself"
        raise InputError(f"{self.url} {problem}: {fix}")

    def _message(self, response: httpx.Response) -> str:
        """What a server says is wrong."""
        with suppress(ValueError, AttributeError):
            content = response.json()
            error = content.get("error", content.get("detail", content))
            return self._safe(str(error.get("message", error) if isinstance(error, dict) else error))
        return self._safe(response.text or response.reason_phrase)

    def _safe(self, text: str) -> str:
        """Foreign text to be shown: short, on one line, without the key."""
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        line = " ".join(visible(text.replace(key, "***") if key else text).split())
        return line if len(line) <= _MESSAGE else line[:_MESSAGE] + "..."

    def _pause(self, tries: int) -> float:
        """Seconds until the next try: doubled each time, by chance a bit less, so that not all come at once."""
        return min(LONGEST_WAIT, 0.5 * 2 ** min(tries, 10)) * random.uniform(0.5, 1)


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    """Seconds that the server wants the next try to be away: a number, or a date."""
    value = response.headers.get("retry-after", "")
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return otherwise
