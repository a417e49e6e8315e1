"""The command line: `groundgraph demo`, `run`, `predict`, `parse`, `evaluate`, `experts train` and others."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from groundgraph.errors import InputError
from groundgraph.terminal import Console, print_anywhere, print_json, visible

app = typer.Typer(help=__doc__, invoke_without_command=True, no_args_is_help=True, pretty_exceptions_enable=False)
experts = typer.Typer(help="The bundled experts.", no_args_is_help=True)
app.add_typer(experts, name="experts")
data = typer.Typer(help="The data that recipes read.", no_args_is_help=True)
app.add_typer(data, name="data")
console = Console()
_ENDS = typer.Exit, typer.Abort, typer.BadParameter  # how a command ends by itself
ISSUES = "https://github.com/groundgraph/groundgraph/issues"

Setting = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key of the recipe: data.train=500. Repeatable.")
]

Device = Annotated[
    str | None, typer.Option(help="Where models run: auto (a GPU where there is one), cpu, cuda, cuda:N, mps.")
]


@app.callback()
def main(
    shown: Annotated[bool, typer.Option("--version", help="Show the version and end.", is_eager=True)] = False,
) -> None:
    print_anywhere()
    if shown:
        typer.echo(version("groundgraph"))
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/demo"),
    setting: Setting = None,
    device: Device = None,
) -> None:
    """The whole method on a part of MiniGenome, in minutes: captions in, scene graphs out."""
    _execute("demo", out, setting, device)


@app.command()
def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe file, a bundled one's name (see `groundgraph recipes`), or a folder of photos with captions."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/NAME by default, a data set's own.")] = None,
    setting: Setting = None,
    device: Device = None,
    dry_run: Annotated[
        bool, typer.Option(help="Only say what would run, how long and large, what is missing.")
    ] = False,
    engine: Annotated[
        str | None, typer.Option(help="ray: regions, text and teachers by Ray Data, on all cores or a cluster.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="The Ray cluster, by default one on this machine.")] = None,
) -> None:
    """Run a recipe; stages that are done and unchanged are skipped."""
    _execute(recipe, out, setting, device, dry_run, engine, address)


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, finished or not.")],
    verify: Annotated[bool, typer.Option(help="Read every file and compare its checksum.")] = False,
) -> None:
    """What of a run is done, running, stopped, failed or damaged, and the command that goes on with it."""
    with _errors():
        from groundgraph.engine.status import show_status

        if not show_status(console, folder, verify):
            raise typer.Exit(1)


@app.command()
def recipes() -> None:
    """List the bundled recipes, with the paper's figures beside those of your runs (runs/NAME/metrics.json)."""
    from groundgraph.cli.show import show_recipes

    show_recipes(console, Path("runs"))


@data.command()
def check(
    recipe: Annotated[str, typer.Argument(help="A recipe file, a bundled one's name, or a folder of photos.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/NAME by default, a data set's own.")] = None,
    setting: Setting = None,
    count: Annotated[bool, typer.Option(help="Count triplets in the vocabulary; the run then skips that.")] = True,
) -> None:
    """What a recipe reads, where to get what is missing, how large; its triplets and images beside the paper's."""
    with _errors():
        from groundgraph.cli.show import show_counts, show_needs
        from groundgraph.engine.ownership import default_folder
        from groundgraph.engine.run import Run
        from groundgraph.stages.own_photos import open_recipe

        loaded = open_recipe(recipe, setting or [])
        work = Run(loaded, out or default_folder(loaded, recipe), console)
        if not show_needs(console, work):
            raise typer.Exit(1)
        if count:
            show_counts(console, work)


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    out: Annotated[
        Path | None, typer.Option(help="Where pictures and graphs.json go; RUN/predictions by default.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Whose model, by its grounder's name; the recipe's first by default.")
    ] = None,
    top: Annotated[int, typer.Option(help="Relations an image.", min=1)] = 10,
    kind: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    min_score: Annotated[float, typer.Option(help="Leave out what scores less.", min=0, max=1)] = 0,
    device: Device = None,
) -> None:
    """Draw scene graphs on images and write them as JSON; says each relation with its score."""
    with _errors():
        from groundgraph.data.types import Skipped
        from groundgraph.report.fonts import unreadable_scripts
        from groundgraph.report.pictures import numbered
        from groundgraph.stages.predict import Predictor, predict_images

        out, skipped = out or folder / "predictions", Skipped()
        written = predict_images(Predictor(folder, method, device), images, out, top, kind, min_score, skipped)
        for what, why in skipped.items:
            console.print(f"[yellow]skipped[/] {escape(what)}: {escape(why)}")
        for image, graph in written.items():
            names = numbered([entry["category"] for entry in graph["objects"]])
            console.print(f"{escape(image)}: {len(graph['relations'])} relations, {escape(graph['pictures'][-1])}")
            for entry in graph["relations"]:
                words = f"{names[entry['subject']]}  {entry['predicate']}  {names[entry['object']]}"
                console.print(f"  {entry['score']:<8.2g}{escape(words)}")
        labels = [entry["category"] for graph in written.values() for entry in graph["objects"]]
        labels += [entry["predicate"] for graph in written.values() for entry in graph["relations"]]
        if kind != "svg" and (scripts := unreadable_scripts(labels)):  # an SVG is drawn by its viewer's fonts
            console.print(
                f"[yellow]note[/] no installed font has the letters of {', '.join(scripts)}, which are empty boxes "
                "in the pictures. Install one (Noto has all scripts), or draw --format svg, which keeps the text"
            )
        console.print(f"{len(written)} scene graphs in {escape(str(out))}")
        if not written:
            raise typer.Exit(1)


@app.command()
def parse(
    captions: Annotated[
        list[str],
        typer.Argument(help="Captions, or files of them (a caption a line, or .jsonl); - for standard input."),
    ],
) -> None:
    """Show a caption's entities and triplets as JSON; of several captions a list."""
    with _errors():
        from groundgraph.language import load_parser
        from groundgraph.language.captions import read_captions
        from groundgraph.language.parser import LONGEST

        texts, parser = read_captions(captions), load_parser("rules")
        parsed = [
            {
                "caption": c.text,
                "entities": [
                    {"name": e.name, "text": e.text, "attributes": list(e.attributes), "span": list(e.span)}
                    for e in c.entities
                ],
                "triplets": [[c.entities[t.subject].name, t.predicate, c.entities[t.object].name] for t in c.triplets],
            }
            for c in parser.parse(texts)
        ]
        print_json(parsed if len(parsed) > 1 else parsed[0])
        if parser.cut:
            note = f"of {parser.cut} captions only the first {LONGEST} characters were read"
            Console(stderr=True).print(f"[yellow]note[/] {note}")


@app.command()
def evaluate_parser(
    gold: Annotated[Path, typer.Argument(metavar="CSV", help="Captions with known graphs: columns caption and graph.")],
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Score the parser on captions with known graphs: precision, recall and f1 of their facts."""
    with _errors():
        from groundgraph.data.files import check_output, write_json
        from groundgraph.evaluation.parsing import evaluate_parser, read_gold
        from groundgraph.language import load_parser

        if out:
            check_output(out, [gold])
        read = read_gold(gold)
        scores = evaluate_parser(load_parser("rules"), read)
        table = Table("facts", "precision", "recall", "f1")
        for group, figures in scores.items():
            table.add_row(group, *("-" if value is None else f"{value:.3f}" for value in figures.values()))
        console.print(table)
        if read.skipped:
            console.print(f"[yellow]skipped[/] {read.skipped} malformed facts of {escape(str(gold))}")
        if out:
            write_json(out, scores, indent=1)


@app.command()
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(help="Predicted graphs: npz, graphs.safetensors, JSON or eval_results.pytorch.")
    ],
    truth: Annotated[
        Path | None, typer.Argument(metavar="GROUND_TRUTH", help="True graphs, where PREDICTIONS has none.")
    ] = None,
    task: Annotated[str, typer.Option(help="predcls, sgcls, sgdet or phrdet (phrase detection).")] = "sgdet",
    convention: Annotated[
        str, typer.Option(help="An image without a predicted pair counts 0 (default) or is left out (sgb).")
    ] = "default",
    zeroshot: Annotated[Path | None, typer.Option(help="Triplets that training never saw, for zR and ngzR.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Samples of the images for 95 % intervals.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option("--json", help="Where the figures go as JSON.")] = None,
) -> None:
    """Measure anyone's scene graphs: R, ngR, zR, ngzR, mR, ngmR at 20/50/100, mAP50, and each predicate."""
    with _errors():
        from groundgraph.evaluation.files import evaluate_files, show

        figures = evaluate_files(
            predictions, truth, task=task, convention=convention, zeroshot=zeroshot, bootstrap=bootstrap, out=out
        )
        show(figures, console)


@app.command()
def study(
    seeds: Annotated[
        int | None, typer.Option(help="Seeds a cell; 5, or 2 with --quick, by default.", min=1, show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that work side by side.", min=1)] = 2,
    quick: Annotated[bool, typer.Option(help="VG Caption alone, on few images: minutes.")] = False,
    ablate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Vary one thing: K, alpha, alpha2, layer, temperature, prompts or negatives."
        ),
    ] = None,
    graphs: Annotated[bool, typer.Option(help="An ablation's scene graphs too, not its grounding alone.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; runs/study or runs/study-quick by default.")
    ] = None,
) -> None:
    """The paper's tables on MiniGenome, with error bars; what is done is kept, so it can be broken off."""
    with _errors():
        from groundgraph.study import run_study
        from groundgraph.study.plan import ablation_plan, paper_plan

        _quiet_transformers()
        plan = ablation_plan(ablate, seeds, quick, graphs) if ablate else paper_plan(seeds, quick)
        folder = out or Path("runs") / ("study-quick" if quick else "study")
        failed = run_study(plan, folder, jobs, console)
        for what, why in failed.items():
            console.print(f"[red]failed[/] {escape(what)}: {escape(why)}")
        console.print(f"{escape(str(folder / plan.name))}.md, .csv, -cells.csv and plots")
        if failed:
            raise typer.Exit(1)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    out: Annotated[Path, typer.Argument(help="The file to write; a folder for vg150 and graphml.")],
    what: Annotated[str, typer.Option(help="pseudo-labels or predictions.")],
    form: Annotated[
        str,
        typer.Option("--format", help="pseudo-labels: vg150, coco, jsonl. predictions: json, graphml, networkx."),
    ],
    method: Annotated[
        str | None, typer.Option(help="Whose, by its grounder's name; the recipe's first by default.")
    ] = None,
) -> None:
    """Write a run's pseudo labels or predicted graphs in other programs' formats."""
    with _errors():
        from groundgraph.stages.export import export_run

        counts = export_run(folder, what, form, out, method)
        console.print(f"{_counted(counts)} in {escape(str(out))}")


@app.command("import")
def import_(
    what: Annotated[str, typer.Argument(help="pseudo-labels or grounder.")],
    source: Annotated[Path, typer.Argument(help="A pickle of grounding results, or grounder_best.pth.")],
    out: Annotated[Path, typer.Argument(help="Gets JSON lines as a run's pseudo-METHOD/train.jsonl, or a folder.")],
) -> None:
    """Read what the paper's authors released into a run's own formats; nothing in the file is executed."""
    with _errors():
        from groundgraph.data.types import Skipped
        from groundgraph.stages.export import import_official

        skipped = Skipped()
        counts = import_official(what, source, out, skipped)
        for name, why in skipped.items:
            console.print(f"[yellow]left out[/] {escape(name)}: {escape(why)}")
        console.print(f"{_counted(counts)} in {escape(str(out))}")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in counts.items())


@experts.command()
def train(
    name: Annotated[str, typer.Argument(help="detector, text, vl or clip.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the checkpoint goes; the package's own folder by default.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time cap; the card's by default.")] = None,
    seed: int = 0,
) -> None:
    """Train a bundled expert again, on its own part of MiniGenome, and write its card."""
    with _errors():
        from tools.train import train_expert

        figures = train_expert(name, out, minutes, seed)
        print_json(figures)


def _execute(
    recipe: str,
    out: Path | None,
    settings: list[str] | None,
    device: str | None = None,
    dry_run: bool = False,
    engine: str | None = None,
    address: str | None = None,
) -> None:
    with _errors():
        from groundgraph.cli.show import show_dry_run
        from groundgraph.engine.executors import open_engine
        from groundgraph.engine.ownership import default_folder
        from groundgraph.engine.run import Run
        from groundgraph.stages.listing import stages
        from groundgraph.stages.own_photos import open_recipe
        from groundgraph.stages.preflight import require
        from groundgraph.stages.report import publish
        from groundgraph.system import peak_memory
        from groundgraph.training.processes import is_first, launch

        _quiet_transformers()
        began = time.perf_counter()
        console.quiet = not is_first()
        loaded = open_recipe(recipe, [*(settings or []), *_device(device)])
        ranks = launch(loaded.device)
        work = Run(loaded, out or default_folder(loaded, recipe), console, processes=ranks)
        if loaded.note:
            console.print(escape(loaded.note))
        with open_engine(engine, address) as work.executor:
            if dry_run:
                show_dry_run(console, work)
                return
            require(work)
            ran = work.execute(stages(loaded))
        ranks.leave()
        if not ranks.first:
            return
        publish(work, work.folder / "report")  # done before, but perhaps deleted since
        _show(work.folder)
        left_out = f"; {len(work.skipped.items)} things skipped, see the report" if work.skipped.items else ""
        did = f"{len(ran)} stages run" if ran else "nothing had changed"
        console.print(
            f"{did}, {time.perf_counter() - began:.0f} s, {peak_memory() / 2**30:.1f} GiB at most{left_out}. "
            f"Report: {escape(str(work.folder / 'report.html'))}"
        )


def _device(name: str | None) -> list[str]:
    """--device as a setting of the recipe."""
    return [] if name is None else [f"device={name}"]


def _quiet_transformers() -> None:
    """transformers draws bars of its own into ours while it loads weights."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _show(folder: Path) -> None:
    """The headline table."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    groups, ks = ("all", "ambiguous", "unseen"), ("R@20", "R@50", "R@100")
    titles = [*(f"grounding\n{g}" for g in groups), *(f"SGDet\n{k}" for k in ks), "mAP50"]
    rows = {
        name: [*(figures["grounding"][g] for g in groups), *(figures["sgdet"][k] for k in ks), figures["mAP50"]]
        for name, figures in metrics["methods"].items()
    }
    rows["chance"] = [*(metrics["chance"][g] for g in groups), *[None] * (len(titles) - len(groups))]
    shown = [i for i in range(len(titles)) if any(values[i] is not None for values in rows.values())]
    table = Table("method", *(titles[i] for i in shown), title="per cent")
    for name, values in rows.items():
        if any(value is not None for value in values):
            chance = name == "chance"
            cells = ["" if chance and values[i] is None else _per_cent(values[i]) for i in shown]
            table.add_row(name, *cells, style="dim" if chance else None)
    if shown:
        console.print(table)
    for note in metrics.get("notes", ()):
        console.print(f"[yellow]note[/] {escape(note)}")


def _per_cent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _mismatch() -> InputError | None:
    """The true cause of whatever fails where torch and torchvision are no pair."""
    from groundgraph.torch_pair import check_torchvision

    try:
        check_torchvision()
    except InputError as error:
        return error
    return None


def _of_the_system(error: OSError) -> str:
    """What the system refused, with the fix."""
    fixes = {
        FileNotFoundError: "check the path",
        FileExistsError: "it is no folder; name another place",
        NotADirectoryError: "a part of the path is no folder; name another place",
        IsADirectoryError: "name a file",
        PermissionError: "name another place, or let yourself read and write there",
    }
    fix = fixes.get(type(error))
    return f"{os.path.abspath(os.fsdecode(error.filename))}: {error.strerror}" + (f"; {fix}" if fix else "")


class _errors:
    """A mistake that the user can mend is one message and exit code 2; a bug keeps its traceback and exit code 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyboardInterrupt) and hasattr(error, "number"):  # a run that a signal stopped
            raise typer.Exit(128 + error.number) from error
        if isinstance(error, Exception) and not isinstance(error, (InputError, *_ENDS)) and "torch" in sys.modules:
            error = _mismatch() or error
        if isinstance(error, InputError) or (isinstance(error, OSError) and isinstance(error.filename, str | bytes)):
            text = str(error) if isinstance(error, InputError) else _of_the_system(error)
            console.print(f"[red]error[/] {escape(text)}")
            raise typer.Exit(2) from error
        if isinstance(error, Exception) and not isinstance(error, _ENDS):
            sys.stderr.write(visible("".join(traceback.format_exception(error))))
            console.print(
                f"[red]bug[/] groundgraph {version('groundgraph')} failed, and not by your mistake; please report it "
                f"with the lines above: {ISSUES}"
            )
            raise typer.Exit(1) from error
