"""How a grounder is built and trained: one flat table of choices, with the released code's as a named set."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

OFFICIAL: dict[str, Any] = {
    "normalise": True,
    "dropout_on": "product",
    "mil_sigmoid": False,
    "mil_diagonal": True,
    "mil_padding": True,
    "mil_decay": True,
    "fusing": "self",
    "negatives": "lowest",
    "crossed_negatives": True,
    "hinge_sigmoid": True,
    "smoothing": 0.1,
    "average_epochs": 6,
    "scheme": "entities",
    "validate_every": 100,
    "validate_mil": False,
    "weight_decay": 1e-3,
}


class WsgmConfig(BaseModel):
    """WSGM's own: temperature of the contrast between images and graphs, by which cosines are divided."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(0.1, gt=0)


class LswsConfig(BaseModel):
    """LSWS's own (the released values): refinements of the grounding, and the weight of each one's loss.

    context_dropout is the share of the messages between a text graph's entities that is dropped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    refinements: int = Field(4, ge=1)
    refinement_weight: float = Field(0.5, ge=0)
    context_dropout: float = Field(0.5, ge=0, lt=1)


class VspnetConfig(BaseModel):
    """VSPNet's own: width of a node's state, predicate nodes an image, rounds of messages, turns of the alignment.

    Released: states of 1024, 100 nodes, 3 and 3; 16 nodes hold a caption's triplets several times over and cost less.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    states: int = Field(64, ge=1)
    predicates: int = Field(16, ge=1)
    rounds: int = Field(3, ge=1)
    alignments: int = Field(3, ge=1)


class GroundingConfig(BaseModel):
    """Every choice of stage 1's training; the defaults are the paper's form, official: true sets the released code's.

    A key that is given stays as given beside `official`. What the other systems' grounders share with ours is the
    sizes and the optimisation.

    The model (Eq. 1-3):
    dimension        d
    dropout          share of entries dropped; dropout_on: one mask an entity, on h ("text"), or one an (entity,
                     region) pair, on the product h * v ("product": official, and the product is then materialised)
    normalise        h and v are L2-normalised before Eq. 3, attended features before Eq. 12
    Multiple instances (Eq. 4-5):
    margin           alpha_1
    mil_sigmoid      sigma in Eq. 4; mil_diagonal: the mean counts S(C, C) = 0 against itself too, as released;
                     mil_padding: padded regions take part in the maximum, as released; mil_decay: weight 1 for epochs 0
                     to 4, then .2 less an epoch
    Teachers (Eq. 9-15):
    fusing           average, expert (CLIP's cosines) or self (a learnt adaptor)
    adaptor_margin   alpha_2; adaptor_weight: lambda of Eq. 15 (counts for "self" alone)
    negatives        what a teacher's target is set against: a "random" attention over the regions, or equal shares on
                     0 to 4 of the teacher's 10 "lowest" regions
    crossed_negatives  each teacher's positive against the other's negative; hinge_sigmoid: sigma before the hinge
    text_gradient    L_adp reaches the text encoder (released: it does not; the paper stops only v~)
    smoothing        share of a target given to the regions without mass
    average_epochs   the average instead of learnt weights in the first epochs
    Optimisation (Adam):
    scheme           a step takes `images` images with at most `entities` entities each for both losses ("images"), or
                     these with at least `least_entities` for MIL and `batch` entities for KD ("entities")
    validate_every   steps between two looks at the validation loss, None: an epoch; the learning rate halves when it
                     has not fallen by .5 % for `patience` looks; validate_mil: L_MIL is part of that loss
    weight_decay     the released 1e-3 goes with h and v of unit length; on the paper's form it shrinks a grounder
                     without teachers to nothing, so ours is a tenth
    accumulate       batches whose mean gradient makes one step of the optimiser; each has its own negatives
    clip             the longest gradient, None: any
    precision        of the forward pass; the weights and the optimiser stay fp32
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    official: bool = False
    dimension: int = Field(768, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    dropout_on: Literal["text", "product"] = "text"
    normalise: bool = False

    margin: float = 0.2
    mil_sigmoid: bool = True
    mil_diagonal: bool = False
    mil_padding: bool = False
    mil_decay: bool = False

    fusing: Literal["average", "expert", "self"] = "expert"
    adaptor_margin: float = 0.2
    adaptor_weight: float = Field(1.0, ge=0)
    negatives: Literal["random", "lowest"] = "random"
    crossed_negatives: bool = False
    hinge_sigmoid: bool = False
    text_gradient: bool = False
    smoothing: float = Field(0.0, ge=0, lt=1)
    average_epochs: int = Field(0, ge=0)

    epochs: int = Field(15, ge=1)
    scheme: Literal["images", "entities"] = "images"
    images: int = Field(24, ge=2)
    entities: int = Field(10, ge=1)
    least_entities: int = Field(6, ge=1)
    batch: int = Field(2048, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    accumulate: int = Field(1, ge=1)
    clip: float | None = Field(None, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    validate_every: int | None = Field(None, ge=1)
    validate_mil: bool = True
    patience: int = Field(1, ge=0)

    wsgm: WsgmConfig = WsgmConfig()
    lsws: LswsConfig = LswsConfig()
    vspnet: VspnetConfig = VspnetConfig()

    @model_validator(mode="before")
    @classmethod
    def _official(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("official"):
            return OFFICIAL | given
        return given
