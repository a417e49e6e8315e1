"""What a stage's result depends on, as a hash, by which it is known whether the stage is due."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from groundgraph.engine.code import code_of
from groundgraph.engine.stage import Stage

LAYOUT = 3  # of the stages' files: raised when another version could not read them


def fingerprints(stages: Sequence[Stage]) -> dict[str, str]:
    """What each stage's result depends on, as a hash."""
    by_stage: dict[str, str] = {}
    for stage in stages:
        by_stage[stage.name] = fingerprint(stage, [by_stage[name] for name in stage.needs])
    return by_stage


def fingerprint(stage: Stage, needs: Sequence[str]) -> str:
    """What a stage depends on, as a hash: its settings and files, the stages it reads, the code that it runs."""
    made_by = [version("groundgraph"), LAYOUT, code_of(stage.work)]
    content = json.dumps([stage.name, stage.settings, stage.files(), list(needs), made_by], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def file_identity(path: str | Path) -> list[Any]:
    """A file or folder of files, for a fingerprint: names and sizes, and what is in them up to 64 MB each."""
    path = Path(path)
    if not path.exists():
        return [str(path), "absent"]
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [[p.name, p.stat().st_size, _content(p)] for p in files]


def file_states(paths: Iterable[str | Path]) -> str:
    """Files that are too many or too large to read, for a fingerprint: their names, sizes and times, as a hash."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            state = os.stat(path)
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode(errors="surrogatepass"))
        except (OSError, ValueError):  # ValueError: no name of a file at all
            digest.update(f"{path} absent\n".encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]


def _content(path: Path) -> str:
    if path.stat().st_size > 64 << 20:
        return str(path.stat().st_mtime_ns)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
