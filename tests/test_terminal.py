"""What reaches a terminal or a pipe, whatever the names say and whatever the pipe can take."""

import io
import json
import os
import subprocess
import sys

import pytest
from rich.markup import escape
from rich.table import Table

from groundgraph.terminal import Console, visible

HOSTILE = "fly\x1b]0;owned\x07\x1b[31m\x9b2J\ud83d\rend"


def test_visible_text_keeps_lines_and_scripts():
    assert visible(HOSTILE) == "fly]0;owned[31m2J? end"
    assert visible("a\tb\n  女孩 👩‍🚒\x85") == "a\tb\n  女孩 👩‍🚒 "


def test_the_console_prints_no_control_character_and_wraps_tables_alone():
    file = io.StringIO()
    console = Console(file=file, width=30, color_system=None)
    table = Table("name", title=escape(HOSTILE))
    table.add_row(escape(HOSTILE))
    console.print(table)
    console.print(f"[red]error[/] {escape(HOSTILE)}", "word " * 20 + ":cat:")
    printed = file.getvalue()
    assert not set(printed) & {"\x1b", "\x07", "\x9b", "\ud83d", "\r"}
    assert printed.splitlines()[-1].startswith("error fly") and ":cat:" in printed.splitlines()[-1]
    assert all(len(line) <= 30 for line in printed.splitlines()[:-1])


def test_a_notebook_without_widgets_gets_lines_as_a_pipe_does(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", io)  # any module will do
    monkeypatch.setenv("FORCE_COLOR", "1")  # as ipykernel does
    console = Console(file=io.StringIO())
    assert not console.is_jupyter and not console.is_terminal
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert Console(file=io.StringIO()).is_terminal


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize(
    "command",
    [["--help"], ["run", "--help"], ["parse", "a 女孩 flies a kite → caf\u00e9 👩‍🚒"], ["run", "女孩"], ["recipes"]],
    ids=lambda command: " ".join(command)[:8],
)
def test_a_pipe_of_few_characters_takes_everything(command, encoding, tmp_path):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "60"}
    ran = subprocess.run(
        [sys.executable, "-m", "groundgraph", *command], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert b"Traceback" not in ran.stdout + ran.stderr
    assert ran.returncode == (2 if command[0] == "run" and len(command[1]) == 2 else 0), ran.stderr
    if command[0] == "run" and ran.returncode == 2:
        assert b"\\u5973\\u5b69" in ran.stdout + ran.stderr
    printed = ran.stdout.decode(encoding)
    if command[0] == "parse":
        assert json.loads(printed)["caption"] == command[1]
