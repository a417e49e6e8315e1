"""The options of the parser `llm`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from groundgraph.errors import InputError
from groundgraph.language.config import ParserConfig
from groundgraph.language.lemmas import MODEL

_HOW = ("url", "api_key_env", "requests", "batch_size", "prices")  # how answers are got, which decides none


class LlmConfig(ParserConfig):
    """A language model, of transformers here or behind a server that speaks OpenAI's protocol."""

    seconds: ClassVar[float] = 10_000.0

    model: str = Field(
        description="a hub id or folder, such as Qwen/Qwen2.5-7B-Instruct; with `url` the model's name at the server"
    )
    url: str | None = Field(
        None,
        description="a server's base, such as http://localhost:8000/v1; captions are sent there and nowhere else; "
        "null: the model is run here, and nothing is sent",
    )
    api_key_env: str | None = Field(
        None, description="the environment variable that holds the server's key, never the key; null: none is sent"
    )
    paraphrase: bool = Field(
        False, description="ask for each caption in other words too, and add the triplets that are only there"
    )
    max_tokens: int = Field(512, ge=16, description="tokens that an answer may have")
    requests: int = Field(16, ge=1, le=512, description="requests that are sent to a server at the same time")
    batch_size: int = Field(16, ge=1, description="captions that a model here reads at once")
    prices: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] | None = Field(
        None, description="of a million tokens read, and written: what a dry run counts the cost by"
    )
    rules: str = Field(MODEL, description="the spaCy model of the rules, which read what the model answers badly")

    @field_validator("url")
    @classmethod
    def _base(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            whole = False
        if not whole:
            raise InputError("give a server's base, such as http://localhost:8000/v1, or null")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise PydanticCustomError(
                "secret", "give the base alone; a key goes into an environment variable that api_key_env names"
            )
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, name: str | None) -> str | None:
        # A key that is written here by mistake would lie in the run's folder.
        if name is not None and not (name.replace("_", "").isalnum() and name.isascii() and name.upper() == name):
            raise PydanticCustomError(
                "secret", "give the name of an environment variable, in capitals such as OPENAI_API_KEY"
            )
        return name

    @property
    def network(self) -> str | None:
        """The model, where it is run here."""
        return None if self.url else self.model

    @property
    def packages(self) -> tuple[str, ...]:
        """The spaCy model of the rules."""
        return (self.rules,)

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variable with the server's key, if it asks for one."""
        return (self.api_key_env,) if self.url and self.api_key_env else ()

    @property
    def sends(self) -> bool:
        """To the server, where one is named."""
        return self.url is not None

    @property
    def asking(self) -> dict[str, Any]:
        """What opens the language model alone, without what is done with its answers."""
        return self.model_dump(exclude={"name", "paraphrase", "prices", "rules"})

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the answers: not where the model is, and how it is asked."""
        return self.model_dump(exclude=set(_HOW))
