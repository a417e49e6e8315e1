"""Every command and every piece of Python in docs/ runs, a page at a time, in the order of the page.

HTML comments before a block say what its reader cannot see:

    <!-- test: file NAME -->         the block is written to a file (without a comment a block of data is only text)
    <!-- test: given WHAT -->        runs/demo, photos or official (GIVEN) lie in the page's folder from here on
    <!-- test: small -->             commands that run a recipe get SMALL
    <!-- test: with WORDS -->        commands that run a recipe get these words
    <!-- test: replace OLD with NEW... -->  in Python, one setting becomes several
    <!-- test: not run, REASON -->   the block cannot run here

A recipe that reads Visual Genome is dry-run, for the data are not here; FOLDER in a command is photos.
"""

import contextlib
import io
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from captioned import captioned_photos
from markdown_it import MarkdownIt
from PIL import Image
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.stages.own_photos import open_recipe

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md") if "reference" not in p.parts)
SMALL = shlex.split(
    "--set data.train=40 --set data.validation=8 --set data.test=16 --set grounding.dimension=32 "
    "--set grounding.epochs=2 --set sgg.training.epochs=1"
)
COMMENT = re.compile(r"<!-- test: (.*?) -->", re.S)
INLINE = re.compile(r"`groundgraph ([a-z-]+)")


@dataclass
class Block:
    """A fenced or indented block with the comments since the last one."""

    language: str
    text: str
    comments: list[str] = field(default_factory=list)

    def asked(self, what: str) -> list[str]:
        return [c[len(what) + 1 :] for c in self.comments if c.split()[0] == what]


def blocks(text: str) -> list[Block]:
    found, comments = [], []
    for token in MarkdownIt().parse(text):
        if token.type == "html_block":
            comments += COMMENT.findall(token.content)
        elif token.type in ("fence", "code_block"):
            commands = token.type == "code_block" and token.content.startswith("groundgraph ")
            found.append(Block("bash" if commands else token.info, token.content, comments))
            comments = []
    return found


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """runs/demo as `groundgraph demo` leaves it, of a few images."""
    folder = tmp_path_factory.mktemp("docs") / "demo"
    result = CliRunner().invoke(app, ["demo", "--out", str(folder), *SMALL])
    assert result.exit_code == 0, result.output
    return folder


def photos(folder: Path) -> None:
    """A dozen pictures with captions; one of them is the pages' beach.jpg."""
    first = captioned_photos(folder, 12)[0]
    Image.open(folder / f"{first.image_id}.png").convert("RGB").save(folder / "beach.jpg")
    (folder / f"{first.image_id}.png").unlink()
    captions = folder / "captions.jsonl"
    captions.write_text(captions.read_text().replace(f"{first.image_id}.png", "beach.jpg"))


def official(file: Path) -> None:
    """Grounding results as the authors' code pickles them: a man (entity 0) on a horse (1)."""
    boxes = [np.array([3, 7]), np.array([5, 1])]
    scores = [np.array([0.7, 0.2]), np.array([0.6, 0.3])]
    entry = {"gt_classes": np.array([78, 57]), "relations": np.array([[0, 1, 31]])}
    file.write_bytes(pickle.dumps({"2343729": entry | {"gd_boxes": boxes, "gd_scores": scores}}))


class Page:
    """A folder where a page's blocks run, and the names that its Python has defined."""

    def __init__(self, folder: Path, demo) -> None:
        self.folder, self.names = folder, {"__name__": "page"}
        self.given = {
            "runs/demo": lambda: shutil.copytree(demo(), folder / "runs" / "demo"),
            "photos": lambda: photos(folder / "photos"),
            "official": lambda: official(folder / "grounding_results.pkl"),
        }

    def perform(self, block: Block) -> None:
        for what in block.asked("given"):
            if what in self.given:  # once a page
                self.given.pop(what)()
        if block.asked("not"):
            self.check_options(block)
            return
        for name in block.asked("file"):
            (self.folder / name).write_text(block.text, encoding="utf-8")
            return
        if block.language == "python":
            self.python(block)
        elif block.language == "bash":
            extra = [w for words in block.asked("with") for w in shlex.split(words)]
            extra = (SMALL if ["small"] in [c.split() for c in block.comments] else []) + extra
            for line in block.text.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    self.command(words, extra)

    def python(self, block: Block) -> None:
        text = block.text
        for asked in block.asked("replace"):
            old, new = asked.split(" with ")
            assert f'"{old}"' in text
            text = text.replace(f'"{old}"', ", ".join(f'"{word}"' for word in new.split()))
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, "block", "exec"), self.names)

    def command(self, words: list[str], extra: list[str]) -> None:
        program, *rest = ["photos" if word == "FOLDER" else word for word in words]
        assert program in ("groundgraph", "python"), f"no test knows how to run {words}"
        at = 1 if program == "python" else 0
        verb = rest[at]
        allowed: tuple[int, ...] = (0,)
        if verb in ("run", "data"):
            target = rest[at + 1 + (verb == "data")]
            if self.reads_visual_genome(target):
                rest += ["--dry-run"] if verb == "run" and "--dry-run" not in rest else []
                allowed = (0, 1) if verb == "data" else (0,)  # 1: it says what is missing
        if verb in ("run", "demo"):
            rest += extra
        if program == "python":
            done = subprocess.run([sys.executable, *rest], capture_output=True, text=True, cwd=self.folder)
            code, output = done.returncode, done.stdout + done.stderr
        else:
            result = CliRunner().invoke(app, rest)
            code, output = result.exit_code, result.output + repr(result.exception or "")
        assert code in allowed, f"{shlex.join([program, *rest])}\n{output}"

    @staticmethod
    def check_options(block: Block) -> None:
        """A command that cannot run here is one at least and has the options that it is given; an extra is one."""
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(re.findall(r"\.\[(\w+)\]", block.text)) <= set(extras)
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["groundgraph"]:
                command = words[1 : 3 if words[1] == "data" else 2]  # a group's
                helped = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
                assert helped.exit_code == 0, line
                assert all(word in helped.output for word in words[2:] if word.startswith("--")), line

    @staticmethod
    def reads_visual_genome(target: str) -> bool:
        return open_recipe(target, []).data.source == "vg150"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_pages_commands_run(page, tmp_path, request, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    monkeypatch.syspath_prepend(str(tmp_path))
    sandbox = Page(tmp_path, lambda: request.getfixturevalue("demo"))
    if page == "quickstart.md":  # its first command, with the same words
        sandbox.given.pop("runs/demo")()
    for block in blocks((DOCS / page).read_text(encoding="utf-8")):
        sandbox.perform(block)


def command_names():
    named = (c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands)
    return {"data", *(name.rstrip("-") for name in named)}


def test_the_readmes_commands_are_there_with_their_options():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(INLINE.findall(text)) <= command_names()
    commands = [block for block in blocks(text) if re.search(r"^groundgraph ", block.text, re.M)]
    assert len(commands) >= 3
    for block in commands:
        Page.check_options(block)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_in_passing_is_a_command_and_no_block_is_overlooked(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert set(INLINE.findall(text)) <= command_names()
    for block in blocks(text):
        assert block.language in ("bash", "python", "json", "yaml", "text", ""), f"a {block.language} block"
        assert block.language == "bash" or not re.search(r"^(\$ )?(groundgraph|pip|python) ", block.text, re.M), block
        for comment in block.comments:
            assert comment.split()[0].rstrip(",") in ("file", "given", "small", "with", "replace", "not"), comment
