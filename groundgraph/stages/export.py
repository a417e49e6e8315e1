"""A finished run's pseudo labels and predicted graphs in other programs' formats, and the authors' files in a run's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundgraph.data.files import check_output
from groundgraph.data.records import read_lines, write_lines
from groundgraph.data.types import AnnotatedImage, Example, PseudoLabels, Regions, Skipped
from groundgraph.data.vocabulary import VG150_OBJECTS, VG150_PREDICATES
from groundgraph.engine import record as manifest
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.formats import (
    ANNOTATION_WRITERS,
    FILE_NAMES,
    PREDICTION_WRITERS,
    PSEUDO_LABEL_WRITERS,
)
from groundgraph.formats.annotated import annotated_image
from groundgraph.formats.pseudo_jsonl import pseudo_line
from groundgraph.formats.ws_sgg import read_results
from groundgraph.grounding import method_of
from groundgraph.grounding.annotations import annotations_of
from groundgraph.grounding.pseudo_labels import pseudo_of, pseudo_record
from groundgraph.grounding.released import released_grounder
from groundgraph.registry import lookup
from groundgraph.stages import artifacts, pseudo_labels, sgg
from groundgraph.stages.preflight import needs
from groundgraph.stages.recipe import run_recipe

FORMATS = {"predictions": PREDICTION_WRITERS, "pseudo-labels": ANNOTATION_WRITERS | PSEUDO_LABEL_WRITERS}
MEASURED = {"json"}  # predictions that `groundgraph evaluate` reads: all proposals; others are for people to look at
IMPORTS = ("pseudo-labels", "grounder")


def export_run(folder: Path, what: str, form: str, out: Path, method: str | None = None) -> dict[str, int]:
    """Write what a run's method made in another program's format.

    Args:
        folder: The run's.
        what: A key of FORMATS.
        form: One of its formats.
        out: A file, or a folder where the form has no name in FILE_NAMES.
        method: Whose, by its grounder's name; None: the recipe's first.

    Returns:
        Counts of what was written.

    Raises:
        InputError: `folder` is no run or has not come that far; the message names the fix.
    """
    if form not in FORMATS.get(what, {}):
        choices = "; ".join(f"{name}: {', '.join(forms)}" for name, forms in FORMATS.items())
        raise InputError(f"{what} are not exported as {form!r}: choose of {choices}")
    run = Run(run_recipe(folder), folder)
    method = method or run.recipe.first_method
    if what == "pseudo-labels" and method in run.recipe.system:
        raise InputError(f"{method} makes no pseudo labels, but graphs by itself: export predictions")
    stage = (pseudo_labels if what == "pseudo-labels" else sgg).stage_of(method)
    if run.record(stage) is None:
        raise InputError(f"{folder}: {method} has no finished stage {stage}; finish the run, or name another method")
    if form in FILE_NAMES:
        check_output(out, _inputs(run, out))
    write = lookup(FORMATS[what], form, "format")
    vocabularies = tuple(vocabulary.names for vocabulary in artifacts.vocabulary(run))
    if what == "predictions" and form in ANNOTATION_WRITERS:
        return write(out, _shown(run, method), vocabularies)
    if what == "predictions":
        names = (example.image_id for example in artifacts.examples(run, run.recipe.measured))
        read = artifacts.graphs if form in MEASURED else artifacts.shown_graphs
        return write(out, zip(names, read(run, method), strict=True), vocabularies)
    rows = _pseudo_labels(run, method)
    if form in PSEUDO_LABEL_WRITERS:
        lines = (pseudo_line(e.image_id, e.path, nouns, p, r, vocabularies) for e, nouns, p, r in rows)
        return write(out, lines)
    images = (annotations_of(e.image_id, e.path, p, r, every=method_of(method).every_match) for e, _, p, r in rows)
    return write(out, images, vocabularies)


def exports() -> list[tuple[str, str, str, str]]:
    """What can be exported: (of what, format, "file" or "folder", the first line of its writer's docstring)."""
    return [
        (what, form, "file" if form in FILE_NAMES else "folder", _first_line(lookup(writers, form, "format")))
        for what, writers in FORMATS.items()
        for form in writers
    ]


def _first_line(writer: Any) -> str:
    return (writer.__doc__ or "").splitlines()[0].rstrip(".,")


def _shown(run: Run, method: str) -> Iterator[AnnotatedImage]:
    """The measured split's graphs as people are shown them, with their pictures' names and sizes."""
    split = run.recipe.measured
    rows = zip(
        artifacts.examples(run, split), artifacts.regions(run, split), artifacts.shown_graphs(run, method), strict=True
    )
    for example, regions, graph in rows:
        yield annotated_image(example.image_id, example.path, regions.size, graph)


def _inputs(run: Run, out: Path) -> list[str | Path]:
    """What a run reads and what it made, as far as `out` may be one of them."""
    outputs = [run.folder / name for name in ("recipe.yaml", "metrics.json", "report.html")]
    inside = [out for parent in out.resolve().parents if (parent / manifest.NAME).is_file()]  # a stage's
    return [need.place for need in needs(run.recipe)] + outputs + inside


def _pseudo_labels(run: Run, method: str) -> Iterator[tuple[Example, list[str], PseudoLabels, Regions]]:
    """The train split's: example, its entities' nouns, their labels, its regions."""
    records = read_lines(run.folder / pseudo_labels.stage_of(method) / "train.jsonl")
    for example, record, regions in zip(
        artifacts.examples(run, "train"), records, artifacts.regions(run, "train"), strict=True
    ):
        nouns = [entity["name"] for entity in record["entities"]]
        yield example, nouns, pseudo_of(record, len(regions)), regions


def import_official(what: str, source: Path, out: Path, skipped: Skipped) -> dict[str, Any]:
    """Read a file that the authors released, and write it as a run has it.

    Args:
        what: "pseudo-labels": a pickle of grounding results under VG150's numbers -> JSON lines as
            RUN/pseudo-METHOD/train.jsonl; "grounder": grounder_best.pth -> a folder as RUN/grounding-METHOD.
        source: The authors' file.
        out: The file or folder to write.
        skipped: Gets what could not be used.

    Returns:
        Counts of what was written.

    Raises:
        InputError: Names the file and the fix.
    """
    if what == "grounder":
        weights = out / "model.safetensors"
        if weights.exists() and not (out / "grounder.json").exists():
            raise InputError(f"{weights}: another model's, and would be written over; name a new folder")
        grounder = released_grounder(source)
        out.mkdir(parents=True, exist_ok=True)
        grounder.save(out)
        return {"parameters": sum(p.numel() for p in grounder.model.parameters())}
    if what != "pseudo-labels":
        raise InputError(f"{what!r} is not imported: choose of {', '.join(IMPORTS)}")
    check_output(out, [source])
    results = read_results(source, len(VG150_OBJECTS), len(VG150_PREDICATES), skipped=skipped)
    out.parent.mkdir(parents=True, exist_ok=True)
    names = ("", *VG150_OBJECTS.names)
    records = (pseudo_record(name, p, [names[c + 1] for c in p.categories.tolist()]) for name, p in results.items())
    return {
        "images": write_lines(out, records),
        "entities": sum(len(p.categories) for p in results.values()),
        "triplets": sum(len(p.triplets) for p in results.values()),
    }
