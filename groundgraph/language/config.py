"""The `parser` part of a recipe: which parser reads captions, and its options."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from groundgraph.language import PARSERS
from groundgraph.registry import lookup


class ParserConfig(BaseModel):
    """What a parser takes; one with options has its own kind of this as its class attribute `Config`.

    Attributes:
        seconds: Of one core, for a thousand images' captions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: ClassVar[float] = 1.1

    name: str = Field("rules", description="the parser")
    model: str | None = Field(None, description="the model that it stands on, if any")

    @property
    def network(self) -> str | None:
        """The model of transformers that it loads; it is then told `device` and `precision` too."""
        return None

    @property
    def packages(self) -> tuple[str, ...]:
        """The Python packages that it needs, as pip calls them."""
        return ()

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that have to be set."""
        return ()

    @property
    def sends(self) -> bool:
        """Whether captions leave this machine."""
        return False

    @property
    def settings(self) -> dict[str, Any]:
        """What decides its results."""
        return self.model_dump()

    @property
    def options(self) -> dict[str, Any]:
        """What its constructor takes."""
        return self.model_dump(exclude={"name"})

    def __reduce__(self) -> tuple[Any, ...]:
        # A recipe goes to other processes, and its parser's class is one of `parser_configs`, which no module has.
        return _restored, (self.model_dump(),)


def parser_configs(names: Iterable[str]) -> dict[str, type[ParserConfig]]:
    """Name -> what a recipe's `parser` of that name may say.

    Args:
        names: Keys of `PARSERS`.
    """
    classes = {name: lookup(PARSERS, name, "parser") for name in names}
    bases = {name: getattr(parser, "Config", ParserConfig) for name, parser in classes.items()}
    return {name: _named(name, base) for name, base in bases.items()}


@cache
def _named(name: str, base: type[ParserConfig]) -> type[ParserConfig]:
    return create_model(
        base.__name__,
        __base__=base,
        __doc__=base.__doc__,
        name=(Literal[name], Field(name, description="the parser")),  # type: ignore[valid-type]
    )


def _restored(options: dict[str, Any]) -> ParserConfig:
    return parser_configs([options["name"]])[options["name"]](**options)
