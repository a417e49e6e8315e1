"""Files that were not really fetched: what a clone without Git LFS, or a server that asks for a login, leaves."""

import pytest

from groundgraph.data.fetched import check_fetched
from groundgraph.data.images import ImageError, open_image
from groundgraph.data.text import read_json
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.caption_tables import read_rows
from groundgraph.formats.h5 import open_h5
from groundgraph.formats.mat import load_mat
from groundgraph.formats.refcoco import read_refcoco
from groundgraph.formats.webdataset import read_tar

# github.com/git-lfs/git-lfs, docs/spec.md; what Google Drive answers for a large file begins so.
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32\nsize 12345\n"
)
PAGE = b'\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title><meta http-equiv="content-type"'
READERS = {
    "psg.json": lambda path: read_json(path, "psg.json"),
    "captions.csv": lambda path: list(read_rows(path)),
    "train.parquet": lambda path: list(read_rows(path)),
    "00000.tar": lambda path: list(read_tar(path)),
    "VG-SGG.h5": lambda path: open_h5(path, "VG-SGG.h5"),
    "anno_bbox.mat": lambda path: load_mat(path, ("bbox_train",)),
    "refs(unc).p": lambda path: read_refcoco(path, None, "train", Skipped()),
    "photo.jpg": open_image,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [(POINTER, r"a pointer of Git LFS.*git lfs pull"), (PAGE, r"a web page, not a file of data")],
)
def test_what_lies_there_is_named(tmp_path, name, content, message):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError if name == "photo.jpg" else InputError, match=rf"{path.stem[:4]}.*{message}"):
        READERS[name](path)


def test_files_of_data_pass(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"<annotation><filename>a.jpg</filename></annotation>")
    check_fetched(path)
    check_fetched(tmp_path / "none")
    check_fetched(tmp_path)
