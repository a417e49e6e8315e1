"""A file from a server that knows ranges or not, drops the connection, changes the file or refuses it."""

import hashlib
import io
import zipfile

import pytest
from file_server import serving
from filelock import FileLock

from groundgraph.data import fetching
from groundgraph.data.fetching import fetch_file, partial_of
from groundgraph.data.published import catalogue, coco_part, size_text
from groundgraph.data.unpacking import DamagedArchive, unpack, unpacked_size
from groundgraph.errors import InputError

CONTENT = bytes(range(256)) * 40
MD5 = ("md5", hashlib.md5(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0)
    monkeypatch.setattr(fetching, "CHUNK", 1000)


def test_a_file_is_fetched_and_counted(tmp_path):
    counts = []
    with serving({"/a.zip": CONTENT}) as server:
        fetch_file(f"{server.address}/a.zip", tmp_path / "in" / "a.zip", len(CONTENT), MD5, counts.append)
    assert (tmp_path / "in" / "a.zip").read_bytes() == CONTENT and sum(counts) == len(CONTENT)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.zip"]


def test_a_dropped_connection_is_gone_on_with(tmp_path):
    counts = []
    with serving({"/a": CONTENT}, drops=[3000, 2500]) as server:
        fetch_file(f"{server.address}/a", tmp_path / "a", len(CONTENT), MD5, counts.append)
        assert server.asked == [("/a", None), ("/a", "bytes=3000-"), ("/a", "bytes=5500-")]
    assert (tmp_path / "a").read_bytes() == CONTENT and sum(counts) == len(CONTENT)


def test_what_an_earlier_call_left_is_gone_on_with(tmp_path):
    partial_of(tmp_path / "a").write_bytes(CONTENT[:7000])
    with serving({"/a": CONTENT}) as server:
        fetch_file(f"{server.address}/a", tmp_path / "a", None, MD5)
        assert server.asked == [("/a", "bytes=7000-")]
    assert (tmp_path / "a").read_bytes() == CONTENT and not partial_of(tmp_path / "a").exists()
    partial_of(tmp_path / "b").write_bytes(CONTENT)  # all of it, before the name was changed
    with serving({"/b": CONTENT}) as server:
        fetch_file(f"{server.address}/b", tmp_path / "b", len(CONTENT), MD5)
        assert server.asked == []
    partial_of(tmp_path / "c").write_bytes(CONTENT)  # likewise, where only the server knows that it is all
    with serving({"/c": CONTENT}) as server:
        fetch_file(f"{server.address}/c", tmp_path / "c", None, MD5)
        assert server.asked == [("/c", f"bytes={len(CONTENT)}-")]


@pytest.mark.parametrize("lengths", [True, False])
def test_a_server_without_ranges_sends_all_of_it_again(tmp_path, lengths):
    counts = []
    partial_of(tmp_path / "a").write_bytes(CONTENT[:7000])
    with serving({"/a": CONTENT}, ranges=False, lengths=lengths, drops=[4000]) as server:
        fetch_file(f"{server.address}/a", tmp_path / "a", len(CONTENT), MD5, counts.append)
        assert len(server.asked) == 2
    assert (tmp_path / "a").read_bytes() == CONTENT and sum(counts) == len(CONTENT)


def test_what_is_longer_than_the_file_is_begun_anew(tmp_path):
    for name, size in (("a", len(CONTENT)), ("b", None)):
        partial_of(tmp_path / name).write_bytes(CONTENT + b"more")
        with serving({f"/{name}": CONTENT}) as server:
            fetch_file(f"{server.address}/{name}", tmp_path / name, size, MD5)
        assert (tmp_path / name).read_bytes() == CONTENT


def test_a_wrong_size_is_an_error_before_anything_is_fetched(tmp_path):
    with serving({"/a": CONTENT + b"more"}) as server:
        with pytest.raises(InputError, match="offers 10,244 bytes, and the file that was published has 10,240"):
            fetch_file(f"{server.address}/a", tmp_path / "a", len(CONTENT), MD5)
    assert not list(tmp_path.iterdir())


def test_a_wrong_sum_is_an_error_and_the_file_goes(tmp_path):
    with serving({"/a": CONTENT[::-1]}) as server:
        with pytest.raises(InputError, match=f"has the md5 sum [0-9a-f]{{32}}, the file that was published {MD5[1]}"):
            fetch_file(f"{server.address}/a", tmp_path / "a", len(CONTENT), MD5)
    assert not list(tmp_path.iterdir())


def test_a_server_that_drops_again_and_again_is_left(tmp_path):
    with serving({"/a": CONTENT}, drops=[4000, *[0] * 20]) as server:
        with pytest.raises(
            InputError, match=r"fetched 4,000 bytes, then 5 times nothing more .* run it again to go on"
        ):
            fetch_file(f"{server.address}/a", tmp_path / "a", len(CONTENT), MD5)
        assert len(server.asked) == 6
    assert partial_of(tmp_path / "a").read_bytes() == CONTENT[:4000] and not (tmp_path / "a").exists()


def test_a_server_that_goes_on_elsewhere_is_not_believed(tmp_path):
    partial_of(tmp_path / "a").write_bytes(CONTENT[:100])
    with serving({"/a": CONTENT}, shift=5) as server:
        fetch_file(f"{server.address}/a", tmp_path / "a", len(CONTENT), MD5)
        assert server.asked == [("/a", "bytes=100-"), ("/a", None)]
    with serving({"/b": CONTENT}, shift=5, drops=[4000, 0] * 20) as server:
        with pytest.raises(InputError, match="does not go on where the last ended"):
            fetch_file(f"{server.address}/b", tmp_path / "b", len(CONTENT), MD5)


def test_two_do_not_fetch_one_file(tmp_path):
    with serving({"/a": CONTENT}) as server, FileLock(tmp_path / ".a.lock"):
        with pytest.raises(InputError, match="another process is fetching it"):
            fetch_file(f"{server.address}/a", tmp_path / "a", len(CONTENT), MD5)


@pytest.mark.parametrize(("status", "times"), [(404, 1), (403, 1), (503, 5)])
def test_a_refusal_says_what_the_server_answers(tmp_path, status, times):
    with serving({"/a": CONTENT}, status=status) as server:
        with pytest.raises(InputError, match=f"server answers {status}"):
            fetch_file(f"{server.address}/a", tmp_path / "a", None, None)
        assert len(server.asked) == times


def archive(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)


def test_members_are_unpacked_where_they_belong(tmp_path):
    files = {"data/VG_100K/1.jpg": "one", "data/VG_100K/a/2.jpg": "two", "data/VG_100K_2/3.jpg": "three"}
    archive(tmp_path / "a.zip", files | {"data/list.json": "[]", "__MACOSX/list.json": "x"})
    counts = []
    unpack(tmp_path / "a.zip", "VG_100K", tmp_path / "vg" / "pictures", counts.append)
    unpack(tmp_path / "a.zip", "list.json", tmp_path / "vg" / "list.json")
    assert {str(p.relative_to(tmp_path / "vg")): p.read_text() for p in (tmp_path / "vg").rglob("*.*")} == {
        "pictures/1.jpg": "one", "pictures/a/2.jpg": "two", "list.json": "[]",
    }  # fmt: skip
    assert sum(counts) == unpacked_size(tmp_path / "a.zip", "VG_100K") == 6
    with pytest.raises(DamagedArchive, match=r"has no train2017 in it, but data/VG_100K/1\.jpg"):
        unpack(tmp_path / "a.zip", "train2017", tmp_path / "x")


def test_no_member_leads_elsewhere(tmp_path):
    archive(tmp_path / "a.zip", {"f/../../evil": "x", "f/good": "y", "f/C:\\evil": "z"})
    unpack(tmp_path / "a.zip", "f", tmp_path / "out" / "f")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.zip", "good"]


def test_damage_is_named_and_leaves_nothing(tmp_path):
    archive(tmp_path / "a.zip", {"f/a": b"0" * 5000, "f/b": b"1" * 5000}, zipfile.ZIP_STORED)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[6000] ^= 1
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(DamagedArchive, match="damaged, or no zip file"):
        unpack(tmp_path / "a.zip", "f", tmp_path / "out" / "f")
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "b.zip").write_bytes(io.BytesIO(b"<html>").getvalue())
    with pytest.raises(DamagedArchive, match="no zip file"):
        unpack(tmp_path / "b.zip", "f", tmp_path / "out" / "f")


def test_the_catalogue_is_whole(tmp_path):
    files = catalogue()
    assert len({file.address for file in files.values()}) == len(files)
    assert all(file.address.startswith(("http://", "https://")) and file.terms and file.size for file in files.values())
    assert all(file.md5 is None or len(file.md5) == 32 for file in files.values())
    assert files["coco-train2017"].size == "19.3 GB" and size_text(999) == "999 bytes"
    for name in ("train2017", "annotations/captions_val2014.json", "instances_train2017.json"):
        (part,) = coco_part(tmp_path / name)
        assert part.archive in files and part.place == tmp_path / name and not part.present
    assert coco_part(tmp_path / "photos") == coco_part(tmp_path / "captions_mine.json") == ()
