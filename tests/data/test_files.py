import pytest

from groundgraph.data.files import atomic_write, write_json, write_text


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old\r\n")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == b"old\r\n" and list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_utf8_are_written(tmp_path):
    write_json(tmp_path / "names.json", ["a\udce9", "é"])
    assert (tmp_path / "names.json").read_text(encoding="utf-8") == '["a\\udce9", "é"]\n'
