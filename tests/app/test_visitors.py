"""Files are deleted when their visitor leaves, and not before."""

from pathlib import Path

from groundgraph.app import visitors
from groundgraph.app.visitors import Visitors


def made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_file_goes_with_the_last_who_has_it(tmp_path):
    here = Visitors(tmp_path / "uploads")
    shared, own = made(tmp_path / "uploads/1/a.png"), made(tmp_path / "uploads/2/b.png")
    sample = made(tmp_path / "samples/c.png")
    here.keep("anne", "photo", [shared])
    here.keep("bob", "photo", [shared])
    here.keep("bob", "downloads", [own, sample])
    here.leave("anne")
    assert shared.exists()
    here.leave("bob")
    here.leave("bob")
    assert sample.exists() and not list((tmp_path / "uploads").iterdir())


def test_another_photo_replaces_the_first_and_no_download(tmp_path):
    here = Visitors(tmp_path)
    first, second, download = (made(tmp_path / f"{i}/photo") for i in range(3))
    here.keep("anne", "photo", [first])
    here.keep("anne", "downloads", [download])
    here.keep("anne", "photo", [second])
    here.keep("anne", "photo", [second])
    assert (first.exists(), second.exists(), download.exists()) == (False, True, True)


def test_a_path_out_of_the_folder_is_nobodys(tmp_path):
    here, outside = Visitors(tmp_path / "uploads"), made(tmp_path / "a")
    here.keep("anne", "photo", [tmp_path / "uploads" / ".." / "a"])
    here.leave("anne")
    assert outside.exists()


def test_of_too_many_the_first_is_taken_to_have_left(tmp_path, monkeypatch):
    monkeypatch.setattr(visitors, "MOST", 2)
    here = Visitors(tmp_path)
    files = [made(Path(tmp_path, str(i), "photo")) for i in range(3)]
    for name, file in zip("abc", files, strict=True):
        here.keep(name, "photo", [file])
    assert [file.exists() for file in files] == [False, True, True]
