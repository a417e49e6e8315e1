"""Feeds damaged files to the package's readers; `python fuzzing.py FOLDER COUNT SEED` prints what came of them.

It runs in a process of its own (see test_fuzz.py), since what it looks for could end it: a signal, memory without
bounds, a reader that does not come back. Any exception but an InputError that names the file is a bug, whose traceback
and file are kept.
"""

import io
import json
import pickle
import resource
import signal
import struct
import sys
import time
import traceback
import types
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import torch
from forged import FORGED
from PIL import Image
from vg_files import write_vg

from groundgraph.data.ragged import Ragged
from groundgraph.data.sources.coco import read_coco
from groundgraph.data.sources.jsonl import read_jsonl
from groundgraph.data.store import StoredRegions, write_regions
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.formats import read_sides
from groundgraph.formats.json_stream import read_objects
from groundgraph.formats.unpickle import read_npy, read_pickle
from groundgraph.formats.vg150.reading import read_graphs, read_image_list, read_names
from groundgraph.formats.ws_sgg import read_checkpoint, read_results
from groundgraph.formats.zeroshot import read_zeroshot
from groundgraph.sgg.uniter_checkpoint import read_uniter
from groundgraph.vision import load_detector

FOLDER = Path(sys.argv[1])
PICTURE = FOLDER / "1.png"
SECONDS = 20  # of a processor, that one file may take
# How many of a hundred files are of which kind.
SHARES = {"pickle": 30, "npy": 10, "npz": 20, "pth": 10, "h5": 8, "safetensors": 8, "json": 14}


def regions_of(kind: str, file: Path, source: Path | None = None) -> None:
    """Regions of an image as a run reads them; it may be left out with a reason."""
    load_detector(kind, str(source or file)).detect([Example("1", str(PICTURE))], Skipped())


def box_list() -> type:
    """A class that pickles as Scene-Graph-Benchmark's."""
    name = "maskrcnn_benchmark.structures.bounding_box"
    made = type("BoxList", (), {"__module__": name, "__qualname__": "BoxList"})
    for end in range(1, name.count(".") + 2):
        part = ".".join(name.split(".")[:end])
        sys.modules[part] = types.ModuleType(part)
    sys.modules[name].BoxList = made
    return made


def eval_results(**options) -> bytes:
    kind, sides = box_list(), []
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])
    for fields in (
        {"labels": torch.tensor([1, 2]), "relation_tuple": torch.tensor([[0, 1, 1]])},
        {
            "pred_labels": torch.tensor([1, 2]),
            "pred_scores": torch.tensor([0.9, 0.8]),
            "rel_pair_idxs": torch.tensor([[0, 1]]),
            "pred_rel_scores": torch.tensor([[0, 0.9, 0.1]]),
        },
    ):
        one = kind()
        one.bbox, one.size, one.mode, one.extra_fields = boxes, (100, 80), "xyxy", fields
        sides.append([one])
    file = io.BytesIO()
    torch.save(dict(zip(("groundtruths", "predictions"), sides, strict=True)), file, **options)
    return file.getvalue()


def weights(of: str) -> bytes:
    shapes = {"text_encoder.0": (5, 4), "text_encoder.2": (5, 5), "visual_encoder.0": (5, 6)}
    shapes |= {"visual_encoder.2": (5, 5), "classifier": (1, 5), "adaptor": (1, 5)}
    named = {f"{n}.weight": torch.ones(s) for n, s in shapes.items()} | {
        f"{n}.bias": torch.ones(s[0]) for n, s in shapes.items()
    }
    file = io.BytesIO()
    named["embeddings.word_embeddings.weight"] = torch.ones(2, 2)
    torch.save({"model": named if of == "uniter" else {n: t for n, t in named.items() if n[0] != "e"}}, file)
    return file.getvalue()


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def packed(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npz(**arrays: np.ndarray) -> bytes:
    return packed({f"{name}.npy": saved(array) for name, array in arrays.items()})


def h5(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        for number, (name, array) in enumerate(arrays.items()):
            made.create_dataset(name, data=array, **({"compression": "gzip"} if number % 2 else {}))
    return file.getvalue()


def seeds(folder: Path) -> dict[str, list[tuple[str, bytes, object]]]:
    """By kind: file name, whole content, the reader that gets it."""
    Image.new("RGB", (50, 40)).save(PICTURE)
    boxes, features = np.array([[1, 1, 20, 20], [5, 5, 30, 30]], np.float32), np.ones((2, 3), np.float32)
    rows = {
        "gt_classes": [5, 7],
        "relations": [[0, 1, 3]],
        "gd_boxes": [[1, 2], [3, 4]],
        "gd_scores": [[0.5, 0.25], [0.5, 0.5]],
    }
    arrays = {17: {name: np.array(value) for name, value in rows.items()}}
    results = [pickle.dumps(content, protocol) for content in ({17: rows}, arrays) for protocol in range(6)]
    flat = {
        "pred_boxes": boxes,
        "pred_labels": np.array([1, 2]),
        "pred_scores": np.array([0.9, 0.8]),
        "pred_pairs": np.array([[0, 1]]),
        "pred_rel_scores": np.array([[0, 0.9, 0.1]]),
        "pred_box_offsets": np.array([0, 2]),
        "pred_pair_offsets": np.array([0, 1]),
        "gt_boxes": boxes,
        "gt_labels": np.array([1, 2]),
        "gt_rels": np.array([[0, 1, 1]]),
        "gt_box_offsets": np.array([0, 2]),
        "gt_rel_offsets": np.array([0, 1]),
        "zeroshot": np.array([[1, 2, 1]]),
    }
    whole = {"file_names": np.array(["1.png"]), "categories": np.array(["cat"]), "boxes": boxes[None]}
    whole |= {"labels": np.zeros((1, 2), int), "scores": np.ones((1, 2), np.float32), "features": features[None]}
    table = np.array({"1": boxes, "2": boxes}, dtype=object)
    even = {"image_id": np.array([1]), "image_bb": boxes[None], "image_features": features[None]}
    uneven = {"image_features": features, "image_bb": boxes, "pos_boxes": np.array([[0, 2]]), "image_id": np.array([1])}
    objects = [("man", (2, 2, 20, 20)), ("hat", (5, 5, 9, 9))]
    write_vg(folder / "vg", [{"id": 1, "size": (50, 40), "split": 0, "objects": objects, "relations": [(0, "on", 1)]}])
    vg = {path.name: path.read_bytes() for path in (folder / "vg").iterdir() if path.is_file()}
    dictionary = next(folder.glob("vg/*dicts*.json"))
    one = Regions(boxes, np.zeros(2, int), np.ones(2, np.float32), features, (50, 40))
    write_regions(folder / "r.safetensors", ["a", "b"], [one, one])
    graph = {"objects": [{"category": "cat", "box": [1, 2, 3, 4], "score": 0.5}] * 2}
    graph["relations"] = [{"subject": 0, "predicate": "on", "object": 1, "score": 0.5}]
    coco = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1, "caption": "a cat"}]}
    chance = npz(feat=np.ones((2, 602), np.float32))
    for part in ("_att", "_dists"):
        for root in ("listed", "features"):
            (folder / root / part).mkdir(parents=True)
            (folder / root / part / "1.npz").write_bytes(chance)
    (folder / "features" / "box_dict.npy").write_bytes(saved(table))

    def stored(path: Path) -> None:
        store = Ragged(path)
        for name in store:
            store[name]
        list(StoredRegions(path))

    def graphs_of(path: Path) -> None:
        read_sides(path, folder / "truth.json")

    (folder / "truth.json").write_text(json.dumps({"1.png": graph}))
    made = {
        "pickle": [("in.pkl", data, lambda p: read_results(p, 150, 50)) for data in results]
        + [("in.pkl", pickle.dumps(arrays, 2), read_pickle)],
        "npy": [
            ("listed/box_dict.npy", saved(table), lambda p: regions_of("sgnls", p, p.parent)),
            ("a.npy", saved(boxes), read_npy),
            ("a.npy", saved(np.array(["cat", "dog"])), read_npy),
        ],
        "npz": [
            ("in.npz", npz(**flat), read_sides),
            ("in.npz", npz(**whole), lambda p: regions_of("precomputed", p)),
            ("npz/1.npz", npz(boxes=boxes, features=features, image_w=np.array(50), image_h=np.array(40)),
             lambda p: regions_of("image-files", p, p.parent)),
            ("features/_att/1.npz", chance, lambda p: regions_of("sgnls", p, folder / "features")),
            ("in.npz", npz(zeroshot=flat["zeroshot"]), read_zeroshot),
        ],
        "pth": [
            ("in.pytorch", eval_results(), read_sides),
            ("in.pytorch", eval_results(_use_new_zipfile_serialization=False), read_sides),
            ("in.pth", weights("authors"), read_checkpoint),
            ("in.pth", weights("uniter"), read_uniter),
        ],
        "h5": [
            ("in.h5", h5(**even), lambda p: regions_of("bottom-up-h5", p)),
            ("in.h5", h5(**uneven), lambda p: regions_of("bottom-up-h5", p)),
            ("in.h5", vg[next(n for n in vg if n.endswith(".h5"))], lambda p: read_graphs(p, dictionary)),
        ],
        "safetensors": [
            ("in.safetensors", (folder / "r.safetensors").read_bytes(), stored),
        ],
        "json": [
            ("in.json", json.dumps({"1.png": graph}).encode(), graphs_of),
            ("in.json", json.dumps(coco).encode(), lambda p: read_coco(p, p.parent, Skipped())),
            ("in.jsonl", b'{"image": "1.png", "captions": ["a cat"], "triplets": [["a", "on", "b"]]}\n' * 3,
             lambda p: read_jsonl(p, p.parent, Skipped())),
            ("in.json", dictionary.read_bytes(), read_names),
            ("in.json", vg["image_data.json"], read_image_list),
            ("in.json", b'[{"image_id": 1, "regions": []}, {"image_id": 2}]', lambda p: list(read_objects(p))),
            ("in.json", b'["cat", "dog"]', Vocabulary.from_file),
        ],
    }  # fmt: skip
    return made


EXTREMES = [struct.pack(form, n) for form in ("<i", ">i", "<q", ">q") for n in (-1, 2**31 - 1, -(2**31), 2**16)]
EXTREMES += [struct.pack("<Q", n) for n in (2**63 - 1, 2**62, 2**40, 2**33)] + [bytes(8), b"\xff" * 8]
WORDS = [
    b"1e999",
    b"NaN",
    b"null",
    b"-1",
    b"9" * 40,
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b'"\\ud800"',
    b"\xff\xfe",
]
WORDS += [b"true", b'"\\u001b[2J"', b"{}", b"[]", b'""', b"1.5", b"9999999999999"]


ODD = [np.array(5), np.array("word"), np.array([]), np.zeros((0, 2**16)), np.zeros((2, 0)), np.array([[["a"]]])]
ODD += [np.full((2, 4), value) for value in (np.nan, np.inf, -1, 1e300, 2**62, 1j, True, b"a")]
ODD += [
    np.zeros((1,) * 20),
    np.array([2**64 - 1], np.uint64),
    np.array([0.5, 1e30]),
    np.arange(2),
    np.ones(4, np.float16),
]


def mutated(rng: np.random.Generator, data: bytes, others: list[bytes], text: bool) -> bytes:
    """The bytes, damaged in one of the ways that files are, or are made to be."""
    raw = bytearray(data)
    at, to = sorted(rng.integers(0, len(raw) + 1, 2).tolist())
    way = rng.integers(8)
    if way < 2 and raw:
        for place in rng.integers(0, len(raw), rng.integers(1, 9)):
            raw[place] = rng.integers(256)
    elif way == 2 and raw:
        raw[rng.integers(len(raw))] ^= 1 << rng.integers(8)
    elif way == 3:
        raw[at:] = b""
    elif way == 4:
        raw[at : min(to, at + 64)] = b""
    elif way == 5:
        raw[at:at] = raw[at:to] * rng.integers(1, 4)
    elif way == 6:
        other = others[rng.integers(len(others))]
        raw[at:] = other[min(at, len(other)) :]
    else:
        pieces = WORDS if text else EXTREMES
        piece = pieces[rng.integers(len(pieces))]
        raw[at : at + (rng.integers(0, 12) if text else len(piece))] = piece
    return bytes(raw)


def forged_results(rng: np.random.Generator) -> bytes:
    """A pickle by hand, alone or as a part of grounding results."""
    names = list(FORGED)
    body = FORGED[names[rng.integers(len(names))]]
    keys = [b"X" + struct.pack("<I", len(n)) + n for n in (b"gt_classes", b"relations", b"gd_boxes", b"gd_scores")]
    if rng.integers(2):
        values = [b"]"] * 4
        values[rng.integers(4)] = body
        body = b"}K\x11}(" + b"".join(k + v for k, v in zip(keys, values, strict=True)) + b"us"
    return b"\x80\x02" + body + b"."


def damaged(rng: np.random.Generator, kind: str, data: bytes, others: list[bytes]) -> bytes:
    """A file of a kind; in zips, one of the members rather than the zip, whose checksums would show it."""
    if kind == "pickle" and rng.integers(8) == 0:
        made = forged_results(rng)
        return mutated(rng, made, others, False) if rng.integers(2) else made
    if kind == "npy" and rng.integers(4) == 0:
        listed = {1: [5, "a", None, {}, [[1, 2], [3]], *ODD][rng.integers(len(ODD) + 5)]}
        return saved(np.array(listed, dtype=object))
    if kind == "npy" and rng.integers(4) == 0:
        head, _, _ = saved(np.array({}, dtype=object)).partition(b"\x80")
        return head + forged_results(rng)
    if data[:2] == b"PK" and rng.integers(5):
        members = unpacked(data)
        name = list(members)[rng.integers(len(members))]
        if kind == "npz" and rng.integers(3) == 0:
            return packed(members | {name: saved(ODD[rng.integers(len(ODD))])})
        if kind == "pth" and rng.integers(2):
            name = next(n for n in members if n.endswith("data.pkl"))
            if rng.integers(4) == 0:
                return packed(members | {name: forged_results(rng)}, zipfile.ZIP_STORED)
        content = mutated(rng, members[name], list(members.values()), False)
        return packed(members | {name: content}, zipfile.ZIP_STORED if kind == "pth" else zipfile.ZIP_DEFLATED)
    return mutated(rng, data, others, kind == "json")


def main(count: int, seed: int) -> None:
    """Reads `count` files and prints what came of them."""
    rng, made = np.random.default_rng(seed), seeds(FOLDER)
    for listed in made.values():
        for name, data, read in listed:  # each is read as it is
            (FOLDER / name).parent.mkdir(exist_ok=True)
            (FOLDER / name).write_bytes(data)
            read(FOLDER / name)
    before = peak()
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 2**30, mapped + 2**30))
    figures = {kind: Counter() for kind in made}
    bugs: dict[str, bytes] = {}
    began, slowest = time.process_time(), 0.0
    for kind in rng.choice(list(SHARES), count, p=np.array(list(SHARES.values())) / sum(SHARES.values())):
        listed = made[kind]
        name, data, read = listed[rng.integers(len(listed))]
        path = FOLDER / name
        path.write_bytes(damaged(rng, kind, data, [other for _, other, _ in listed]))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process
        start = time.process_time()
        try:
            read(path)
            figures[kind]["values"] += 1
        except InputError as error:
            figures[kind]["errors"] += 1
            if path.name not in str(error):
                bugs[f"{kind}: without the file's name: {str(error)[:200]}"] = path.read_bytes()
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-4:]
            where = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in last)
            bugs[f"{kind}: {type(error).__name__} {str(error)[:100]} {where}"] = path.read_bytes()
        slowest = max(slowest, time.process_time() - start)
        path.write_bytes(data)
    signal.setitimer(signal.ITIMER_PROF, 0)
    for number, content in enumerate(bugs.values()):
        (FOLDER / f"bug{number}").write_bytes(content)
    found = {"kinds": figures, "bugs": list(bugs), "slowest": slowest, "seconds": time.process_time() - began}
    print(json.dumps(found | {"before": before, "peak": peak()}))


def peak() -> int:
    """The most memory that this process had at once, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(int(sys.argv[2]), int(sys.argv[3]))
