"""Captions as people store them, second part: rows with splits, tables beside pictures, shards by patterns, lists."""

import io
import json
import tarfile

import pytest
from test_caption_files import picture, read, splits_of
from test_graph_data import write

from groundgraph.data.sources.shards import shard_paths
from groundgraph.errors import InputError


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_say_their_splits(tmp_path, form):
    # nlphuji/flickr30k on the hub: one table, flickr_annotations_30k.csv, whose rows have Karpathy's split; COCO's
    # have restval too (yerevann/coco-karpathy). Trained on whole, its test images would be.
    splits = ("train", "test", "val", "restval", "unused")
    rows = [
        {"raw": json.dumps([f"{name} .", "B ."]), "sentids": "[0, 1]", "split": name, "filename": f"{name}.jpg"}
        for name in splits
    ]
    for name in splits:
        picture(tmp_path / "images" / f"{name}.jpg")
    path = tmp_path / f"table.{form}"
    if form == "csv":
        quoted = [",".join('"{}"'.format(cell.replace('"', '""')) for cell in row.values()) for row in rows]
        path.write_text("\n".join(["raw,sentids,split,filename", *quoted, ""]))
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.Table.from_pylist(rows), path)
    keys = {"images": str(tmp_path / "images")}
    assert splits_of(path) == ("train", "validation", "test")
    own, _, notes = read("table", path, tmp_path, **keys)
    assert own == [("train.jpg", ("train .", "B .")), ("restval.jpg", ("restval .", "B ."))]
    assert notes == ["splits that are not read: unused"]
    for split, name in (("validation", "val.jpg"), ("test", "test.jpg")):
        assert [image for image, _ in read("table", path, tmp_path, split, **keys)[0]] == [name]


def test_rows_of_one_split_are_all_trained_on(tmp_path):
    picture(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text("filename,split,raw\na.jpg,test,One .\n")
    assert splits_of(tmp_path / "t.csv") == ("train",)
    assert len(read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))[0]) == 1


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_imagefolder_of_datasets(tmp_path, form):
    # huggingface.co/docs/hub/datasets-image: metadata.csv or metadata.jsonl beside the pictures of each split, or in
    # the folder above theirs.
    texts = {"train": ["0001.png", "inner/0002.png"], "test": ["0001.png"]}
    for split, names in texts.items():
        for name in names:
            picture(tmp_path / "pokemon" / split / name)
        rows = [{"file_name": name, "text": f"a {split}, {name}"} for name in names]
        lines = [json.dumps(row) for row in rows]
        if form == "csv":
            lines = ["file_name,text", *('{file_name},"{text}"'.format(**row) for row in rows)]
        write(tmp_path / "pokemon" / split / f"metadata.{form}", "\r\n".join(lines) + "\r\n")
    path = tmp_path / "pokemon"
    assert splits_of(path) == ("train", "test")
    for keys in ({}, {"images": str(path)}):
        own, examples, notes = read("table", path, tmp_path, **keys)
        names = [("train/0001.png", ("a train, 0001.png",)), ("train/inner/0002.png", ("a train, inner/0002.png",))]
        assert own == names and not notes
        assert examples[1].path == str(path / "train" / "inner" / "0002.png")
        assert read("table", path, tmp_path, "test", **keys)[0] == [("test/0001.png", ("a test, 0001.png",))]
    lone, _, _ = read("table", path / "train" / f"metadata.{form}", tmp_path)
    assert [name for name, _ in lone] == ["0001.png", "inner/0002.png"]


def test_a_list_of_rows_as_albef_and_blip_have_it(tmp_path):
    # coco_karpathy_train.json of salesforce/ALBEF and BLIP: a row a caption; flickr30k_test.json: a list of captions.
    # LLaVA's blip_laion_cc_sbu_558k_meta.json calls it blip_caption.
    picture(tmp_path / "val2014" / "COCO_val2014_000000522418.jpg")
    name = "val2014/COCO_val2014_000000522418.jpg"
    rows = [{"caption": f"A woman {k} .", "image": name, "image_id": "coco_522418"} for k in range(2)]
    keys = {"images": str(tmp_path)}
    path = write(tmp_path / "coco_karpathy_train.json", rows)
    assert read("table", path, tmp_path, **keys)[0] == [(name, ("A woman 0 .", "A woman 1 ."))]
    path = write(tmp_path / "flickr30k_test.json", [{"image": name, "caption": ["One .", "Two ."]}])
    assert read("table", path, tmp_path, **keys)[0] == [(name, ("One .", "Two ."))]
    path = write(tmp_path / "meta.json", [{"id": "0", "image": name, "blip_caption": "One .", "url": "u"}])
    with pytest.raises(InputError, match=r"there are 'id', 'image', 'blip_caption', 'url': set data\.columns\.caption"):
        read("table", path, tmp_path, **keys)
    assert read("table", path, tmp_path, **keys, columns={"caption": "blip_caption"})[0] == [(name, ("One .",))]
    path = write(tmp_path / "captions_val2014.json", {"images": [], "annotations": []})
    with pytest.raises(InputError, match=r"a table is a list of them; of COCO's captions set data\.source"):
        read("table", path, tmp_path, **keys)


def tar_of(path, key, caption, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in ((f"{key}.jpg", picture(colour=colour)), (f"{key}.txt", caption.encode())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_shards_named_by_a_pattern(tmp_path):
    # webdataset and open_clip name shards by braces: "/data/{00000..00012}.tar".
    for k in (8, 9, 10):
        tar_of(tmp_path / f"{k:05d}.tar", f"{k:09d}", f"caption {k}")
    for pattern in ("{00008..00010}.tar", "*.tar", "{00008,00009,00010}.tar", "000[01]?.tar"):
        own, _, notes = read("webdataset", tmp_path / pattern, tmp_path)
        assert [texts for _, texts in own] == [("caption 8",), ("caption 9",), ("caption 10",)] and not notes, pattern
    with pytest.raises(InputError, match=r"00011\.tar: no such file"):
        read("webdataset", tmp_path / "{00008..00011}.tar", tmp_path)
    with pytest.raises(InputError, match=r"\*\.parquet: no such file"):
        read("table", tmp_path / "*.parquet", tmp_path)
    assert shard_paths("{a,b}/{1..2}.tar") == [*map(type(tmp_path), ("a/1.tar", "a/2.tar", "b/1.tar", "b/2.tar"))]


def test_shards_of_one_name_in_two_folders(tmp_path):
    # img2dataset numbers each crawl's shards from 00000.
    for folder, colour in (("cc3m", "red"), ("sbu", "blue")):
        tar_of(tmp_path / "shards" / folder / "00000.tar", "000000000", f"of {folder}", colour)
    own, examples, notes = read("webdataset", tmp_path / "shards", tmp_path)
    assert [texts for _, texts in own] == [("of cc3m",), ("of sbu",)] and not notes
    assert len({name for name, _ in own}) == 2
    assert open(examples[0].path, "rb").read() == picture(colour="red") != open(examples[1].path, "rb").read()


def test_several_captions_in_a_members_text(tmp_path):
    # clip_benchmark's wds_flickr30k and wds_mscoco_captions on the hub: a caption a line.
    tar_of(tmp_path / "0.tar", "s0000000", "A man rides .\nTwo dogs .\n")
    assert read("webdataset", tmp_path / "0.tar", tmp_path)[0][0][1] == ("A man rides .", "Two dogs .")


@pytest.mark.parametrize(
    "line", ["a.jpg,Two young , White males are outside .", "a.jpg;Two young , White males are outside ."]
)
def test_commas_without_quotes_and_semicolons(tmp_path, line):
    # Kaggle's copies of Flickr's captions.txt differ in their quotes; a spreadsheet where commas are decimal points
    # writes semicolons.
    picture(tmp_path / "a.jpg")
    (tmp_path / "captions.txt").write_text(f"image{line[5]}caption\n{line}\n")
    own, _, notes = read("table", tmp_path / "captions.txt", tmp_path, images=str(tmp_path))
    assert own == [("a.jpg", ("Two young , White males are outside .",))] and not notes


def test_a_quote_that_nobody_closes_takes_no_rows_along(tmp_path):
    lines = ['a.jpg,"A man rides', "b.jpg,Two dogs run", 'c.jpg,"A red, small kite"', 'd.jpg,"A cat']
    for name in "abcd":
        picture(tmp_path / f"{name}.jpg")
    (tmp_path / "captions.csv").write_text("\r\n".join(["image,caption", *lines, ""]))
    own, _, notes = read("table", tmp_path / "captions.csv", tmp_path, images=str(tmp_path))
    texts = ["A man rides", "Two dogs run", "A red, small kite", "A cat"]
    assert own == [(f"{name}.jpg", (text,)) for name, text in zip("abcd", texts, strict=True)] and not notes


def test_a_caption_of_several_lines_stays_one(tmp_path):
    picture(tmp_path / "a.jpg")
    (tmp_path / "captions.csv").write_text('image,caption\na.jpg,"A man,\nriding, a horse"\n')
    own, *_ = read("table", tmp_path / "captions.csv", tmp_path, images=str(tmp_path))
    assert [" ".join(text.split()) for _, texts in own for text in texts] == ["A man, riding, a horse"]


def test_pictures_as_bare_bytes(tmp_path):
    # A parquet's binary column, without the struct of the `datasets` library.
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"image": picture(colour=colour), "text": colour} for colour in ("red", "blue")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    own, examples, notes = read("table", tmp_path / "x.parquet", tmp_path)
    assert [texts for _, texts in own] == [("red",), ("blue",)] and not notes
    assert open(examples[1].path, "rb").read() == rows[1]["image"]


def test_pictures_named_with_folders_that_are_not_there(tmp_path):
    # Karpathy's filepath with COCO's pictures in one folder, and tables that name another machine's paths.
    picture(tmp_path / "flat" / "COCO_val2014_000000000042.jpg")
    sentences = [{"raw": "A boy .", "tokens": [], "sentid": 1}]
    image = {
        "filepath": "val2014",
        "filename": "COCO_val2014_000000000042.jpg",
        "split": "train",
        "sentences": sentences,
    }
    path = write(tmp_path / "dataset_coco.json", {"images": [image], "dataset": "coco"})
    for source, file in (("karpathy", path), ("table", tmp_path / "t.csv"), ("table", tmp_path / "w.csv")):
        (tmp_path / "t.csv").write_text("image,caption\n/data/coco/val2014/COCO_val2014_000000000042.jpg,A boy .\n")
        (tmp_path / "w.csv").write_text("image,caption\nC:\\coco\\COCO_val2014_000000000042.jpg,A boy .\n")
        own, examples, notes = read(source, file, tmp_path, images=str(tmp_path / "flat"))
        assert [texts for _, texts in own] == [("A boy .",)] and not notes
        assert examples[0].path == str(tmp_path / "flat" / "COCO_val2014_000000000042.jpg")


def test_a_table_without_its_pictures_says_where_it_looked(tmp_path):
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,One .\n")
    _, _, (note,) = read("table", tmp_path / "t.csv", tmp_path)
    assert "a.jpg: no such image" in note and "name the folder of the pictures as data.images" in note


@pytest.mark.parametrize("cell", ["['A man .', \"It's \\n here .\"]", "['A man .'\n \"It's \\n here .\"]"])
def test_lists_that_pandas_wrote_into_a_csv(tmp_path, cell):
    # pandas.DataFrame.to_csv of a column of lists (a hub data set's), or of NumPy's arrays (a parquet's): their repr.
    picture(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text('image,caption\na.jpg,"{}"\n'.format(cell.replace('"', '""')))
    own, _, notes = read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))
    assert own == [("a.jpg", ("A man .", "It's here ."))] and not notes
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,[sic] a dog\n")
    assert read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))[0] == [("a.jpg", ("[sic] a dog",))]


def test_a_table_without_a_header_is_told_to_have_one(tmp_path):
    (tmp_path / "t.csv").write_text("a.jpg,One .\n")
    with pytest.raises(
        InputError, match=r"t\.csv: its first line names no columns but a picture; write `image,caption`"
    ):
        read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))


@pytest.mark.parametrize("images", [None, "photos"])
def test_a_folder_of_pictures_with_a_text_each(tmp_path, images):
    # As kohya-ss/sd-scripts (caption_extension: .txt) and img2dataset (output_format: files) keep captions.
    for name, text in (("10_dog/a.png", "a dog , running\n"), ("b.JPG", "One .\r\nTwo .\r\n"), ("c.jpg", "")):
        picture(tmp_path / "photos" / name)
        write(tmp_path / "photos" / name.replace(".png", ".txt").replace(".JPG", ".txt").replace(".jpg", ".txt"), text)
    keys = {"images": None if images is None else str(tmp_path / images)}
    own, examples, notes = read("table", tmp_path / "photos", tmp_path, **keys)
    assert own == [("10_dog/a.png", ("a dog , running",)), ("b.JPG", ("One .", "Two ."))]
    assert examples[0].path == str(tmp_path / "photos" / "10_dog" / "a.png")
    assert [note.split(",")[0] for note in notes] == ["1 rows without a caption"]


def test_rows_apart_beyond_those_that_are_held(tmp_path, monkeypatch):
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
    monkeypatch.setattr("groundgraph.data.sources.captions.HELD", 3)
    lines = ["a.jpg,1", "b.jpg,2", "a.jpg,3", "a.jpg,4", ",5", "b.jpg,6", ",7", ",8"]
    (tmp_path / "t.csv").write_text("\n".join(["image,caption", *lines, ""]))
    own, _, notes = read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))
    assert own == [("a.jpg", ("1", "3")), ("b.jpg", ("2",))]
    assert [note.split(",")[0] for note in notes] == ["2 images that come again", "2 rows without a picture"]
