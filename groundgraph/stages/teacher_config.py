"""The teachers in a recipe: who teaches a grounder, and who says which of them to trust."""

from __future__ import annotations

from pydantic import Field

from groundgraph.stages.strict import Strict
from groundgraph.teachers.expert import PROMPTS, RegionSource
from groundgraph.teachers.interaction import Area


class InteractionConfig(Strict):
    """The vision-language model of the interaction-aware teacher; null means the model's own choice."""

    model: str = Field(
        "bundled:vl",
        description="bundled:vl, a hub id or folder (ALBEF as groundgraph saves it, or BLIP for retrieval), or a file "
        "of ALBEF's authors (ALBEF.pth, refcoco.pth)",
    )
    layer: int | None = Field(None, description="the text layer whose Grad-CAM is taken, from 0")
    area: Area = Field(
        "cells",
        description="what Eq. 7 counts: cells of the activation map, or pixels, as released and as official sets it; "
        "scores are then greater by the root of a cell's pixels (8 on MiniGenome, 23 at 640 x 480 with 24 x 24 cells) "
        "and Eq. 8 as much sharper",
    )
    temperature: float = Field(1.0, gt=0, description="of Eq. 8, which divides the scores")
    tokenizer: str | None = Field(None, description="a folder or hub id")
    image_size: int | None = Field(None, ge=1, description="side in pixels that pictures are resized to")

    @property
    def sharpness(self) -> tuple[str, float]:
        """What counts only where stored scores become targets."""
        return self.area, self.temperature


class ImageTextConfig(Strict):
    """The image-text model that weighs the teachers where fusing is "expert"."""

    model: str = Field("bundled:clip", description="bundled:clip, a hub id or a folder of a CLIP")
    prompts: tuple[str, ...] = Field(
        PROMPTS,
        min_length=1,
        description="sentences whose features are averaged; {name} is an entity's noun, {text} its phrase",
    )
    temperature: float = Field(0.1, gt=0, description="that divides the two cosines before their softmax (Eq. 11)")
    features: RegionSource = Field(
        "crops",
        description="of a region: crops, the model's of its crop; map, pooled from one pass over the picture "
        "(MaskCLIP, RegionCLIP): cheaper and less exact; of a CLIP with a ViT, or of a tower that ends in a map",
    )


class PhraseConfig(Strict):
    """The third teacher, which looks for phrases (ACC-like): "man riding horse", "horse ridden by man"."""

    model: str | None = Field(
        None,
        description="a detector that reads phrases: Grounding DINO, OWL-ViT or OWLv2 by hub id or folder; null: what "
        "the run's own regions can say of them, by category, score and how near two things lie",
    )


class TeacherConfig(Strict):
    """Who teaches grounders that are taught, and who says which of the teachers to trust."""

    object: bool = Field(True, description="the object-aware teacher")
    interaction: InteractionConfig | None = Field(
        InteractionConfig(), description="the interaction-aware teacher; null leaves it out"
    )
    phrase: PhraseConfig | None = Field(
        None, description="a third teacher, who looks for phrases (not in the paper); null leaves it out"
    )
    expert: ImageTextConfig | None = Field(ImageTextConfig(), description="who weighs the teachers; null: nobody")
