"""Captions as data sets store them: tables, tars, Karpathy's splits; what they yield, leave out and refuse."""

import io
import json
import tarfile
from contextlib import contextmanager

import pytest
from PIL import Image
from pydantic import TypeAdapter

from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import Data
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError


@contextmanager
def bar(what, total):
    yield lambda count: None


def read(source, captions, folder, split="train", **keys):
    skipped = Skipped()
    part = {"source": source, "captions": str(captions)} | keys
    own = open_source(TypeAdapter(Data).validate_python(part), folder / "run")
    examples = list(own.stream(split, skipped, bar))
    return [(e.image_id, e.captions) for e in examples], examples, [why for _, why in skipped.items]


def picture(path=None, colour="red"):
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    target = path or io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(target, "JPEG")
    return None if path else target.getvalue()


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.jpg", "000000000.jpg", "00000/000000001.jpg"):
        picture(tmp_path / "images" / name)
    return tmp_path


def test_flickrs_csv(folder):
    lines = ["image_name| comment_number| comment", "a.jpg| 0| A man rides .", 'a.jpg| 1| Two, in a "row"|']
    (folder / "results.csv").write_text("\n".join([*lines, "b.jpg| 0|  ", "gone.jpg| 0| Gone ."]))
    rows, examples, notes = read("table", folder / "results.csv", folder, images=str(folder / "images"))
    assert rows == [("a.jpg", ("A man rides .", 'Two, in a "row"'))]
    assert examples[0].path == str(folder / "images" / "a.jpg")
    assert [note.split(",")[0] for note in notes] == ["1 rows without a caption", "1 images that are not there"]


def test_flickr8k_and_a_list_in_a_cell(folder, monkeypatch):
    (folder / "captions.txt").write_text('image,caption\na.jpg,"One, two ."\na.jpg,Three .\nb.jpg,Four .\na.jpg,Late\n')
    rows, _, notes = read("table", folder / "captions.txt", folder, images=str(folder / "images"))
    assert rows == [("a.jpg", ("One, two .", "Three .", "Late")), ("b.jpg", ("Four .",))] and not notes
    monkeypatch.setattr("groundgraph.data.sources.captions.HELD", 3)  # rows are held no longer
    rows, _, notes = read("table", folder / "captions.txt", folder, images=str(folder / "images"))
    assert rows == [("a.jpg", ("One, two .", "Three .")), ("b.jpg", ("Four .",))]
    assert "images that come again" in notes[0]
    (folder / "hub.csv").write_text('raw,split,filename\n"[""One ."", ""Two .""]",train,a.jpg\n')
    assert read("table", folder / "hub.csv", folder, images=str(folder / "images"))[0] == [
        ("a.jpg", ("One .", "Two ."))
    ]


def test_conceptual_captions_tsv_has_img2datasets_names(folder):
    (folder / "cc3m.tsv").write_text('a "very" red sea\thttp://x.org/1.jpg\na man\thttp://x.org/2.jpg\n')
    rows, examples, _ = read("table", folder / "cc3m.tsv", folder, images=str(folder / "images"))
    assert rows == [("000000000", ('a "very" red sea',)), ("000000001", ("a man",))]
    assert examples[1].path.endswith("images/00000/000000001.jpg")


def test_an_unknown_column_lists_those_that_are_there(folder):
    (folder / "x.csv").write_text("photo,words\na.jpg,One .\n")
    keys = {"images": str(folder / "images")}
    with pytest.raises(InputError, match=r"no column that is usual for the image; there are 'photo', 'words'"):
        read("table", folder / "x.csv", folder, **keys)
    with pytest.raises(InputError, match=r"no column 'text'; there are 'photo', 'words': set data\.columns\.caption"):
        read("table", folder / "x.csv", folder, **keys, columns={"image": "photo", "caption": "text"})
    columns = {"image": "photo", "caption": "words"}
    assert read("table", folder / "x.csv", folder, **keys, columns=columns)[0] == [("a.jpg", ("One .",))]


def test_laions_parquet_by_keys_and_a_folder_of_files(folder):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"url": ["u", "v", "w"], "caption": ["One", None, "Three"], "key": ["000000000", "000000001", "000000009"]}
    (folder / "shards").mkdir()
    pq.write_table(pa.table(table), folder / "shards" / "00000.parquet")
    rows, _, notes = read("table", folder / "shards", folder, images=str(folder / "images"))
    assert rows == [("000000000", ("One",))] and len(notes) == 2
    with pytest.raises(InputError, match="no column 'TEXT'; there are 'url', 'caption', 'key'"):
        read("table", folder / "shards", folder, images=str(folder / "images"), columns={"caption": "TEXT"})
    (folder / "broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="damaged, or no parquet file"):
        read("table", folder / "broken.parquet", folder, images=str(folder / "images"))


def test_a_hugging_face_folder_has_its_pictures_in_it(folder):
    pa = pytest.importorskip("pyarrow")
    rows = [{"image": {"bytes": picture(), "path": f"{i}.jpg"}, "caption": [f"A {i} .", "B ."]} for i in range(3)]
    table = pa.Table.from_pylist(rows)
    (folder / "hub").mkdir()
    (folder / "hub" / "state.json").write_text("{}")
    with pa.OSFile(str(folder / "hub" / "data-00000-of-00001.arrow"), "wb") as file:
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    rows, examples, _ = read("table", folder / "hub", folder)
    assert rows[2] == ("2.jpg", ("A 2 .", "B ."))
    assert Image.open(examples[2].path).size == (8, 6) and str(folder / "run") in examples[2].path
    assert len(read("table", folder / "hub", folder, train=2)[0]) == 2


def arrow(path, rows):
    """As `datasets` writes it: a stream, not a file."""
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pylist(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def state(folder, count):
    names = [{"filename": f"data-{i:05d}-of-{count:05d}.arrow"} for i in range(count)]
    content = {"_data_files": names, "_fingerprint": "4d91eb515451703d", "_format_columns": None, "_split": None}
    (folder / "state.json").write_text(json.dumps(content))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))


def row(number, side=8):
    target = io.BytesIO()
    Image.new("RGB", (side, 6), "red").save(target, "JPEG")
    return {"image": {"bytes": target.getvalue(), "path": f"{number}.jpg"}, "caption": [f"A {side} .", "B ."]}


def splits_of(captions):
    return TypeAdapter(Data).validate_python({"source": "table", "captions": str(captions)}).splits


def test_a_saved_dataset_dict_has_its_splits(folder):
    saved = folder / "saved"
    for split, sides in {"train": (8, 9), "validation": (10,), "test": (11,), "extra": (12,)}.items():
        for shard, side in enumerate(sides):
            arrow(saved / split / f"data-{shard:05d}-of-{len(sides):05d}.arrow", [row(0, side), row(1, side)])
        state(saved / split, len(sides))
    arrow(saved / "train" / "cache-1234.arrow", [row(5)])  # which `map` leaves there
    (saved / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test", "extra"]}')
    assert splits_of(saved) == ("train", "validation", "test")
    _, examples, notes = read("table", saved, folder)
    assert [Image.open(e.path).width for e in examples] == [8, 8, 9, 9]
    assert [e.captions[0] for e in examples] == ["A 8 .", "A 8 .", "A 9 .", "A 9 ."]
    assert len({e.image_id for e in examples}) == 4  # each shard has a 0.jpg, and they are two pictures
    assert notes == ["splits that are not read: extra"]
    for split, side in (("validation", 10), ("test", 11)):
        assert [Image.open(e.path).width for e in read("table", saved, folder, split)[1]] == [side, side]
    assert [Image.open(e.path).width for e in examples] == [8, 8, 9, 9]  # not written over
    (saved / "train" / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    with pytest.raises(InputError, match="entries without a file's name"):
        read("table", saved, folder)


def test_a_hub_repository_has_its_splits(folder):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    hub = folder / "hub"
    (hub / "data").mkdir(parents=True)
    for name in ("train-00000-of-00002", "train-00001-of-00002", "val-00000-of-00001", "testA-00000-of-00001"):
        side = 8 + len(list(hub.rglob("*.parquet")))
        pq.write_table(pa.Table.from_pylist([row(0, side)]), hub / "data" / f"{name}.parquet")
    assert splits_of(hub) == ("train", "validation")
    assert [Image.open(e.path).width for e in read("table", hub, folder)[1]] == [8, 9]
    assert [Image.open(e.path).width for e in read("table", hub, folder, "validation")[1]] == [10]
    card = (
        "---\nlicense: mit\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/val-*\n"
    )
    (hub / "README.md").write_text(card + "  - split: test\n    path:\n    - data/testA-*\n---\n# Card\n")
    assert splits_of(hub) == ("train", "test")
    assert [Image.open(e.path).width for e in read("table", hub, folder, "test")[1]] == [11]
    two = "---\nconfigs:\n- config_name: a\n  data_files: data/a-*\n- config_name: b\n  data_files: data/b-*\n---\n"
    (hub / "README.md").write_text(two)
    with pytest.raises(InputError, match="several configurations, a, b"):
        splits_of(hub)


@pytest.mark.parametrize("files", ["../x.csv", "/etc/*", "", [3], "{split: train}", "[[3]]"])
def test_a_card_that_names_no_file_of_its_folder_is_refused(folder, files):
    (folder / "hub").mkdir()
    text = json.dumps(files) if not isinstance(files, str) or files[:1] not in ("{", "[") else files
    (folder / "hub" / "README.md").write_text(f"---\nconfigs:\n- config_name: a\n  data_files: {text}\n---\n")
    if files != "":  # which says nothing
        with pytest.raises(InputError, match="no file in this folder"):
            splits_of(folder / "hub")
    (folder / "hub" / "README.md").unlink()
    (folder / "hub" / "state.json").write_text('{"_data_files": 5}')
    with pytest.raises(InputError, match="entries without a file's name"):
        splits_of(folder / "hub")


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (("train.csv", "test.csv"), ("train", "test")),
        (("a/training/x.csv", "a/my-dev_set/x.csv"), ("train", "validation")),
        (("contest.csv", "trainer.csv"), ("train",)),
        (("results.csv",), ("train",)),
        (("eval.csv",), ("train",)),
    ],
)
def test_splits_by_names_are_the_librarys(folder, files, splits):
    """Compared with `datasets` 5.2's own patterns when this was written."""
    for name in files:
        (folder / "tables" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tables" / name).write_text("image,caption\na.jpg,One .\n")
    assert splits_of(folder / "tables") == splits
    assert len(read("table", folder / "tables", folder, images=str(folder / "images"))[0]) == 1


def test_splits_without_one_to_train_on_are_listed(folder):
    for name in ("val.csv", "test.csv"):
        (folder / "tables").mkdir(exist_ok=True)
        (folder / "tables" / name).write_text("image,caption\na.jpg,One .\n")
    with pytest.raises(InputError, match="no split to train on; there are validation, test"):
        splits_of(folder / "tables")


def test_webdatasets_tars(folder):
    with tarfile.open(folder / "00000.tar", "w") as tar:
        for name, data in {
            "000000000.jpg": picture(),
            "000000000.txt": b"a red sea",
            "000000000.json": json.dumps({"caption": "not this"}).encode(),
            "000000001.json": json.dumps({"caption": "a man"}).encode(),
            "000000001.jpg": picture(),
            "000000002.jpg": picture(),
            "000000003.txt": b"no picture",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    rows, examples, notes = read("webdataset", folder / "00000.tar", folder)
    assert rows == [("00000/000000000.jpg", ("a red sea",)), ("00000/000000001.jpg", ("a man",))]
    assert Image.open(examples[1].path).size == (8, 6)
    assert [note.split(",")[0] for note in notes] == ["1 rows without a caption", "1 rows without a picture"]
    (folder / "bad.tar").write_bytes(b"no tar at all" * 99)
    with pytest.raises(InputError, match="damaged, or no tar"):
        read("webdataset", folder / "bad.tar", folder)


def test_karpathys_splits(folder):
    def image(name, split, *sentences):
        own = [{"raw": text, "tokens": [], "imgid": 0, "sentid": 0} for text in sentences]
        return {"filename": name, "split": split, "sentences": own, "imgid": 0, "sentids": [0]}

    picture(folder / "images" / "val2014" / "c.jpg")
    moved = image("c.jpg", "restval", "Three .") | {"filepath": "val2014", "cocoid": 9}
    images = [image("a.jpg", "train", "One .", "Two ."), moved, image("b.jpg", "val", "Four .")]
    (folder / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    keys = {"images": str(folder / "images")}
    path = folder / "dataset_coco.json"
    assert read("karpathy", path, folder, **keys)[0] == [("a.jpg", ("One .", "Two .")), ("val2014/c.jpg", ("Three .",))]
    assert read("karpathy", path, folder, "validation", **keys)[0] == [("b.jpg", ("Four .",))]
