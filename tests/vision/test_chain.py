"""Regions from the first of several files that has the image."""

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Example, Skipped
from groundgraph.vision import load_detector
from groundgraph.vision.chain import DetectorChain


def regions(path, names, width=3, categories=("dog",), left=0.0):
    boxes = np.tile(np.array([left, 0, 5, 5], np.float32), (len(names), 1, 1))
    shape = (len(names), 1)
    arrays = {"boxes": boxes, "labels": np.zeros(shape, int), "scores": np.ones(shape)}
    np.savez(path, file_names=names, categories=list(categories), features=np.ones((*shape, width)), **arrays)
    return load_detector("precomputed", str(path))


@pytest.fixture
def examples(tmp_path):
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    return [Example(name, str(tmp_path / f"{name}.png")) for name in "abc"]


def test_the_first_that_knows_an_image_answers(tmp_path, examples):
    skipped = Skipped()
    one = regions(tmp_path / "one.npz", ["a.png"])
    two = regions(tmp_path / "two.npz", ["a.png", "b.png"], left=1.0)
    found = DetectorChain([one, two]).detect(examples, skipped)
    assert [r if r is None else r.boxes[0, 0] for r in found] == [0.0, 1.0, None]
    assert [what for what, _ in skipped.items] == ["c"]


def test_regions_of_another_kind_are_refused(tmp_path, examples):
    one = regions(tmp_path / "one.npz", ["a.png"])
    with pytest.raises(ValueError, match="categories are not those"):
        DetectorChain([one, regions(tmp_path / "two.npz", ["b.png"], categories=("cat",))])
    with pytest.raises(ValueError, match=r"\[3, 4\] numbers"):
        DetectorChain([one, regions(tmp_path / "two.npz", ["b.png"], width=4)]).detect(examples, Skipped())


def test_all_are_told_which_images_there_will_be(tmp_path):
    for name in ("x/a.png", "y/a.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    two = [Example(name, str(tmp_path / name)) for name in ("x/a.png", "y/a.png")]
    detector = DetectorChain([regions(tmp_path / "one.npz", ["a.png"]), regions(tmp_path / "two.npz", ["a.png"])])
    detector.expect(two)
    skipped = Skipped()
    assert detector.detect(two[:1], skipped) == [None] and "fits both" in skipped.items[0][1]
