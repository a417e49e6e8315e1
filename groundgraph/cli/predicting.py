"""`groundgraph predict`, `ground` and `pack`: a trained model on new images, and as a folder of its own."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from groundgraph.cli.common import Device, Method, Setting, console


def predict(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] IMAGE...",
            help="A run's folder, a packed one or a hub id; without it the bundled miniature's model, which knows "
            "drawn scenes only. Then image files, folders, or lists (*.txt, a path a line).",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where graphs go; RUN/predictions by default, predictions/ without a run.")
    ] = None,
    method: Method = None,
    top: Annotated[int, typer.Option(help="Relations an image, in pictures.", min=1)] = 10,
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            help="png, svg or pdf: pictures. jsonl, or another that export --list has of predictions: all graphs, and "
            "goes on where it was broken off.",
        ),
    ] = "png",
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Leave out what scores less; by default so that half of what is shown is right; 0: nothing.",
            min=0,
            max=1,
        ),
    ] = None,
    categories: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Things to find: a,b,c, or a file with a name a line.")
    ] = None,
    predicates: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Relations to find, likewise; both need sgg.heads: open.")
    ] = None,
    device: Device = None,
) -> None:
    """Find the scene graphs of images: drawn and said with scores, or written for other programs."""
    from groundgraph.data.types import Skipped
    from groundgraph.engine.progress import Bars
    from groundgraph.errors import InputError
    from groundgraph.formats import PREDICTION_WRITERS
    from groundgraph.pretrained.batches import listed_images, predict_batch
    from groundgraph.pretrained.loading import DRAWN_ONLY, is_model, load
    from groundgraph.pretrained.pictures import predict_images
    from groundgraph.report.pictures import FORMATS as PICTURES

    if kind not in PREDICTION_WRITERS and kind not in PICTURES:
        raise InputError(
            f"pictures are written as {', '.join(PICTURES)}, graphs as {', '.join(PREDICTION_WRITERS)}; not {kind}"
        )
    name = words[0] if is_model(words[0]) else None
    images = listed_images(words if name is None else words[1:])
    if not images:
        raise typer.BadParameter("name one image or more, a folder of images, or a list")
    if name is None:
        console.print(f"[yellow]note[/] {DRAWN_ONLY}")
    run = name is not None and (Path(name) / "recipe.yaml").is_file()
    out = out or (Path(name) / "predictions" if run else Path("predictions"))
    model, skipped, bars = load(name, method, device), Skipped(), Bars()
    shown = bars.shown(console, lambda: None) if len(images) > model.batch_size else nullcontext()
    with model.named(_names(categories), _names(predicates)), shown:
        least = model.min_score if min_score is None else min_score
        if kind in PREDICTION_WRITERS:
            target, counts = predict_batch(model, images, out, kind, least, skipped, bars.bar)
        else:
            written = predict_images(model, images, out, top, kind, least, skipped, bars.bar)
    for image, why in skipped.items:
        console.print(f"[yellow]skipped[/] {escape(image)}: {escape(why)}")
    if kind in PREDICTION_WRITERS:
        console.print(f"{', '.join(f'{n:,} {what}' for what, n in counts.items())}; {escape(str(target))}")
        done = sum(counts.values())
    else:
        _say(written, kind)
        console.print(f"{len(written)} scene graphs in {escape(str(out))}")
        done = len(written)
    if not done:
        raise typer.Exit(1)


def ground(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    caption: Annotated[str, typer.Argument(help='An English sentence about it: "a man riding a horse".')],
    model: Annotated[
        str | None,
        typer.Option(help="A run's folder, a packed one or a hub id; without it the teachers alone find the boxes."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Gets NAME.png with the boxes and NAME.json.")] = Path("grounded"),
    method: Method = None,
    setting: Setting = None,
    device: Device = None,
) -> None:
    """Find the box of each thing that a caption speaks of: a picture, and JSON."""
    from groundgraph.data.files import write_json
    from groundgraph.data.images import open_image
    from groundgraph.errors import InputError
    from groundgraph.pretrained.loading import load
    from groundgraph.pretrained.words import teachers_alone
    from groundgraph.terminal import print_json

    if model is not None and setting:
        raise InputError("--set names the teachers' models, for grounding without --model: leave one of them out")
    if model is not None:
        grounded = load(model, method, device).ground(image, caption)
    else:
        words = teachers_alone([*(setting or ()), *([f"device={device}"] if device else [])])
        if words.bundled:
            console.print(
                "[yellow]note[/] the bundled teachers know drawn scenes only; for photos name others: --set "
                "detector.kind=transformers --set detector.model=facebook/detr-resnet-50 --set "
                "teachers.interaction.model=Salesforce/blip-itm-base-coco, or --model",
            )
        grounded = words.ground(image, caption)
    out.mkdir(parents=True, exist_ok=True)
    picture = out / f"{image.stem}.png"
    grounded.save(picture, open_image(image))
    write_json(picture.with_suffix(".json"), {"image": str(image.absolute()), **grounded.record()}, indent=1)
    print_json(grounded.record())
    console.print(escape(str(picture)))


def pack(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    method: Method = None,
    half: Annotated[bool, typer.Option("--half", help="Weights as float16, in half the room.")] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also as ONNX, in OUT/onnx with an example that needs no torch.")
    ] = False,
) -> None:
    """Pack a run's model into a folder: weights, settings, vocabulary, metrics and a model card."""
    from groundgraph.api import pack as write_pack
    from groundgraph.data.text import read_json

    sizes = write_pack(folder, out, method, half=half, onnx=onnx)
    for name, size in sizes.items():
        console.print(f"{size / 1e6:8.2f} MB  {escape(name)}")
    console.print(f"{sum(sizes.values()) / 1e6:8.2f} MB in {escape(str(out))}")
    parts = read_json(out / "onnx" / "manifest.json", "the manifest")["parts"] if onnx else {}
    for name, part in parts.items():
        if "why not" in part:
            console.print(f"[yellow]note[/] no ONNX of the {name}: {escape(part['why not'])}")


def _say(written: dict[str, Any], kind: str) -> None:
    """Print each drawn graph's relations with their scores, and which letters no font has."""
    from groundgraph.report.fonts import unreadable_scripts
    from groundgraph.report.pictures import numbered

    for image, graph in written.items():
        things = numbered([entry["category"] for entry in graph["objects"]])
        console.print(f"{escape(image)}: {len(graph['relations'])} relations, {escape(graph['pictures'][-1])}")
        for entry in graph["relations"]:
            words = f"{things[entry['subject']]}  {entry['predicate']}  {things[entry['object']]}"
            console.print(f"  {entry['score']:<8.2g}{escape(words)}")
    labels = [entry["category"] for graph in written.values() for entry in graph["objects"]]
    labels += [entry["predicate"] for graph in written.values() for entry in graph["relations"]]
    if kind != "svg" and (scripts := unreadable_scripts(labels)):  # an SVG is drawn by its viewer's fonts
        console.print(
            f"[yellow]note[/] no installed font has the letters of {', '.join(scripts)}, which are empty boxes "
            "in the pictures. Install one (Noto has all scripts), or draw --format svg, which keeps the text"
        )


def _names(text: str | None) -> list[str] | None:
    """Names from an option: those of a file, or separated by commas."""
    from groundgraph.data.vocabulary import Vocabulary

    if text is None:
        return None
    if Path(text).is_file():
        return list(Vocabulary.from_file(text).names)
    return [name for name in (part.strip() for part in text.split(",")) if name]
