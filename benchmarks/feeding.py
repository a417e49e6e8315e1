"""How many images a second can the processor feed a GPU? Decoding and preparing alone, by 1, 2, ... threads.

    python benchmarks/feeding.py [FOLDER] [--images N]

FOLDER holds photos; by default noise of 640 x 480 is saved as JPEG, which is as slow to decode as photos of detail.
What a stage prepares: regions, the whole picture as bytes; teachers, the picture at 384 x 384 (ALBEF, BLIP); crops, 36
boxes at 224 x 224 (CLIP); map, the picture at 448 x 448 (`teachers.expert.features: map`). Bytes go to the GPU, where
they become floats. The last line is one JSON object: images a second, by threads.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from needs import needs, require
from PIL import Image

from groundgraph.data.images import open_image

BOXES = 36


def resized(image: Image.Image, side: int, box: tuple[float, ...] | None = None) -> np.ndarray:
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


def crops(path: str) -> list[np.ndarray]:
    image, rng = open_image(path), np.random.default_rng(0)
    corners = rng.random((BOXES, 2)) * (0.5 * image.width, 0.5 * image.height)
    sides = (0.1 + 0.4 * rng.random((BOXES, 2))) * (image.width, image.height)
    return [resized(image, 224, (*low, *(low + side))) for low, side in zip(corners, sides, strict=True)]


STAGES: dict[str, Callable[[str], object]] = {
    "regions": lambda path: np.asarray(open_image(path)),
    "teachers": lambda path: resized(open_image(path), 384),
    "crops": crops,
    "map": lambda path: resized(open_image(path), 448),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as drawn:
        folder = arguments.folder or Path(drawn)
        if arguments.folder is None:
            rng = np.random.default_rng(0)
            for i in range(arguments.images):
                coarse = Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
                coarse.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=90)
        paths = [str(p) for p in sorted(folder.rglob("*")) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
        paths = paths[: arguments.images]
        require(bool(paths), f"{folder}: no photos")
        report: dict[str, dict[str, float]] = {}
        for name, prepare in STAGES.items():
            report[name] = {}
            for threads in [n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1)]:
                with ThreadPoolExecutor(threads) as pool:
                    began = time.perf_counter()
                    list(pool.map(prepare, paths))
                    report[name][str(threads)] = round(len(paths) / (time.perf_counter() - began), 1)
            began = time.process_time()
            for path in paths:
                prepare(path)
            report[name]["a core"] = round(len(paths) / (time.process_time() - began), 1)
            print(f"{name}: " + ", ".join(f"{rate:.0f} images/s by {who}" for who, rate in report[name].items()))
    print(json.dumps(report))


if __name__ == "__main__":
    with needs():
        main()
