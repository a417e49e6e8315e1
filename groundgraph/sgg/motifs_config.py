"""The choices of Neural Motifs: sizes, and what the paper, the released code and this project do differently."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from groundgraph.errors import InputError
from groundgraph.sgg.pairs import UnionKind


class MotifsConfig(BaseModel):
    """Sizes and parts of Motifs; the defaults fit MiniGenome."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(
        128,
        gt=0,
        multiple_of=2,
        description="width of a region's contexts and of the decoder (released 512)",
    )
    lstm_width: int | None = Field(
        None,
        gt=0,
        description="width of one direction of a context LSTM (released 512); a linear layer takes both directions "
        "to hidden; null: hidden / 2, and no such layer",
    )
    pair: int = Field(256, gt=0, description="width of a pair (released 1536)")
    embedded: int = Field(64, gt=0, description="width of the embeddings of labels and of geometry (released 200)")
    layers: int = Field(1, gt=0, description="layers of each context LSTM (released 1)")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of entries dropped (released .2)")
    dropout_on: Literal["all", "decoder"] = Field(
        "all",
        description="all: regions, states and pairs; decoder: its states alone, all of a sequence alike, as released "
        "(needs decoder: highway)",
    )
    order: Literal["confidence", "left-right", "right-left", "size", "random"] = Field(
        "confidence",
        description="of the regions in the LSTMs: by the detector's score, by their centres from left to right or from "
        "right to left (as released), the largest first, or random (drawn anew at each step of training, fixed at "
        "inference)",
    )
    features: Literal["projected", "raw"] = Field(
        "projected",
        description="regions' features in the LSTMs: taken to hidden by a layer first, or as they are (as released)",
    )
    geometry: Literal["linear", "batch-norm"] = Field(
        "linear",
        description="what embeds a box: one layer, or two with a batch normalisation between (as released, 128 wide); "
        "that one makes the numbers of a step depend on how its images are divided",
    )
    decoder: Literal["lstm", "highway"] = Field(
        "lstm",
        description="what decodes labels: an LSTM, or a highway LSTM that reads a background region's best category "
        "(as released; trains step by step)",
    )
    decoder_features: bool = Field(True, description="the decoder sees the region beside its context, as published")
    relation: Literal["product", "sum"] = Field(
        "product",
        description="a pair of two regions' states: the product of a layer of each, which sees labels too (after the "
        "paper), or one linear layer on their concatenation (as released), which is a sum of a layer of each",
    )
    nms_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="IoU of the suppression of labels at inference, before the edge context reads them: a box keeps no "
        "label of a surer box that overlaps it so far (published .3); null: each region's own best (as released)",
    )
    union: UnionKind = Field(
        "spatial",
        description="what a pair's boxes add to it: nothing (as in the released weakly supervised runs), their "
        "geometry, or the detector's feature of the box around both as well (as published; needs a detector that can "
        "pool given boxes)",
    )
    frequency_bias: bool = Field(
        False,
        description="add the log frequency of the predicates between two labels, counted on the pseudo labels, to the "
        "predicate logits (published; off in the released weakly supervised runs)",
    )
    checkpoint: str | None = Field(
        None,
        description="a checkpoint of the released code to start from (model_final.pth); needs its choices, which "
        "the recipe official-release has",
    )

    @model_validator(mode="after")
    def _fits(self) -> MotifsConfig:
        if self.dropout_on == "decoder" and self.decoder != "highway":
            raise InputError("dropout_on: decoder is of the highway decoder: set decoder to highway too")
        return self
