"""Which of the package's files a function runs, as a hash: what other code computed is not taken for done.

Found in the source, without importing anything, since modules are imported when they are asked for. Of this
subpackage's modules, which have several stages each, only the definitions that the function refers to count, directly
or not; of all others everything that they import. Strings that name a module ("groundgraph.data.sources.vg150:...")
are imports too. A file counts as a whole, with the data files beside it.
"""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

PACKAGE = "groundgraph"
ROOT = Path(__file__).resolve().parents[1]
STAGED = f"{PACKAGE}.stages", f"{PACKAGE}.engine", f"{PACKAGE}.study"
# What carries out any stage; all that a result depends on of it is in the stage's settings.
_RECIPE = ("stages.recipe", "stages.config", "stages.teacher_config", "stages.strict")
BOOKKEEPING = {f"{PACKAGE}.{name}" for name in ("engine.run", "engine.stage", "engine.fingerprints", *_RECIPE)}
_NAMED = re.compile(rf"({PACKAGE}(?:\.\w+)+)(?::(\w+))?")
_IMPORT = re.compile(
    rf"^\s*from ({PACKAGE}[\w.]*) import (\([^)]*\)|[^\n]*)|^\s*import ({PACKAGE}[\w.]*)"
    rf"|[\"']({PACKAGE}(?:\.\w+)+)[:\"']",
    re.MULTILINE,
)
Reference = tuple[str, str]  # a module and a name in it; "": the whole module


def code_of(work: Callable[..., Any]) -> str:
    """The code that a function (or a partial of one) runs, as a hash; of one that is not the package's own, ""."""
    while isinstance(work, partial):
        work = work.func
    return _hash(files_of(work.__module__, work.__qualname__.split(".")[0]))


@cache
def made_at() -> str:
    """The commit of the package's own checkout; where there is none or it was changed since, its source's hash too."""
    words = (["ls-files", "--error-unmatch", "__init__.py"], ["describe", "--always", "--dirty", "--exclude=*"])
    commit = ""
    with suppress(OSError):  # no git
        answers = [subprocess.run(["git", "-C", ROOT, *w], capture_output=True, text=True, check=False) for w in words]
        commit = "" if any(answer.returncode for answer in answers) else f"commit {answers[1].stdout.strip()}"
    if commit and not commit.endswith("-dirty"):
        return commit
    return f"{commit} source {_hash(tuple(sorted(ROOT.rglob('*.py'))))}".lstrip()


@cache
def files_of(module: str, name: str) -> tuple[Path, ...]:
    """The package's files that a module's function or class runs, sorted; none where the module is another's."""
    reached: set[Reference] = set()
    waiting = [(module, name)]
    while waiting:
        reference = waiting.pop()
        path = _place(reference[0])
        if path is None or reference in reached or reference[0] in BOOKKEEPING:
            continue
        reached.add(reference)
        if reference[0].startswith(STAGED):
            waiting += _referred(path, *reference)
        else:
            waiting += _imported(path)
    modules = {path for reached_module, _ in reached if (path := _place(reached_module))}
    folders = {path.parent for path in modules}
    return tuple(sorted(modules | {path for folder in folders for path in _data(folder)}))


@cache
def _hash(paths: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(ROOT).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:16] if paths else ""


@cache
def _place(module: str) -> Path | None:
    """A module's file; None where the package has no such module."""
    if module.partition(".")[0] != PACKAGE:
        return None
    path = ROOT.joinpath(*module.split(".")[1:])
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache
def _data(folder: Path) -> tuple[Path, ...]:
    """The data files beside a module, such as a list of names, and in folders of nothing else.

    Not those at the top, which belong to no module, nor a model's folder, whose identity is in a stage's settings.
    """
    if folder == ROOT:
        return ()
    nested = [place for place in folder.iterdir() if place.is_dir()]
    places = [folder, *(p for p in nested if not any((p / n).exists() for n in ("__init__.py", "config.json")))]
    return tuple(f for p in places for f in p.iterdir() if f.is_file() and f.suffix not in (".py", ".pyc"))


@cache
def _imported(path: Path) -> tuple[Reference, ...]:
    """The modules that a module names anywhere, each as a whole."""
    references: list[Reference] = []
    for origin, names, plain, quoted in _IMPORT.findall(path.read_text(encoding="utf-8")):
        references += [(f"{origin}.{name}", "") for name in re.findall(r"\w+", names)]  # where it is a submodule
        references += [(module, "") for module in (origin, plain, quoted) if module]
    return tuple(references)


@cache
def _referred(path: Path, module: str, name: str) -> frozenset[Reference]:
    """What a definition of one of this subpackage's modules refers to."""
    definitions, imported = _definitions(path)
    referred = {imported[name]} if name in imported else set()
    for owner, nodes in definitions.items():
        if owner in ("", name) or not name:  # "": statements that define nothing
            referred.update(*(_references(node, module, imported) for node in nodes))
    return frozenset(referred)


def _references(node: ast.AST, module: str, imported: dict[str, Reference]) -> Iterator[Reference]:
    within = {id(child.value): child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute)}
    for child in ast.walk(node):
        if isinstance(child, ast.ImportFrom):
            yield from _bindings(child).values()
        elif (
            isinstance(child, ast.Constant)
            and isinstance(child.value, str)
            and (match := _NAMED.fullmatch(child.value))
        ):
            yield match[1], match[2] or ""
        elif isinstance(child, ast.Name):
            origin, name = imported.get(child.id, (module, child.id))
            if child.id in imported and not name:  # a module: what of it is asked for
                name = within.get(id(child), "")
            yield origin, name


@cache
def _definitions(path: Path) -> tuple[dict[str, list[ast.stmt]], dict[str, Reference]]:
    """Name -> the statements that define it, and name -> what an import binds it to, of a module's top level."""
    definitions: dict[str, list[ast.stmt]] = {}
    imported: dict[str, Reference] = {}
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ImportFrom):
            imported |= _bindings(node)
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        else:
            names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        for name in names or [""]:
            definitions.setdefault(name, []).append(node)
    return definitions, imported


def _bindings(node: ast.ImportFrom) -> dict[str, Reference]:
    """What an import of the package's own binds: name -> (module, name in it), or (module, "")."""
    bound: dict[str, Reference] = {}
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        bound[alias.asname or alias.name] = (inner, "") if _place(inner) else (node.module or "", alias.name)
    return bound
