"""What a run is made of, as a recipe: one readable YAML file, every key checked."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from groundgraph.data.sources.config import DATA_PARTS, Data
from groundgraph.errors import InputError
from groundgraph.grounding import Method, method_of
from groundgraph.grounding.config import GroundingConfig
from groundgraph.models.device import DEVICES, Precision
from groundgraph.registry import lookup
from groundgraph.sgg.unions import reads_unions
from groundgraph.stages.config import (
    DetectorConfig,
    EvaluationConfig,
    PseudoLabelConfig,
    SggConfig,
    SystemsConfig,
    TextConfig,
    VocabularyConfig,
    as_tuple,
)
from groundgraph.stages.explain import explain, setting_of
from groundgraph.stages.inherit import BUNDLED, RecipeError, apply_setting, read_recipe
from groundgraph.stages.old_keys import OLD_KEYS
from groundgraph.stages.parsers import PARSER_CONFIGS, Parser
from groundgraph.stages.places import MODEL_DETECTORS, anchor
from groundgraph.stages.strict import Strict
from groundgraph.stages.teacher_config import InteractionConfig, PhraseConfig, TeacherConfig
from groundgraph.systems import SYSTEMS
from groundgraph.vision import can_pool

KINDS = DATA_PARTS | PARSER_CONFIGS  # of data and of parsers -> what that part of a recipe may say


def _system(name: str) -> Method:
    return lookup(SYSTEMS, name, "system")


def _once(find: Callable[[str], Method], names: tuple[str, ...]) -> tuple[str, ...]:
    if len({find(name) for name in names}) < len(names):
        raise InputError("one is named twice: name each once")
    return names


class Recipe(Strict):
    """A whole run."""

    # It names the run's folder: nothing that leads elsewhere.
    name: str = Field(pattern=r"^[\w.+ -]*\w$", description="of the run, and of its folder in runs/")
    note: str = Field("", description="what this recipe is, in a sentence")
    paper: dict[Literal["R@20", "R@50", "R@100", "mAP50"], float] = Field(
        {},
        description="what the paper reports for this run's first method, in per cent, shown beside its own",
    )
    data: Data
    parser: Parser = PARSER_CONFIGS["rules"]()
    text: TextConfig = TextConfig()
    detector: DetectorConfig = DetectorConfig()
    teachers: TeacherConfig = TeacherConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    grounder: Annotated[tuple[str, ...], BeforeValidator(as_tuple), AfterValidator(partial(_once, method_of))] = Field(
        ("two-teachers",),
        min_length=1,
        description="one name or several, each with a scene-graph model of its own trained on its labels: two-teachers "
        "(the paper's method), sgnls, detector, wsgm, lsws, vspnet, mil; or full, no grounder: its model is trained on "
        "annotated boxes, the fully supervised upper bound",
    )
    system: Annotated[tuple[str, ...], BeforeValidator(as_tuple), AfterValidator(partial(_once, _system))] = Field(
        (),
        description=f"one or several of {', '.join(SYSTEMS)}, which generate scene graphs themselves, in the place of "
        "grounder, pseudo_labels and scene-graph model; of sgg then inference, tasks and reweight count",
    )
    systems: SystemsConfig = SystemsConfig()
    grounding: GroundingConfig = GroundingConfig()
    pseudo_labels: PseudoLabelConfig = PseudoLabelConfig()
    sgg: SggConfig = SggConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    device: str = Field(
        "auto",
        pattern=f"^({DEVICES})$",
        description="where all models run: auto (a GPU where there is one), cpu, cuda, cuda:N or mps; a stage that is "
        "done stays done on another device",
    )
    precision: Precision = Field(
        "auto",
        description="of the experts' forward pass: auto is bf16 (fp16 on old GPUs) on a GPU, fp32 elsewhere; trainings "
        "have keys of their own",
    )
    seed: int = Field(0, description="of everything that is drawn at random")

    @model_validator(mode="before")
    @classmethod
    def _official(cls, raw: Any) -> Any:
        """grounding.official is the released scale of Eq. 7 too; a key that is given stays as given."""
        grounding, teachers = (raw.get(key, {}) if isinstance(raw, dict) else {} for key in ("grounding", "teachers"))
        interaction = teachers.get("interaction", {}) if isinstance(teachers, dict) else None
        if not (isinstance(grounding, dict) and grounding.get("official") and isinstance(interaction, dict)):
            return raw
        return raw | {"teachers": teachers | {"interaction": {"area": "pixels"} | interaction}}

    @model_validator(mode="after")
    def _whole(self) -> Recipe:
        if self.needs_expert and self.teachers.expert is None:
            raise InputError(
                "grounding.fusing is expert, but teachers.expert is null: name a model there, or fuse by average"
            )
        labelled = not reads_unions(self.sgg.chosen) and "sgcls" not in self.sgg.tasks
        if self.sgg.needs_expert and self.teachers.expert is None:
            raise InputError("sgg.start or sgg.names is image-text, but teachers.expert is null: name a model there")
        if self.sgg.pools_boxes and not can_pool(self.detector.kind, self.detector.features, labelled):
            what = "sgg.tasks" if self.sgg.tasks else f"sgg.{self.sgg.model}.union: visual"
            raise InputError(
                f"{what} needs a detector that can pool given boxes, and kind {self.detector.kind} has features only "
                "for its own: set detector.features to a backbone (torchvision:resnet50), or take kind torchvision"
            )
        if self.data.pictureless and (looks := self._looks_at_pictures()):
            raise InputError(
                f"{looks} looks at pictures, and data.images is null: name their folder there, or go without: kind "
                "annotated or detections, teachers: {interaction: null, expert: null}, fusing: average"
            )
        return self

    def _looks_at_pictures(self) -> str:
        """The first key that names something that opens pictures, "" where nothing does."""
        if self.detector.kind in MODEL_DETECTORS or self.detector.features != "detector":
            return "detector"
        if self.phrase and self.phrase.model:
            return "teachers.phrase"
        return "teachers.interaction" if self.interaction else ""

    @property
    def methods(self) -> dict[str, Method]:
        """The systems, or else the grounders and full supervision, by their names here, in order."""
        if self.system:
            return {name: _system(name) for name in self.system}
        return {name: method_of(name) for name in self.grounder}

    @property
    def first_method(self) -> str:
        """The method that is shown, exported and loaded where none is named."""
        return next(iter(self.methods))

    @property
    def taught(self) -> bool:
        """Whether a grounder learns from teachers."""
        return any(method.taught for method in self.methods.values())

    @property
    def interaction(self) -> InteractionConfig | None:
        """The interaction-aware teacher, where a grounder is taught by it."""
        return self.teachers.interaction if self.taught else None

    @property
    def phrase(self) -> PhraseConfig | None:
        """The teacher of phrases, where a grounder is taught by it."""
        return self.teachers.phrase if self.taught else None

    @property
    def needs_teachers(self) -> bool:
        """Whether a teacher is asked."""
        return self.taught and (self.teachers.object or bool(self.interaction or self.phrase))

    @property
    def several_teachers(self) -> bool:
        """Whether a grounder is taught by more than one."""
        return self.taught and self.teachers.object + bool(self.interaction) + bool(self.phrase) > 1

    @property
    def needs_expert(self) -> bool:
        """Whether an image-text model weighs the teachers."""
        return self.several_teachers and "expert" in self.fusings.values()

    @property
    def fusings(self) -> dict[str, str]:
        """How each grounder that is taught fuses the teachers, by its name."""
        return {name: method.fusing(self.grounding) for name, method in self.methods.items() if method.fusing}

    @property
    def needs_text(self) -> bool:
        """Whether a grounder learns from the words' embeddings."""
        return any(method.learns for method in self.methods.values())

    @property
    def splits(self) -> tuple[str, ...]:
        """What images there are; photos of one's own are all trained on."""
        return self.data.splits

    @property
    def measured(self) -> str:
        """The split that figures are measured on."""
        return self.splits[-1]

    @property
    def scored(self) -> tuple[str, ...]:
        """The splits that a grounder scores: what is trained on, and what is measured."""
        return tuple(dict.fromkeys(("train", self.measured)))

    @property
    def taught_splits(self) -> tuple[str, ...]:
        """The splits that teachers are asked about: all but the measured one of a data set that has others."""
        return tuple(split for split in self.splits if split == "train" or split != self.measured)

    @property
    def data_set(self) -> str:
        """What data it is on, in words: a run's folder belongs to one data set."""
        return self.data.data_set

    def data_set_of(self, path: Path) -> str:
        """The data set of a recipe's file."""
        return load_recipe(path).data_set

    def yaml(self) -> str:
        """The recipe as a file, every default spelled out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def bundled_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """A recipe's file: a path, else the bundled one of that name ("own-photos" or "recipes/own-photos.yaml").

    Raises:
        RecipeError: There is neither; the message has the names most like it.
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
    """Read a recipe and change some of its keys.

    Args:
        path: Its file, which the relative paths in it are relative to.
        settings: "a.b=value", the value being YAML; paths are relative to the current folder.

    Returns:
        The recipe; its paths are absolute.

    Raises:
        RecipeError: Bad YAML, an unknown key, or a value of the wrong kind; the message names file, key and fix.
    """
    raw = read_recipe(path, find_recipe)
    for setting in settings:
        apply_setting(raw, setting)
    anchor(raw, Path(), raw)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        lines = [f"{setting_of(e, settings) or path}: {explain(e, Recipe, KINDS, OLD_KEYS)}" for e in error.errors()]
        raise RecipeError("\n".join(lines)) from error


def run_recipe(folder: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """The recipe of a run.

    Args:
        folder: The run's.
        settings: Keys to change, as of `load_recipe`.

    Raises:
        InputError: The folder is no run's.
    """
    place = Path(folder) / "recipe.yaml"
    if not place.is_file():
        what = "no run's folder (it holds no recipe.yaml)" if place.parent.is_dir() else "no such folder"
        raise InputError(f"{os.path.abspath(folder)}: {what}; give the folder that `groundgraph run` wrote")
    return load_recipe(place, settings)
