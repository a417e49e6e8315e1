"""Vocabularies: places, files, and the bundled lists."""

import json
from pathlib import Path

import pytest

from groundgraph.data.vocabulary import COCO80, OPENIMAGES601, VG150_OBJECTS, VG150_PREDICATES, Vocabulary

SHARED = Path(__file__).parents[2].parent / "shared"


def test_places():
    vocabulary = Vocabulary(("dog", "cat"))
    assert [vocabulary.index(n) for n in ("dog", "cat", "cow")] == [0, 1, -1]
    assert len(vocabulary) == 2 and vocabulary == Vocabulary(("dog", "cat"))


def test_sizes():
    assert [len(v) for v in (VG150_OBJECTS, VG150_PREDICATES, OPENIMAGES601, COCO80)] == [150, 50, 601, 80]


def test_files(tmp_path):
    (tmp_path / "a.txt").write_text("__background__\ndog\n\ncat\n")
    (tmp_path / "b.json").write_text('["dog", "cat"]')
    assert Vocabulary.from_file(tmp_path / "a.txt") == Vocabulary.from_file(tmp_path / "b.json")


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '["a", "a"]', "[1]"])
def test_bad_files_are_named(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json"):
        Vocabulary.from_file(tmp_path / "bad.json")
    with pytest.raises(ValueError, match=r"none\.txt"):
        Vocabulary.from_file(tmp_path / "none.txt")


@pytest.mark.skipif(not (SHARED / "data/vg").exists(), reason="needs ../shared")
def test_vg150_is_in_the_published_order():
    raw = json.loads((SHARED / "data/vg/VG-SGG-dicts-with-attri.json").read_text())
    assert VG150_OBJECTS.names == tuple(raw["idx_to_label"][str(i)] for i in range(1, 151))
    assert VG150_PREDICATES.names == tuple(raw["idx_to_predicate"][str(i)] for i in range(1, 51))
