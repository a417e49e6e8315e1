"""Hostile and broken input: one table (so one long file) of what comes in and what it gets.

ERROR    a ValueError that names the file (or the setting) and the fix; nothing runs, nothing is written
SKIPPED  the thing is left out and recorded with its reason; its neighbours are all there
TAKEN    it is used, made harmless
"""

import base64
import io
import json
import os
import re
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from groundgraph.data.images import open_image
from groundgraph.data.records import example_record, write_lines
from groundgraph.data.sources.coco import read_coco
from groundgraph.data.sources.jsonl import read_jsonl
from groundgraph.data.store import StoredRegions, write_regions
from groundgraph.data.types import Entity, Example, ParsedCaption, Regions, Skipped
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.formats.json_stream import read_objects
from groundgraph.language.encoder import TextEncoder
from groundgraph.language.parser import CUT, RuleParser
from groundgraph.report.html import Case, GraphPicture, ReportData, Table, write_report
from groundgraph.stages.recipe import load_recipe
from groundgraph.teachers.interaction import InteractionTeacher
from groundgraph.teachers.object import ObjectTeacher
from groundgraph.vision import load_detector

ERROR, SKIPPED, TAKEN = "error", "skipped", "taken"
Result = tuple[list[str], Skipped]  # what is kept, and what was left out
GOOD = "good.png"


def folder(path: Path) -> Path:
    """An image folder with one good picture."""
    (path / "images").mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(path / "images" / GOOD)
    return path / "images"


# Sources


def coco(path: Path, images=(), notes=(), text: str | bytes | None = None) -> Result:
    """Reads COCO captions of the good picture and of whatever else is listed; writes what it read as a run does."""
    listing = {
        "images": [{"id": 1, "file_name": GOOD}, *images],
        "annotations": [{"image_id": 1, "caption": "a cat"}, *notes],
    }
    data = json.dumps(listing) if text is None else text
    (path / "captions.json").write_bytes(data if isinstance(data, bytes) else data.encode())
    skipped = Skipped()
    examples = read_coco(path / "captions.json", folder(path), skipped)
    write_lines(path / "examples.jsonl", (example_record(e, path) for e in examples))
    (path / "skipped.txt").write_text(str(skipped.items), encoding="utf-8")
    return [e.image_id for e in examples], skipped


def named(name: object) -> Callable[[Path], Result]:
    """A COCO image of that file name, with a caption."""
    return lambda path: coco(path, [{"id": 2, "file_name": name}], [{"image_id": 2, "caption": "a dog"}])


def special(make: Callable[[Path], None]) -> Callable[[Path], Result]:
    """Something that is no file where a listed image should be."""

    def run(path: Path) -> Result:
        make(folder(path) / "bad.png")
        return named("bad.png")(path)

    return run


def no_file(path: Path) -> Result:
    (path / "captions.json").mkdir()
    read_coco(path / "captions.json", folder(path), Skipped())
    return [], Skipped()


def noted(image_id: object, caption: object) -> Callable[[Path], Result]:
    return lambda path: coco(path, notes=[{"image_id": image_id, "caption": caption}])


def lines(*rows: str | bytes) -> Callable[[Path], Result]:
    def run(path: Path) -> Result:
        all_rows = [json.dumps({"image": GOOD, "captions": ["a cat"]}).encode()]
        all_rows += [row.encode() if isinstance(row, str) else row for row in rows]
        (path / "lines.jsonl").write_bytes(b"\n".join(all_rows))
        skipped = Skipped()
        examples = read_jsonl(path / "lines.jsonl", folder(path), skipped)
        write_lines(path / "examples.jsonl", (example_record(e, path) for e in examples))
        return ["1"] * len(examples), skipped

    return run


def boxes_of(*annotations: dict) -> Callable[[Path], Result]:
    """True boxes beside good ones: what is kept of the good picture is its one good box."""

    def run(path: Path) -> Result:
        good = {"image_id": 1, "bbox": [1, 1, 5, 5], "category_id": 3}
        listing = {
            "images": [{"id": 1, "file_name": GOOD}],
            "categories": [{"id": 3, "name": "cat"}],
            "annotations": [*annotations, good],
        }
        (path / "instances.json").write_text(json.dumps(listing))
        coco(path)
        skipped = Skipped()
        (example,) = read_coco(path / "captions.json", path / "images", skipped, path / "instances.json")
        return [str(len(example.truth.labels))], skipped

    return run


# Images


def bomb(file: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def half(file: Path) -> None:
    data = (file.parent / GOOD).read_bytes()
    file.write_bytes(data[: len(data) // 2])


def postscript(file: Path) -> None:
    file.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")  # Pillow would hand it to Ghostscript


def detected(make: Callable[[Path], None], name: str = "bad.png") -> Callable[[Path], Result]:
    """An image for the detector, between two good ones."""

    def run(path: Path) -> Result:
        images = folder(path)
        make(images / name)
        listed = [Example(str(i + 1), str(images / n)) for i, n in enumerate((GOOD, name, GOOD))]
        skipped = Skipped()
        found = detector().detect(listed, skipped)
        assert all(r is None or np.isfinite(r.features).all() for r in found)
        assert found[0] is not None and found[2] is not None
        return [e.image_id for e, r in zip(listed, found, strict=True) if r is not None], skipped

    return run


def opened(make: Callable[[Path], None], colour: tuple[int, int, int], name: str) -> Callable[[Path], Result]:
    def run(path: Path) -> Result:
        make(path / name)
        image = open_image(path / name)
        assert image.mode == "RGB" and max(abs(a - b) for a, b in zip(image.getpixel((0, 0)), colour, strict=True)) < 3
        return ["1", "2"], Skipped()

    return run


def animated(file: Path) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue", "green")]
    frames[0].save(file, save_all=True, append_images=frames[1:])


_loaded: dict[str, object] = {}


def detector():
    torch.set_num_threads(1)
    return _loaded.setdefault("detector", load_detector("torchvision", "bundled:detector", count=5))


# Files of regions


def arrays(**changes) -> dict[str, np.ndarray]:
    """Two images of two regions; image 2's are changed."""
    content = {
        "file_names": np.array([GOOD, "second.png"]),
        "categories": np.array(["cat", "dog"]),
        "boxes": np.tile(np.array([[1, 1, 20, 20], [5, 5, 30, 30]], np.float32), (2, 1, 1)),
        "labels": np.zeros((2, 2), int),
        "scores": np.full((2, 2), 0.5, np.float32),
        "features": np.ones((2, 2, 3), np.float32),
    }
    for name, value in changes.items():
        if name in ("boxes", "scores", "features", "labels"):
            content[name][1] = value
        else:
            content[name] = value
    return content


def regions(kind: str = "precomputed", damage: Callable[[Path], None] = lambda file: None, **changes):
    """Regions from a file, of the good picture and of a second; what is kept are the images that have some."""

    def run(path: Path) -> Result:
        images = folder(path)
        (images / "second.png").write_bytes((images / GOOD).read_bytes())
        content = arrays(**changes)
        file = path / ("r.h5" if kind == "bottom-up-h5" else "r.tsv" if kind == "bottom-up-tsv" else "r.npz")
        if kind == "bottom-up-h5":
            with h5py.File(file, "w") as h5:
                h5["image_id"], h5["image_bb"], h5["image_features"] = [1, 2], content["boxes"], content["features"]
        elif kind == "bottom-up-tsv":
            pairs = zip(content["boxes"], content["features"], strict=True)
            coded = [[base64.b64encode(a.tobytes()).decode() for a in pair] for pair in pairs]
            file.write_text("".join(f"{i}\t50\t40\t2\t{b}\t{f}\n" for i, (b, f) in enumerate(coded, 1)))
        else:
            np.savez(file, **content)
        damage(file)
        skipped = Skipped()
        listed = [Example("1", str(images / GOOD)), Example("2", str(images / "second.png"))]
        found = load_detector(kind, str(file)).detect(listed, skipped)
        return [e.image_id for e, r in zip(listed, found, strict=True) if r is not None], skipped

    return run


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def claim(file: Path) -> None:
    """An npz whose features say that they have 10^15 numbers."""
    content = arrays()
    header = {"descr": "<f4", "fortran_order": False, "shape": (2, 2, 250_000_000_000_000)}
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in content.items():
            out = io.BytesIO()
            if name == "features":
                np.lib.format.write_array_header_1_0(out, header)
            else:
                np.save(out, array)
            archive.writestr(f"{name}.npy", out.getvalue())


class Run:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def sgnls(path: Path) -> Result:
    (path / "_att").mkdir()
    np.savez(path / "_att" / "1.npz", feat=np.ones((2, 3)))
    np.save(path / "box_dict.npy", {"1": Run()})
    load_detector("sgnls", str(path))
    return [], Skipped()


def pickled_weights(path: Path) -> Result:
    config = {"model": {"torchvision": "ssdlite320_mobilenet_v3_large"}, "regions": {}, "categories": ["cat"]}
    (path / "config.json").write_text(json.dumps(config))
    torch.save({"model": Run()}, path / "model.pth")
    load_detector("torchvision", str(path))
    return [], Skipped()


def store(path: Path) -> Result:
    one = Regions(np.ones((2, 4)), np.ones(2, int), np.ones(2), np.ones((2, 3)), (5, 5))
    write_regions(path / "r.safetensors", ["a", "b"], [one, one])
    cut(path / "r.safetensors")
    list(StoredRegions(path / "r.safetensors"))
    return [], Skipped()


# Recipes and vocabularies


def recipe(text: str | bytes, settings=()) -> Callable[[Path], Result]:
    def run(path: Path) -> Result:
        (path / "r.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        load_recipe(path / "r.yaml", settings)
        return [], Skipped()

    return run


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
BASE = "name: r\ndata: {source: minigenome}\n"


def vocabulary(path: Path) -> Result:
    (path / "v.json").write_text(json.dumps(["cat", "cat"]))
    Vocabulary.from_file(path / "v.json")
    return [], Skipped()


def deep_objects(path: Path) -> Result:
    (path / "regions.json").write_text("[" + '{"a":' * 100_000)
    return [str(len(list(read_objects(path / "regions.json"))))], Skipped()


# Text


def report(path: Path) -> Result:
    """Script, markup and control characters wherever strangers' words reach the report."""
    evil = "<script>alert(1)</script>\n<img src=x onerror=alert(2)>\"'</title>&"
    image = Image.new("RGB", (40, 40))
    cases = [Case(image, evil, [(0, 8)], {evil: [[0, 0, 9, 9]], "truth": [None]}, {evil: [True]})]
    skipped = Skipped()
    skipped.add(evil, evil + "\ud800")
    objects = [{"category": evil, "score": 0.5, "box": [0, 0, 9, 9]}] * 2
    relations = [{"subject": 0, "predicate": evil, "object": 1, "score": 0.5}]
    data = ReportData(
        title=evil,
        metrics={"methods": {evil: {"mAP50": 0.1}}, "chance": {}, "counts": {evil: 3}},
        config_yaml=evil,
        cases=cases,
        graphs=[GraphPicture(image, evil, {"objects": objects, "relations": relations})],
        skipped=skipped.items,
        tables=[Table(evil, evil, [evil], [[evil]])],
        curves={evil: {evil: [1.0, 2.0]}},
    )
    write_report(path / "report.html", data)
    text = (path / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in text
    for tag in ("<script>alert", "<img src=x", "</title>&"):
        assert tag not in text, tag
    return ["1", "2"], Skipped()


def parser() -> RuleParser:
    return _loaded.setdefault("parser", RuleParser())


def long_caption(path: Path) -> Result:
    """Ten million characters are read as a thousand, and counted."""
    before = parser().counts[CUT]
    found = parser().parse(["a cat on a mat " * 700_000, "a dog"])
    assert parser().counts[CUT] == before + 1 and found[1].entities[0].name == "dog"
    assert 0 < len(found[0].entities) <= 500 and max(e.span[1] for e in found[0].entities) <= 1000
    return ["1", "2"], Skipped()


def many_entities(path: Path) -> Result:
    """10,000 entities in one caption: cut at each model's length and counted, within 250 MB, each with its row."""
    words = ["cat", "dog", "hat", "box"]
    text = " ".join(words[i % 4] for i in range(10_000))
    entities = tuple(
        Entity(words[i % 4], words[i % 4], words[i % 4], (i * 4, i * 4 + 3), (i * 4, i * 4 + 3)) for i in range(10_000)
    )
    caption, plain = (
        ParsedCaption(text, entities),
        ParsedCaption("a cat", (Entity("cat", "cat", "cat", (2, 5), (2, 5)),)),
    )
    parsed = parser().parse([text])[0]
    assert len(parsed.entities) <= 1000
    encoder, teacher = TextEncoder("bundled:text"), InteractionTeacher("bundled:vl")
    image = open_image(folder(path) / GOOD)
    boxes = np.array([[0, 0, 20, 20], [10, 10, 50, 40]], np.float32)
    found = Regions(boxes, np.array([0, -1]), np.ones(2, np.float32), np.ones((2, 3), np.float32), image.size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows, alone = encoder.embed([caption, plain])
    assert rows.shape == (10_000, encoder.size) and np.isfinite(rows).all() and alone.shape[0] == 1
    assert 9_000 < encoder.truncated < 10_000 and np.allclose(rows[-1], rows[-2])  # beyond it: the caption's mean
    (told,) = teacher.targets([image], [found], [[caption, plain]])
    assert told[0].shape == (10_000, 2) and np.allclose(told[0].sum(1), 1) and 9_000 < teacher.truncated < 10_000
    assert np.allclose(told[0][-1], 0.5)  # not read: it looks nowhere
    by_category = ObjectTeacher(("cat",), lambda names, categories: np.equal.outer(names, categories))
    (rows_of,) = by_category.targets((), [found], [[caption]])
    assert rows_of[0].shape == (10_000, 2) and rows_of[0].sum() == 2_500
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 250, f"{grown:.0f} MB"
    return ["1", "2"], Skipped()


def coloured(mode: str, colour, **options) -> Callable[[Path], None]:
    return lambda file: Image.new(mode, (8, 6), colour).save(file, **options)


DEEP = "[" * 200_000
CASES = [
    # Names of images
    ("a name that leads out of the folder", named("../secret.png"), SKIPPED, "leads out of the image folder"),
    ("a name that leads out on Windows", named("..\\secret.png"), SKIPPED, "leads out of the image folder"),
    ("an absolute name", named("/etc/passwd"), SKIPPED, "leads out of the image folder"),
    ("an empty name", named(""), SKIPPED, "leads out of the image folder"),
    ("a name with a zero byte", named("a\0.png"), SKIPPED, "no such image"),
    ("a name of 100,000 characters", named("x" * 100_000), SKIPPED, r"x\.\.\.: no such image"),
    ("a name with a lone surrogate", named("\ud800.png"), SKIPPED, r"\\ud800\.png: no such image"),
    ("a name that is a list", named([GOOD]), SKIPPED, "has no id and file_name"),
    ("a folder in place of an image", special(Path.mkdir), SKIPPED, "no such image"),
    ("a link to itself", special(lambda p: p.symlink_to(p)), SKIPPED, "no such image"),
    ("a pipe in place of an image", special(os.mkfifo), SKIPPED, "no such image"),
    # Images
    ("an image that unpacks to 3.6 billion pixels", detected(bomb), SKIPPED, "too large"),
    ("an image of zero bytes", detected(Path.touch), SKIPPED, "not an image"),
    ("an image cut off in the middle", detected(half), SKIPPED, "truncated"),
    ("a folder for the detector", detected(Path.mkdir), SKIPPED, "not an image"),
    ("a pipe for the detector", detected(os.mkfifo), SKIPPED, "not an image"),
    ("PostScript named as an image", detected(postscript),
     SKIPPED, "not an image"),
    ("a strip of 1 x 5000 pixels", detected(lambda p: Image.new("RGB", (1, 5000)).save(p)),
     SKIPPED, "a strip of 1 x 5000"),
    ("an image of 1 x 1 pixel", detected(lambda p: Image.new("RGB", (1, 1)).save(p)), SKIPPED, "no usable region"),
    ("an animated image: its first frame", opened(animated, (255, 0, 0), "a.gif"), TAKEN, ""),
    ("CMYK", opened(coloured("CMYK", (0, 255, 255, 0)), (255, 0, 0), "a.jpg"), TAKEN, ""),
    ("16 bits a pixel", opened(coloured("I;16", 65535), (255, 255, 255), "a.png"), TAKEN, ""),
    ("floats that are no numbers", opened(coloured("F", float("nan")), (0, 0, 0), "a.tiff"), ERROR, "no number"),
    # Captions
    ("captions of zero bytes", lambda p: coco(p, text=""), ERROR, r"captions\.json, line 1: not valid JSON"),
    ("captions that are a list", lambda p: coco(p, text="[]"), ERROR, r"captions\.json: has no list `images`"),
    ("captions whose parts are no lists", lambda p: coco(p, text='{"images": 3, "annotations": {}}'),
     ERROR, "has no list"),
    ("captions cut off", lambda p: coco(p, text='{"images": ['), ERROR, r"captions\.json, line 1"),
    ("captions that are not UTF-8", lambda p: coco(p, text=b'{"images": "\xff"}'), ERROR, "as UTF-8"),
    ("captions nested 200,000 deep", lambda p: coco(p, text=DEEP), ERROR, r"captions\.json.*JSON that cannot be read"),
    ("a number of 10,000 digits", lambda p: coco(p, text="9" * 10_000), ERROR, "JSON that cannot be read"),
    ("a folder in place of captions", no_file,
     ERROR, r"captions\.json: a folder"),
    ("an image listed twice", lambda p: coco(p, [{"id": 1, "file_name": GOOD}]), SKIPPED, "listed twice"),
    ("a caption of an image that is not listed", noted(77, "a dog"), SKIPPED, "does not list"),
    ("a caption that is a mapping", noted(1, {"a": 1}), SKIPPED, "has no image_id and caption"),
    ("an image id that is a list", noted([1], "a dog"), SKIPPED, "has no image_id and caption"),
    ("a caption of control characters", noted(1, "\x1b\x00\x07"), SKIPPED, "an empty caption"),
    ("an id with a lone surrogate", lambda p: coco(p, [{"id": "\ud800", "file_name": GOOD}],
     [{"image_id": "\ud800", "caption": "a \ud800 dog\x1b[2J"}]), SKIPPED, "is image 1 in .* too"),
    ("JSON lines that are not UTF-8", lines(b"{\xff\xfe"), ERROR, r"lines\.jsonl: not text in UTF-8.*as UTF-8"),
    ("a JSON line nested 200,000 deep", lines(DEEP), ERROR, r"lines\.jsonl, from line 2: JSON that cannot be read"),
    ("a JSON line that is a number", lines("3"), ERROR, r'lines\.jsonl, line 2: has no "image"'),
    ("a caption that is a number", lines('{"image": "good.png", "captions": [3]}'),
     SKIPPED, "line 2: a caption must be text in quotes, not 3"),
    ("a triplet of two words", lines('{"image": "good.png", "triplets": [["a", "b"]]}'),
     SKIPPED, "is not .subject, predicate"),
    ("a list of objects nested 100,000 deep", deep_objects, ERROR, r"regions\.json: (nested too deep|truncated)"),
    # True boxes
    ("boxes of negative size", boxes_of({"image_id": 1, "bbox": [5, 5, -3, 4], "category_id": 3}),
     SKIPPED, "without area"),
    ("boxes that are no numbers", boxes_of({"image_id": 1, "bbox": [0, 0, float("nan"), 4], "category_id": 3}),
     SKIPPED, "without area"),
    ("a category id that is a list", boxes_of({"image_id": 1, "bbox": [0, 0, 4, 4], "category_id": [3]}),
     SKIPPED, "has no image_id and bbox and category_id"),
    # Regions
    ("features that are no numbers", regions(features=np.nan), SKIPPED, "no usable region"),
    ("scores that are no numbers", regions(scores=np.nan), SKIPPED, "no usable region"),
    ("boxes outside the image", regions(boxes=[[60, 60, 90, 90], [-9, -9, -1, -1]]), SKIPPED,
     "boxes reach to 90, 90 in an image of 50 x 40"),
    ("boxes turned inside out", regions(boxes=[[20, 20, 5, 5], [9, 9, 9, 9]]), SKIPPED, "no usable region"),
    ("an image twice in a file of regions", regions(file_names=np.array([GOOD, GOOD])),
     SKIPPED, "twice; the first counts"),
    ("regions cut off", regions(damage=cut), ERROR, r"r\.npz: damaged"),
    ("regions of zero bytes", regions(damage=lambda f: f.write_bytes(b"")), ERROR, r"r\.npz: damaged"),
    ("regions that claim a petabyte", regions(damage=claim), ERROR, r"r\.npz: damaged"),
    ("regions as pickled objects", regions(categories=np.array([Run()], object)),
     ERROR, r"r\.npz: damaged.*pickled objects"),
    ("labels beyond the categories", regions(labels=7), ERROR, "beyond the 2 categories"),
    ("HDF5 cut off", regions("bottom-up-h5", damage=cut), ERROR, r"r\.h5: damaged"),
    ("HDF5 with features that are no numbers", regions("bottom-up-h5", features=np.inf), SKIPPED, "no usable region"),
    ("a TSV cut off in its second line", regions("bottom-up-tsv", damage=lambda f: f.write_bytes(f.read_bytes()[:-30])),
     SKIPPED, "the line of image 2: damaged"),
    ("a table of boxes that runs a program", sgnls, ERROR, r"box_dict\.npy: asks for posix\.system"),
    ("weights that run a program", pickled_weights, ERROR, r"model\.pth: cannot be loaded"),
    ("a store of regions cut off", store, ERROR, r"r\.safetensors: truncated"),
    # Recipes, vocabularies
    ("a recipe that runs a program", recipe(BASE + 'note: !!python/object/apply:os.system ["touch pwned"]'),
     ERROR, r"r\.yaml: not valid YAML"),
    ("a recipe that refers to itself 10^11 times", recipe(LAUGHS + BASE + "grounder: *a11"), ERROR, "`grounder"),
    ("a recipe nested 20,000 deep", recipe("[" * 20_000), ERROR, r"r\.yaml: YAML nested too deep"),
    ("a setting nested 20,000 deep", recipe(BASE, ["seed=" + "[" * 20_000]), ERROR, "--set seed="),
    ("a recipe that names a folder elsewhere", recipe(BASE.replace("name: r", "name: ../../r")), ERROR, "`name`"),
    ("a recipe that is not UTF-8", recipe(b"name: \xff"), ERROR, r"r\.yaml: not text in UTF-8"),
    ("a recipe of zero bytes", recipe(""), ERROR, r"r\.yaml: a recipe is a YAML mapping"),
    ("a vocabulary with a name twice", vocabulary, ERROR, r"v\.json: vocabulary with double"),
    # Text
    ("script in captions, categories and reasons", report, TAKEN, ""),
    ("a caption of ten million characters", long_caption, TAKEN, ""),
    ("a caption of 10,000 entities", many_entities, TAKEN, ""),
]  # fmt: skip


@pytest.mark.parametrize(("run", "gets", "says"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_it_gets(tmp_path, monkeypatch, run, gets, says):
    monkeypatch.chdir(tmp_path)
    if gets == ERROR:
        with pytest.raises(ValueError, match=says) as caught:
            run(tmp_path)
        assert len(str(caught.value)) < 10_000
    else:
        kept, skipped = run(tmp_path)
        if gets == TAKEN:
            assert len(kept) > 1 and not skipped.items
        else:
            assert "1" in kept and "2" not in kept
            assert any(re.search(says, why) for _, why in skipped.items), skipped.items
            assert all(len(why) < 1000 for _, why in skipped.items)
    assert not (tmp_path / "pwned").exists()


def test_the_table_is_long_enough():
    assert len(CASES) >= 25 and len({name for name, *_ in CASES}) == len(CASES)
