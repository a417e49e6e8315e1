"""What every source's part of a recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Setting = Literal["vg_caption", "coco_caption", "unlocalized_graph"]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]


class DataPart(BaseModel):
    """What every source's part says: its splits, the last of which is measured, and the annotation files it reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    splits: ClassVar[tuple[str, ...]] = ("train", "validation", "test")
    # Whether its triplets are names of its own vocabulary ("trees" is no tree), not words that people wrote.
    named: ClassVar[bool] = False

    @property
    def data_set(self) -> str:
        """In words, and where: what a run's folder belongs to, whatever the other settings are."""
        return "MiniGenome"

    @property
    def pictureless(self) -> bool:
        """Whether the data are without their pictures, so that nothing may open one."""
        return False

    def annotations(self) -> list[Path]:
        """The files whose content decides what the examples are."""
        return []
