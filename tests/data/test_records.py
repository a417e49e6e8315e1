"""JSON lines read by position."""

import pytest

from groundgraph.data.records import Lines, read_lines, write_lines


def test_lines_are_read_by_position(tmp_path, monkeypatch):
    monkeypatch.setattr("groundgraph.data.records._BLOCK", 7)  # lines that cross the blocks looked through
    path = tmp_path / "a.jsonl"
    records = [{"text": "zwei\nZeilen \u2028 größer" * i, "i": i} for i in range(9)]
    assert write_lines(path, iter(records)) == 9
    lines = Lines(path, lambda record: record["i"])
    assert len(lines) == 9 and list(lines) == list(range(9)) and lines[-1] == 8 and lines[2:7:2] == [2, 4, 6]
    assert list(read_lines(path)) == records == [Lines(path, dict)[i] for i in range(9)]
    with pytest.raises(IndexError):
        lines[9]
    write_lines(path, [])
    assert len(Lines(path, dict)) == 0 and Lines(path, dict)[:3] == []


def test_damage_names_file_and_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"i": 0}\n{"i": \xff}\n{"i": 2}\n')
    lines = Lines(path, dict)
    assert lines[0] == {"i": 0} and lines[2] == {"i": 2}
    for read in (lambda: lines[1], lambda: list(lines), lambda: list(read_lines(path))):
        with pytest.raises(ValueError, match=r"a\.jsonl, line 2: not JSON"):
            read()
    path.write_bytes(b'{"i": 0}\n{"i": 1')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1: cut off"):
        Lines(path, dict)
