"""What a language model has to answer, as a schema, and its answers read by it."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from groundgraph.data.text import plain

LONGEST, MOST = 80, 100  # characters of a word or name, and of entities and of triplets in one answer
_Line = Annotated[str, AfterValidator(plain)]
Words = Annotated[_Line, StringConstraints(min_length=1, max_length=LONGEST, pattern=r"\w")]


class MalformedAnswer(ValueError):
    """An answer that is not of the schema; its message says what is wrong, for a model to read."""


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class GraphAnswer(_Schema):
    """A caption's scene graph in words.

    Attributes:
        entities: Nouns of what can be seen.
        triplets: (subject, predicate, object); their ends need not be among the entities.
    """

    entities: Annotated[list[Words], Field(max_length=MOST)]
    triplets: Annotated[list[Annotated[list[Words], Field(min_length=3, max_length=3)]], Field(max_length=MOST)]


class ParaphraseAnswer(GraphAnswer):
    """A caption in other words, and the scene graph of these."""

    paraphrase: Annotated[_Line, StringConstraints(min_length=1, max_length=1000)]


class NameAnswer(_Schema):
    """The name of a vocabulary that a word means; None where it means none."""

    name: str | None


Answer = TypeVar("Answer", bound=BaseModel)


def read_answer(text: str, schema: type[Answer]) -> Answer:
    """What a language model answered.

    Args:
        text: The answer; before and after the JSON object there may be anything, such as a model's thoughts.
        schema: Which it has to be of; keys that this lacks count for nothing.

    Raises:
        MalformedAnswer: No object in it is of the schema.
    """
    problem = "there is no JSON object"
    for content in _objects(text):
        try:
            return schema.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            problem = f"{'.'.join(map(str, first['loc'])) or 'the object'}: {first['msg'][0].lower()}{first['msg'][1:]}"
    raise MalformedAnswer(problem)


def _objects(text: str, most: int = 8) -> list[dict[str, Any]]:
    """The JSON objects that a text has, the last first: what a model thinks before it answers may have some, too."""
    decoder, objects, at = json.JSONDecoder(), [], text.find("{")
    while at >= 0:
        try:
            content, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            objects.append(content)
        at = text.find("{", end)
    return objects[: -most - 1 : -1]
