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
    shared = made(tmp_path / "uploads/1/a.png")
    here.bring("anne", shared)
    here.bring("bob", shared)
    here.leave("anne")
    assert shared.exists()
    here.leave("bob")
    here.leave("bob")
    assert not list((tmp_path / "uploads").iterdir())


def test_another_photo_replaces_the_first_with_what_was_made_of_it(tmp_path):
    here, finding = Visitors(tmp_path), object()
    first, second, download = (made(tmp_path / f"{i}/photo") for i in range(3))
    here.bring("anne", first)
    here.show("anne", finding)
    assert here.offer("anne", finding, [download]) and here.finding("anne") is finding
    here.bring("anne", second)
    here.bring("anne", second)
    assert (first.exists(), second.exists(), download.exists()) == (False, True, False)
    assert here.finding("anne") is None


def test_what_is_finished_after_its_visitor_left_is_deleted(tmp_path):
    here, finding, download = Visitors(tmp_path), object(), made(tmp_path / "1" / "a.svg")
    here.bring("anne", None)
    here.leave("anne")
    here.show("anne", finding)
    assert here.finding("anne") is None
    assert not here.offer("anne", finding, [download]) and not download.exists()


def test_files_elsewhere_are_nobodys(tmp_path):
    here, outside = Visitors(tmp_path / "uploads"), made(tmp_path / "a")
    here.bring("anne", tmp_path / "uploads" / ".." / "a")
    here.leave("anne")
    assert outside.exists()


def test_of_too_many_the_first_is_taken_to_have_left(tmp_path, monkeypatch):
    monkeypatch.setattr(visitors, "MOST", 2)
    here = Visitors(tmp_path)
    files = [made(Path(tmp_path, str(i), "photo")) for i in range(3)]
    for name, file in zip("abc", files, strict=True):
        here.bring(name, file)
    assert [file.exists() for file in files] == [False, True, True]
