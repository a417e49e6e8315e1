"""What a recipe needs before it runs: which files and models are here, which are not, and where to get them."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.sources import open_source
from groundgraph.data.sources.needs import Need
from groundgraph.errors import InputError
from groundgraph.experts import resolve
from groundgraph.pipeline.config import Recipe
from groundgraph.pipeline.run import Run
from groundgraph.pipeline.stage import fingerprints
from groundgraph.pipeline.stages import stages

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
_WEIGHTS = {".pth", ".pt", ".bin", ".safetensors"}
_LOOKERS = ("torchvision", "transformers", "open-vocabulary")  # detectors that are a model, not a file of regions


def needs(recipe: Recipe) -> list[Need]:
    """Everything that a run of the recipe reads and does not make itself, the data first."""
    found = open_source(recipe.data, Path()).needs()
    looks = recipe.detector.kind in _LOOKERS
    for model in (recipe.detector.model, *recipe.detector.also):
        found.append(_model("detector", model) if looks else _file("regions", model))
    if recipe.detector.kind == "torchvision" and not _here(recipe.detector.model):
        found.pop()  # one of torchvision's own names, which it fetches itself
    found.append(_model("text encoder", recipe.text.model))
    teachers = recipe.teachers
    if teachers.interaction:
        found.append(_model("vision-language model", teachers.interaction.model))
        if Path(teachers.interaction.model).suffix in _WEIGHTS:
            found.append(_model("its tokenizer", teachers.interaction.tokenizer or "bert-base-uncased"))
    if recipe.asks_expert:
        found.append(_model("image-text model", teachers.expert.model))
    if recipe.sgg.model == "uniter" and recipe.sgg.uniter.checkpoint:
        found.append(_file("UNITER's weights", recipe.sgg.uniter.checkpoint))
        found.append(_model("UNITER's tokenizer", recipe.sgg.uniter.tokenizer))
    return list({(need.what, need.place): need for need in found}.values())


def require(recipe: Recipe) -> None:
    """Raise ValueError naming all that is missing and cannot be fetched by itself, before hours are spent."""
    missing = [need for need in needs(recipe) if not need.hub and not need.present]
    if missing:
        lines = [f"{n.place}: missing ({n.what})" + (f"; from {n.origin}" if n.origin else "") for n in missing]
        raise InputError("\n".join(lines))


def dry_run(run: Run) -> list[tuple[str, bool]]:
    """The stages of a run in order, each with whether it is done and unchanged. Computes and writes nothing."""
    marks = fingerprints(stages(run.recipe))
    records = {name: run.record(name) for name in marks}
    return [(name, bool(records[name]) and records[name]["fingerprint"] == mark) for name, mark in marks.items()]


def count_supervision(run: Run) -> dict[str, int]:
    """Run the stages up to the concept map in the run's folder (the run itself then skips them) and give its counts."""
    run.execute([stage for stage in stages(run.recipe) if stage.name in COUNTING])
    counts = run.record("examples")["counts"] | run.record("concepts")["counts"]
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def _here(model: str) -> bool:
    return Path(model).expanduser().exists() or model.partition(":")[0] in ("bundled", "package")


def _file(what: str, place: str) -> Need:
    return Need(what, place, *PUBLISHED.get(Path(place).name, ()))


def _model(what: str, model: str) -> Need:
    """A model by its name: bundled or a package's, a file or folder, else an id of the hub."""
    path = Path(model).expanduser()
    if model.partition(":")[0] in ("bundled", "package"):
        try:
            return Need(what, resolve(model))
        except ValueError as error:
            return Need(what, model, str(error))
    if path.exists() or path.suffix in _WEIGHTS or model.startswith((".", "/", "~")) or model.count("/") > 1:
        return _file(what, model)
    origin, size = PUBLISHED.get(model, ("Hugging Face hub", ""))
    return Need(what, model, f"the {origin}, by itself when it is first used", size, hub=True)
