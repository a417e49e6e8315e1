"""The `parser` part of a recipe: one of several kinds, each with options of its own."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from groundgraph.errors import InputError
from groundgraph.language import PARSERS
from groundgraph.language.config import ParserConfig, parser_configs

PARSER_CONFIGS = parser_configs(PARSERS)


def _with_name(value: Any) -> Any:
    """A recipe's `parser` with its name, which is rules where it has none."""
    return {"name": "rules"} | value if isinstance(value, dict) else value


Parser = Annotated[reduce(or_, PARSER_CONFIGS.values()), Field(discriminator="name"), BeforeValidator(_with_name)]


def offline(parser: ParserConfig) -> ParserConfig:
    """A recipe's parser, or the rules in place of one that sends captions to a server."""
    return PARSER_CONFIGS["rules"](model=parser.rules) if parser.sends else parser


def parser_config(text: str) -> ParserConfig:
    """The configuration that a command's --parser stands for.

    Args:
        text: A parser's name, or the mapping that a recipe's `parser` is, as YAML: "{name: seq2seq, num_beams: 4}".

    Raises:
        InputError: There is no such parser, or it has no such option.
    """
    shown = "--parser" if "{" in text else f"--parser {text[:200]}"  # a mapping may have a server's key in it
    try:
        value = yaml.safe_load(text)
        config: ParserConfig = TypeAdapter(Parser).validate_python({"name": value} if isinstance(value, str) else value)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{shown}: not valid YAML ({str(error).splitlines()[0]})") from error
    except ValidationError as error:
        raise InputError(f"{shown}: {'; '.join(map(_cause, error.errors()))}") from error
    return config


def _cause(error: Any) -> str:
    """One of pydantic's errors in a reader's words."""
    if error["type"].startswith("union_tag"):
        return f"choose one of {', '.join(PARSER_CONFIGS)}"
    if not error["loc"]:
        return "give a name, or a mapping as a recipe's `parser`"
    name, *keys = map(str, error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{name} has no option {'.'.join(keys)}; it has {', '.join(PARSER_CONFIGS[name].model_fields)}"
    return f"{'.'.join(keys)}: {error['msg'].lower()}"
