"""How a grounder is built and trained: one flat table of choices, with the released code's as a named set."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from groundgraph.training.config import OptimConfig

OFFICIAL: dict[str, Any] = {
    "standardise": False,
    "contrast_weight": 0.0,
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
    """What WSGM alone has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(
        0.1, gt=0, description="of the contrast between images and graphs, by which cosines are divided"
    )


class LswsConfig(BaseModel):
    """What LSWS alone has; the released values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refinements: int = Field(4, ge=1, description="refinements of the grounding")
    refinement_weight: float = Field(0.5, ge=0, description="weight of each refinement's loss")
    context_dropout: float = Field(
        0.5, ge=0, lt=1, description="share of the messages between a text graph's entities that is dropped"
    )


class VspnetConfig(BaseModel):
    """What VSPNet alone has.

    Released: states of 1024, 100 nodes, 3 and 3; 16 nodes hold a caption's triplets several times over and cost less.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    states: int = Field(64, ge=1, description="width of a node's state")
    predicates: int = Field(16, ge=1, description="predicate nodes an image")
    rounds: int = Field(3, ge=1, description="rounds of messages")
    alignments: int = Field(3, ge=1, description="turns of the alignment")
    guided: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the epochs, the first ones, in which a head that learns from the "
        "contrast alone helps to align entities (ours, counts with contrast_weight); 0: nodes alone do, as published",
    )


class PairsConfig(BaseModel):
    """What the pair grounder alone has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fusing: Literal["average", "expert", "product"] = Field("product", description="its own `grounding.fusing`")
    width: int = Field(64, ge=1, description="features of a pair of regions")
    rounds: int = Field(
        2, ge=0, description="of messages between the triplets that share an entity; 0: each triplet by itself"
    )
    unknown_weight: float = Field(
        0.0, ge=0, description="of distillation for words that the detector does not know; 0: contrast alone"
    )
    pair_weight: float = Field(1.0, ge=0, description="of the distillation of pairs")
    settle_after: float = Field(
        0.4,
        ge=0,
        description="share of the epochs after which the target of a pair says which can be meant, and the grounder's "
        "own belief which of them is; 1: never",
    )
    related_weight: float = Field(
        0.0,
        ge=0,
        description="of learning which pairs of regions are related at all, which is then part of a pair's score",
    )
    contrast_weight: float = Field(0.5, ge=0, description="of an entity's own image against the batch's others")
    pair_contrast_weight: float = Field(0.3, ge=0, description="of a triplet's own image against the batch's others")
    contrast_triplets: int = Field(64, ge=2, description="triplets of a batch that are contrasted with all images")
    predicate_contrast_weight: float = Field(
        0.0, ge=0, description="of a triplet's own predicate against the batch's others, in its own image"
    )
    contrast_predicates: int = Field(32, ge=2, description="predicates of a batch at most that are so contrasted")


class GroundingConfig(OptimConfig):
    """Every choice of stage 1's training; the defaults are the paper's form, official: true sets the released code's.

    What the other systems' grounders share with the paper's is the sizes and the optimisation.
    """

    official: bool = Field(False, description="the released code's choices; a key that is given stays as given")

    # The model (Eq. 1-3).
    dimension: int = Field(768, ge=1, description="d of Eq. 1-2")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of entries dropped")
    dropout_on: Literal["text", "product"] = Field(
        "text",
        description="one mask an entity, on h, or one an (entity, region) pair, on the product h * v (released; the "
        "product is then materialised)",
    )
    standardise: bool | None = Field(
        None,
        description="embeddings and features less their mean, over their spread (ours; the publications read them as "
        "they are); null: for pairs, and for grounders without a teacher, which differ widely between seeds otherwise",
    )
    contrast_weight: float | None = Field(
        None,
        ge=0,
        description="of telling each entity's own image from the batch's others (ours), beside the other losses; null: "
        "4 for grounders without a teacher, 0 for others; pairs has pairs.contrast_weight",
    )
    normalise: bool = Field(
        False, description="h and v are L2-normalised before Eq. 3, attended features before Eq. 12"
    )

    # Multiple instances (Eq. 4-5).
    margin: float = Field(0.2, description="alpha_1 of Eq. 5")
    mil_sigmoid: bool = Field(True, description="sigma in Eq. 4")
    mil_diagonal: bool = Field(
        False, description="the mean of Eq. 5 counts S(C, C) = 0 against itself too, as released"
    )
    mil_padding: bool = Field(False, description="padded regions take part in the maximum of Eq. 4, as released")
    mil_decay: bool = Field(False, description="weight 1 for epochs 0 to 4, then .2 less an epoch, as released")

    # The teachers (Eq. 9-15).
    fusing: Literal["average", "expert", "self", "product"] = Field(
        "expert",
        description="weights of the teachers: equal, by CLIP's cosines, or by a learnt adaptor (Eq. 12); product, not "
        "in the paper: equal, the object-aware target being multiplied by the sharpened interaction-aware one first",
    )
    product_temperature: float = Field(
        0.125, gt=0, description="that Eq. 8's scores are divided by, once more, in that product: below 1 is sharper"
    )
    adaptor_margin: float = Field(0.2, description="alpha_2 of Eq. 13")
    adaptor_weight: float = Field(1.0, ge=0, description='lambda of Eq. 15, which counts where fusing is "self" alone')
    negatives: Literal["random", "lowest"] = Field(
        "random",
        description="what Eq. 13 sets a teacher's target against: a random attention over the regions, or equal shares "
        "on 0 to 4 of the teacher's 10 lowest regions (released)",
    )
    crossed_negatives: bool = Field(
        False, description="each teacher's positive against the other's negative, as released"
    )
    hinge_sigmoid: bool = Field(False, description="sigma before the hinge of Eq. 13, as released")
    text_gradient: bool = Field(
        False, description="L_adp reaches the text encoder (released: it does not; the paper stops only v~)"
    )
    smoothing: float = Field(0.0, ge=0, lt=1, description="share of a target given to the regions without mass")
    average_epochs: int = Field(
        0, ge=0, description="epochs at the beginning that take the average instead of learnt weights"
    )

    # The optimisation, where it differs from other trainings'.
    epochs: int = Field(15, ge=1, description="passes over the training images")
    batch_size: int = Field(24, ge=2, description="images of a step")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="adam adds weight_decay to the gradient")
    weight_decay: float = Field(
        1e-4,
        ge=0,
        description="the released 1e-3 goes with h and v of unit length; on the paper's form it shrinks a grounder "
        "without teachers to nothing, so this is a tenth",
    )
    schedule: Literal["cosine", "multistep", "plateau"] = Field("plateau", description="of the learning rate")

    # The batches.
    scheme: Literal["images", "entities"] = Field(
        "images",
        description="a step takes batch_size images for both losses, or these for MIL alone and entity_batch_size "
        "entities for KD (released)",
    )
    entities: int = Field(10, ge=1, description="the most entities of an image that a step takes")
    least_entities: int = Field(6, ge=1, description="of scheme entities: MIL's images have at least so many")
    entity_batch_size: int = Field(2048, ge=1, description="of scheme entities: KD's entities of a step")
    validate_mil: bool = Field(True, description="L_MIL is part of the validation loss")

    pairs: PairsConfig = PairsConfig()
    wsgm: WsgmConfig = WsgmConfig()
    lsws: LswsConfig = LswsConfig()
    vspnet: VspnetConfig = VspnetConfig()

    @model_validator(mode="before")
    @classmethod
    def _official(cls, values: Any) -> Any:
        return OFFICIAL | values if isinstance(values, dict) and values.get("official") else values
