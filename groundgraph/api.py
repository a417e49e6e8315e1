"""The package from Python in seven functions; `groundgraph.run`, `.load`, `.parse` and so on are these."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from rich.markup import escape

from groundgraph.data.types import ParsedCaption
from groundgraph.engine.execute import execute
from groundgraph.engine.executors import open_executor
from groundgraph.engine.folder import default_folder
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.evaluation.files import evaluate_files as evaluate
from groundgraph.language import load_parser
from groundgraph.pretrained.loading import load
from groundgraph.pretrained.packing import pack as write_pack
from groundgraph.pretrained.packing import run_parts
from groundgraph.stages import stages
from groundgraph.stages.export import export_run
from groundgraph.stages.own_photos import open_recipe
from groundgraph.stages.preflight import require
from groundgraph.stages.report import publish
from groundgraph.system import cores
from groundgraph.terminal import Console
from groundgraph.training.processes import launch

__all__ = ["RunResult", "evaluate", "export", "load", "open_run", "pack", "parse", "run"]

Settings = Mapping[str, Any] | Sequence[str]


@dataclass(frozen=True)
class RunResult:
    """What a run leaves.

    Attributes:
        folder: Holds every stage's artifacts, `metrics.json` and `report.html`.
        stages: Names of the stages that were computed; those done before are not among them.
        skipped: (image or file, cause) of what could not be used.
    """

    folder: Path
    stages: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures of every method, as fractions of 1, as `metrics.json` has them."""
        return json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))


@contextmanager
def open_run(
    recipe: str | Path,
    settings: Settings = (),
    out: str | Path | None = None,
    *,
    device: str | None = None,
    engine: str | None = None,
    address: str | None = None,
    jobs: int | None = 1,
    console: Console | None = None,
    fast: bool = False,
) -> Iterator[Run]:
    """A run that is ready and not begun, for a `with` block; its parameters are those of `run`."""
    if isinstance(settings, Mapping):
        settings = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
    loaded = open_recipe(str(recipe), [*settings, *([] if device is None else [f"device={device}"])], fast)
    folder = Path(out) if out is not None else default_folder(loaded, str(recipe))
    work = Run(loaded, folder, console or Console(), processes=launch(loaded.device))
    work.jobs = _jobs(jobs, engine, work)
    with open_executor(engine, address) as work.executor:
        yield work


def _jobs(jobs: int | None, engine: str | None, run: Run) -> int:
    """How many processes do a run's stages."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing's own check has it
        raise InputError(
            "a process that a run started has read its program from the top and came to the run again: put the call "
            'under `if __name__ == "__main__":`, or give --jobs 1'
        )
    if jobs is None:
        alone = engine is not None or run.processes.world > 1 or run.device.type != "cpu"
        return 1 if alone else cores()
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: 1 or more processes")
    if jobs > 1 and engine is not None:
        raise InputError(f"--jobs {jobs} with --engine {engine}, which has workers of its own: leave one of them out")
    if jobs > 1 and run.processes.world > 1:
        raise InputError(f"--jobs {jobs} under torchrun, which has started its processes: leave --jobs out")
    return jobs


def run(
    recipe: str | Path = "demo",
    settings: Settings = (),
    out: str | Path | None = None,
    *,
    device: str | None = None,
    engine: str | None = None,
    address: str | None = None,
    jobs: int | None = 1,
    console: Console | None = None,
    fast: bool = False,
) -> RunResult:
    """Run a recipe: from captions and images to a trained scene-graph generator, its figures and a report.

    Stages that are done and unchanged are skipped, so the same call goes on with a run that was broken off.

    Args:
        recipe: A recipe file, a bundled recipe's name, or a folder of photos with one captions file.
        settings: Keys of the recipe to change: `{"data.train": 500}`, or `["data.train=500"]`.
        out: The run's folder; `runs/NAME` where it is None.
        device: Where models run: auto, cpu, cuda, cuda:N or mps; None: as the recipe has it.
        engine: "ray" for regions, text and teachers by Ray; None: this process.
        address: The Ray cluster; None: one on this machine.
        jobs: Processes of one thread each that do stages, and slices of images, side by side, with the same figures
            however many; None: one a core, or where models run on a GPU one alone. More than one start as
            `multiprocessing`'s do: call it under `if __name__ == "__main__":`, and what your program registers at its
            top they know.
        console: Where progress is shown; None: on standard output.
        fast: Of a folder of photos: without the interaction-aware teacher, by a smaller detector.

    Raises:
        InputError: Names the file or key, the cause and the fix, where something given cannot be used.
    """
    options = {"device": device, "engine": engine, "address": address, "jobs": jobs, "console": console}
    with open_run(recipe, settings, out, **options, fast=fast) as work:
        if work.recipe.note:
            work.console.print(escape(work.recipe.note))
        require(work)
        computed = execute(work, stages(work.recipe))
    work.processes.leave()
    if work.processes.first:
        publish(work, work.folder / "report")  # done before, but perhaps deleted since
    return RunResult(work.folder, tuple(computed), tuple(work.skipped.items))


def pack(
    run: str | Path, out: str | Path, method: str | None = None, *, half: bool = False, onnx: bool = False
) -> dict[str, int]:
    """Pack a finished run's model into a folder of its own, which `load`, another machine or the hub takes.

    Args:
        run: The run's folder.
        out: The folder to write.
        method: Whose model, by its grounder's name; None: the recipe's first.
        half: Weights as float16.
        onnx: Also as ONNX, in its folder `onnx`, as float32; what cannot be is listed in the manifest there, with why.

    Returns:
        The sizes of its files in bytes, by name.

    Raises:
        InputError: Where `run` is no finished run, its regions come from a file, or `out` holds something else; where
            ONNX is asked for and the extra `onnx` is not installed.
    """
    also = None
    if onnx:
        from groundgraph.pretrained.onnx.folder import write_onnx as also
        from groundgraph.pretrained.onnx.graph_file import require_onnx

        require_onnx()  # before the work
    return write_pack(run_parts(Path(run), method), Path(out), half, also)


def export(
    run: str | Path, out: str | Path, format: str, what: str = "predictions", method: str | None = None
) -> dict[str, int]:
    """Write a finished run's graphs, or its pseudo labels, in another program's format.

    Args:
        run: The run's folder.
        out: The file or folder to write.
        format: As `groundgraph export --list` has them: coco, jsonl, graphml, fiftyone, rdf, neo4j and others.
        what: "predictions", the measured images' graphs; or "pseudo-labels", the training images'.
        method: Whose, by its grounder's name; None: the recipe's first.

    Returns:
        Counts of what was written: "images", "relations" and others.

    Raises:
        InputError: There is no such format, the run is not finished, or `out` holds something else.
    """
    return export_run(Path(run), what, format, Path(out), method)


@overload
def parse(captions: str) -> ParsedCaption: ...
@overload
def parse(captions: Sequence[str]) -> list[ParsedCaption]: ...
def parse(captions: str | Sequence[str]) -> ParsedCaption | list[ParsedCaption]:
    """The entities and triplets of a caption, or of each of several, by the bundled parser."""
    parsed = load_parser("rules").parse([captions] if isinstance(captions, str) else list(captions))
    return parsed[0] if isinstance(captions, str) else parsed
