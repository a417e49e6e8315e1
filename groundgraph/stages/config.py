"""The parts of a recipe that belong to no package of their own: every key with what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    create_model,
    model_validator,
)

from groundgraph.errors import InputError
from groundgraph.evaluation.recall import CONVENTIONS
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.inference import InferenceConfig
from groundgraph.sgg.training import TrainingConfig
from groundgraph.sgg.unions import reads_unions
from groundgraph.stages.strict import Strict
from groundgraph.systems import SYSTEMS
from groundgraph.vision import DETECTORS

DetectorKind = Literal[tuple(DETECTORS)]  # type: ignore[valid-type]


def as_tuple(value: Any) -> Any:
    """One name as a tuple of one."""
    return (value,) if isinstance(value, str) else value


class TextConfig(Strict):
    """What embeds entities."""

    model: str = Field("bundled:text", description="bundled:text, a hub id, a local folder, or package:NAME")
    pool: Literal["head", "phrase"] = Field(
        "head", description="whose pieces are averaged: the head noun's or the phrase's"
    )


class DetectorConfig(Strict):
    """What proposes an image's regions, and how many of its best are kept."""

    kind: DetectorKind = Field(
        "torchvision",
        description="torchvision, transformers, open-vocabulary (a model); precomputed (an npz file), sgnls (a folder "
        "of SGNLS's released OpenImages detections), or another reader of regions; detections (a file of boxes, labels "
        "and scores) and annotated (the data's own boxes, in random order), which look at no picture: a region's "
        "features are its category's text embedding and its place",
    )
    model: str = Field(
        "bundled:detector", description="bundled:detector, a folder, a hub id, torchvision's own name; or the regions"
    )
    also: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = Field(
        (), description="more files or folders of that kind, for images that `model` has no regions of"
    )
    regions: int = Field(36, ge=2, description="regions kept an image")
    features: str = Field(
        "detector",
        description="detector: as it describes a region itself; map: pooled from its own feature map; else a backbone "
        "that all regions are pooled from (torchvision:resnet50, or a transformers vision folder or hub id)",
    )
    known_categories: Annotated[int, Field(ge=1)] | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None,
        description="a detector that knows fewer: how many of its categories are left (the first by the CRC-32 of "
        "their names, so that the 10 are among the 20), or which; regions of the others stay, without a label",
    )
    label_noise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="a detector that errs more: share of the labels left that become another category, drawn by seed",
    )
    store: Literal["float32", "float16"] = Field(
        "float32", description="what features are kept in: float16 takes half the room and keeps three digits"
    )
    prompt: Literal["nouns", "vocabulary"] = Field(
        "nouns",
        description="what an open-vocabulary detector looks for: the nouns of the image's own captions (in images that "
        "have none, the vocabulary), or the evaluation vocabulary in all",
    )


class NovelConfig(Strict):
    """Names of the vocabulary that are withheld from supervision."""

    categories: tuple[str, ...] = Field((), description="withheld: no entity of them is trained on")
    predicates: tuple[str, ...] = Field((), description="withheld: no triplet with them is trained on")


class AlignmentConfig(Strict):
    """How the words of the captions that train become names of the vocabulary."""

    kind: Literal["wordnet", "text", "llm"] = Field(
        "wordnet",
        description="wordnet: as everywhere; text: the name of the likest embedding; llm: the parser's language model "
        "says which, WordNet where it does not",
    )
    model: str = Field("package:all_minilm_l6_v2", description="of text: what embeds words, as text.model")
    threshold: float = Field(
        0.6, ge=-1, le=1, description="of text: the least cosine of a word's and a name's embedding"
    )


class VocabularyConfig(Strict):
    """The evaluation vocabulary."""

    name: Literal["minigenome", "vg150", "vrd", "data", "induced"] = Field(
        "minigenome",
        description="minigenome, vg150, vrd (the names in the data's folder, where they are there), data: those that "
        "the data's files list, else the most frequent of the training images' annotations; or induced: visible things "
        "and relations that captions say",
    )
    categories: int = Field(
        150, ge=1, description="of an induced one, or one of data that list none: categories at most"
    )
    predicates: int = Field(
        50, ge=1, description="of an induced one, or one of data that list none: predicates at most"
    )
    minimum: int = Field(
        2,
        ge=1,
        description="of an induced one: images whose captions say a word, or half as many, if the detector knows it",
    )
    novel: NovelConfig = NovelConfig()
    alignment: AlignmentConfig = AlignmentConfig()


class PseudoLabelConfig(Strict):
    """What an entity's regions become."""

    kind: Literal["hard", "soft"] = Field(
        "hard",
        description="hard: a training step draws one of them; soft: all count at once, weighted by softmax(a_i), as "
        "label distributions",
    )
    top: int | None = Field(3, ge=1, description="how many an entity keeps (the paper: 3); null: all of the image")
    stored: int | None = Field(
        None, ge=1, description="how many are written down, where more than are trained on (released: 5)"
    )
    draw: Literal["uniform", "score"] = Field("uniform", description="each equally likely (the paper) or by its score")

    @model_validator(mode="after")
    def _enough(self) -> PseudoLabelConfig:
        if self.stored and (self.top is None or self.stored < self.top):
            raise InputError("stored counts what is written down beyond top: make it larger than top, or null")
        return self


class EvaluationConfig(Strict):
    """How the measured images' graphs are measured."""

    convention: Literal[CONVENTIONS] = Field(  # type: ignore[valid-type]
        "default",
        description="default and sgb differ in images without a predicted pair, see `groundgraph evaluate`; vrd: VRD's "
        "tasks too, recall pooled over all relations",
    )


SystemsConfig = create_model(
    "SystemsConfig",
    __base__=Strict,
    __doc__="The systems: sizes, parts and training of each; those that `system` does not name count for nothing.",
    **{name: (system.model.Config, system.model.Config()) for name, system in SYSTEMS.items()},
)

_ModelConfigs = create_model(  # a key of a model's name with its settings, for each
    "_ModelConfigs",
    __base__=Strict,
    model=(
        Literal[tuple(SGG_MODELS)],
        Field("motifs", description="which is trained; the other's settings count for nothing"),
    ),
    **{name: (kind.Config, kind.Config()) for name, kind in SGG_MODELS.items()},
)


class SggConfig(_ModelConfigs):
    """The scene-graph model: which is trained, how, and what is measured."""

    heads: Literal["open", "closed"] = Field(
        "closed",
        description="what scores names: closed, a row of weights each; open, their text features, so that a finished "
        "run finds other names too (`groundgraph predict --categories`)",
    )
    names: Literal["text", "image-text"] = Field(
        "text", description="whose text features open heads read: text.model's or teachers.expert.model's"
    )
    language_prior: str | None = Field(
        None,
        description="a masked language model (bundled:text, a BERT's hub id or folder) that tells open heads what is "
        "usual between two things, of predicates that no caption taught them too; null: none",
    )
    unseen_bonus: float = Field(
        1.0,
        ge=0,
        description="added to open heads' logits of predicates that training did not have, which a model thinks less "
        "likely than they are",
    )
    start: Literal["none", "detector", "image-text"] = Field(
        "none",
        description="what the model's object scores start from: none: everything is learnt (as published); detector: "
        "its category, as far as the vocabulary has words for it, so that a few photos make nothing worse; image-text: "
        "that, and teachers.expert's model for names that no category of the detector goes by",
    )
    tasks: tuple[Literal["predcls", "sgcls"], ...] = Field(
        (), description="measured besides SGDet: boxes are given, and the detector pools their features"
    )
    reweight: bool = Field(
        False,
        description="a relation's loss times the median of the predicates' numbers over its own predicate's, so that "
        "rare ones count as much (LLM4SGG); of systems too",
    )
    training: TrainingConfig = TrainingConfig()
    inference: InferenceConfig = InferenceConfig()

    @model_validator(mode="after")
    def _names_can_change(self) -> SggConfig:
        if self.heads == "open" and getattr(self.chosen, "frequency_bias", False):
            raise InputError(
                f"sgg.{self.model}.frequency_bias counts names, and open heads have names of any kind: take heads "
                "closed, or leave the bias out"
            )
        if self.language_prior and self.heads == "closed":
            raise InputError("sgg.language_prior is for heads that know names by their words: set sgg.heads to open")
        return self

    @property
    def needs_expert(self) -> bool:
        """Whether an image-text model reads names or looks at regions."""
        return self.start == "image-text" or (self.heads == "open" and self.names == "image-text")

    @property
    def pools_boxes(self) -> bool:
        """Whether the detector has to pool given boxes: annotated ones, or those around pairs."""
        return bool(self.tasks) or reads_unions(self.chosen)

    @property
    def chosen(self) -> BaseModel:
        """The configuration of the model that is trained."""
        return getattr(self, self.model)
