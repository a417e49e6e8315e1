"""What a run survives: every fault is made on purpose, and what became of the run is said.

    python benchmarks/faults.py [KILLS]

A run of 124 MiniGenome images (two grounders, all stages) is made once unbroken. Then, each in a folder of its own:

kill     KILLS (20) processes get kill -9 at random moments, one each; each run then goes on: the same metrics.json?
signal   SIGINT and SIGTERM to `groundgraph run` in three stages; the command that it prints goes on
damage   every kind of artifact with a bit flipped, or cut short; named, and the one stage made anew?
full     in each stage the disk (a tmpfs) is full at once, and when half of what the stage writes is written
move     the run copied elsewhere; then mounted read-only: status, predict, evaluate, export, run

Needs root for the last two (a tmpfs is mounted); without, they are left out with the reason. Stages write a shard after
every slice of images here, so that kills fall between shards too. Prints a line a trial, and one JSON object last.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("COLUMNS", "1000")  # the commands' output is searched

import torch
from needs import needs, require
from rich.console import Console

from groundgraph.engine import extraction as streaming
from groundgraph.engine import record as manifest
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.engine.status import states
from groundgraph.stages import stages
from groundgraph.stages.recipe import find_recipe, load_recipe

SETTINGS = [
    "data.train=100", "data.validation=8", "data.test=16", "grounding.dimension=32", "grounding.epochs=4",
    "sgg.training.epochs=3", "sgg.training.batch_size=8", "grounder=[two-teachers, mil]",
]  # fmt: skip
RECIPE = load_recipe(find_recipe("demo"), SETTINGS)
COMMAND = [sys.executable, "-c", "import sys; from groundgraph.cli import app; sys.argv[0] = 'groundgraph'; app()"]
ROOM = "48m"  # of the tmpfs


def new_run(folder: Path) -> Run:
    return Run(RECIPE, folder, Console(file=StringIO()))


def whole(run: Run, truth: Path) -> bool:
    """Whether a run is done, each file is what its checksum says, and its figures are the unbroken run's."""
    done = all(s.state == "done" for s in states(run.folder, stages(RECIPE), {}, verify=True))
    return done and (run.folder / "metrics.json").read_bytes() == truth.read_bytes()


def unfinished(folder: Path) -> str:
    return ", ".join(p.stem for p in folder.glob("*.part")) or "between stages"


def fork(work: Callable[[], Any]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def kills(base: Path, place: Path, count: int) -> dict[str, Any]:
    """kill -9 at moments spread over the whole run; each in a run of its own."""
    began = time.perf_counter()
    os.waitpid(fork(lambda: execute(new_run(place / "timed"), stages(RECIPE))), 0)
    lasts = time.perf_counter() - began
    shutil.rmtree(place / "timed")
    same, where, rng = 0, [], random.Random(0)
    for i in range(count):
        folder, moment = place / f"kill-{i}", lasts * (i + rng.random()) / count
        child = fork(lambda folder=folder: execute(new_run(folder), stages(RECIPE)))
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        stage, run = unfinished(folder), new_run(folder)
        ran = execute(run, stages(RECIPE))
        good = whole(run, base / "metrics.json")
        same, where = same + good, [*where, stage]
        print(f"kill    at {moment:5.2f} s in {stage:<18} {len(ran):>2} stages run then; the same: {good}", flush=True)
        shutil.rmtree(folder)
    return {"kills": count, "same_metrics": same, "run_seconds": round(lasts, 1), "stages_hit": sorted(set(where))}


def signals(base: Path, place: Path) -> dict[str, Any]:
    """SIGINT and SIGTERM to the command itself."""
    tried = good = 0
    for stage in ("regions", "teachers", "sgg-two-teachers"):
        for number in (signal.SIGINT, signal.SIGTERM):
            folder = place / f"{stage}-{number.name}"
            words = [w for s in SETTINGS for w in ("--set", s)]
            process = subprocess.Popen([*COMMAND, "demo", "--out", folder, *words], stdout=subprocess.PIPE, text=True)
            begun = "scratch/training.pt" if stage.startswith("sgg") else "stage.json"
            while not (folder / f"{stage}.part" / begun).exists() and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(number)
            sent, output, took = time.perf_counter(), "", 0.0
            for line in process.stdout:
                output += line
                took = took or ("Go on with" in line and time.perf_counter() - sent)
            process.wait()
            clean = process.returncode == 128 + number and "Traceback" not in output
            how = shlex.split(output.partition("Go on with: ")[2].splitlines()[0]) if clean else ["?"]
            kept = "with its checkpoint" if (folder / f"{stage}.part" / "scratch" / "training.pt").exists() else ""
            at = unfinished(folder)
            again = subprocess.run([*COMMAND, *how[1:]], capture_output=True, text=True)
            same = again.returncode == 0 and whole(new_run(folder), base / "metrics.json")
            tried, good = tried + 1, good + (clean and same)
            print(f"{number.name:<7} in {at:<10} {kept:<20} after {took:.2f} s, exit code {process.returncode}; "
                  f"the command printed goes on, the same: {same}", flush=True)  # fmt: skip
            shutil.rmtree(folder)
    return {"signals": tried, "clean_and_same_metrics": good}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def by_kind(folder: Path) -> dict[Any, Path]:
    """One file of every kind (its ending; a stage's record) of every stage."""
    files: dict[Any, Path] = {}
    for stage in stages(RECIPE):
        for path in sorted(p for p in (folder / stage.name).rglob("*") if p.is_file()):
            files.setdefault((stage.name, path.suffix, path.name == manifest.NAME), path)
    return files


def damage(base: Path, place: Path) -> dict[str, Any]:
    """One file of every kind, in every stage."""
    folder, tried, named, mended = place / "damaged", 0, 0, 0
    shutil.copytree(base, folder)
    kinds = list(by_kind(folder))
    for kind in kinds:
        for harm in (flip, cut):
            path = by_kind(folder)[kind]  # a shard made anew has another name
            harm(path)
            stage, run = path.relative_to(folder).parts[0], new_run(folder)
            bad = [s for s in states(run.folder, stages(RECIPE), {}) if s.state == "damaged"]
            is_named = [s.stage for s in bad] == [stage] and str(path) in bad[0].detail
            ran = execute(run, stages(RECIPE))
            good = ran == [stage] and str(path) in run.console.file.getvalue() and whole(run, base / "metrics.json")
            tried, named, mended = tried + 1, named + is_named, mended + good
            if not (is_named and good):
                print(f"damage  {harm.__name__} {path}: named {is_named}, mended {good}, ran {ran}")
    print(f"damage  {tried} times in {len(kinds)} files, every kind of every stage: {named} named, {mended} mended")
    return {"damaged": tried, "named": named, "only_that_stage_made_anew_and_same": mended}


def checkpoints(base: Path, place: Path) -> dict[str, Any]:
    """A training's checkpoint, at every 64th byte flipped or cut: refused, or the same training goes on."""
    folder = place / "checkpoint"
    shutil.copytree(base, folder)
    shutil.rmtree(folder / "sgg-mil")
    begun = subprocess.Popen([*COMMAND, "run", folder / "recipe.yaml", "--out", folder], stdout=subprocess.DEVNULL)
    path = folder / "sgg-mil.part" / "scratch" / "training.pt"
    while not path.exists() and begun.poll() is None:
        time.sleep(0.002)
    begun.kill()
    begun.wait()
    content, refused, same, tried = path.read_bytes(), 0, 0, 0
    rng = random.Random(0)
    for i in range(40):
        harmed = bytearray(content)
        at = rng.randrange(len(content))
        if i % 4 == 3:
            harmed = harmed[:at]
        else:
            harmed[at] ^= 1 << rng.randrange(8)
        trial = place / "trial"
        shutil.copytree(folder, trial)
        (trial / path.relative_to(folder)).write_bytes(harmed)
        run = new_run(trial)
        try:
            execute(run, stages(RECIPE))
            good = whole(run, base / "metrics.json")
            same += good
            if not good:
                print(f"checkpoint harmed at byte {at}: OTHER FIGURES, unnoticed")
        except ValueError as error:
            named = "training.pt" in str(error)
            refused += named
            if not named:
                print(f"checkpoint harmed at byte {at}: {error}")
        tried += 1
        shutil.rmtree(trial)
    print(f"damage  {tried} times in a checkpoint: {refused} refused by its name, {same} without effect on the figures")
    return {"checkpoints_damaged": tried, "refused": refused, "without_effect": same}


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def take_all_but(place: Path, left: int) -> None:
    """Fill a disk but for `left` bytes."""
    with contextlib.suppress(OSError), (place / "ballast").open("ab", buffering=0) as file:
        while shutil.disk_usage(place).free > left:
            file.write(bytes(min(1 << 20, max(4096, shutil.disk_usage(place).free - left))))


def full(base: Path, place: Path) -> dict[str, Any]:
    """In every stage, at two moments."""
    tried = named = kept = 0
    with small_disk(place) as disk:
        folder = disk / "run"
        for i, stage in enumerate(stages(RECIPE)):
            size = sum(p.stat().st_size for p in (base / stage.name).rglob("*") if p.is_file())
            for left in (0, size // 2):

                def work(run: Run, out: Path, stage: Stage = stage, left: int = left) -> dict[str, Any]:
                    take_all_but(disk, left)
                    return stage.work(run, out)

                run = new_run(folder)
                try:
                    execute(run, [*stages(RECIPE)[:i], replace(stage, work=work)])
                    error = ""
                except Exception as caught:  # whatever a user would see
                    error = str(caught)
                (disk / "ballast").unlink(missing_ok=True)
                before = [
                    s
                    for s in states(folder, stages(RECIPE), {}, verify=True)
                    if s.state not in ("due", "failed", "stopped")
                ]
                good = [s.state for s in before] == ["done"] * i
                tried, named, kept = tried + 1, named + (error.startswith(f"{folder}: the disk is full")), kept + good
                if not error.startswith(f"{folder}: the disk is full") or not good:
                    print(f"full    {stage.name} with {left} of {size} bytes left: {error[:300]!r}; whole: {good}")
            execute(new_run(folder), stages(RECIPE)[: i + 1])
        same = whole(new_run(folder), base / "metrics.json")
    print(f"full    {tried} times in {i + 1} stages: {named} named so, {kept} without harm; at last the same: {same}")
    return {"full": tried, "named": named, "nothing_harmed": kept, "same_metrics": same}


def moved(base: Path, place: Path) -> dict[str, bool]:
    """Copied onto another disk, without its times; then that disk read-only."""
    results = {}
    with small_disk(place / "disk") as disk:
        folder = Path(shutil.copytree(base, disk / "elsewhere", copy_function=shutil.copyfile))
        image = str(next((folder / "images").glob("test-*.png")))
        commands = {
            "status": ["status", folder, "--verify"],
            "predict": ["predict", folder, image, "--out", place / "drawn"],
            "evaluate": ["evaluate", folder / "sgg-two-teachers" / "graphs.safetensors"],
            "export": ["export", folder, place / "labels.jsonl", "--what", "pseudo-labels", "--format", "jsonl"],
            "run": ["run", folder / "recipe.yaml", "--out", folder],
        }
        for how in ("moved", "read-only"):
            if how == "read-only":
                subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            for name, words in commands.items():
                done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True)
                results[f"{how}: {name}"] = good = done.returncode == 0 and "Traceback" not in done.stderr
                if not good:
                    print(f"{how} {name}: {done.stdout[-400:]} {done.stderr[-800:]}")
        refused = subprocess.run([*COMMAND, "predict", folder, image], capture_output=True, text=True)
        results["read-only: writing into it is one clear line"] = (
            refused.returncode == 2 and "Read-only" in refused.stdout and "Traceback" not in refused.stderr
        )
    print(f"move    {results}")
    return results


def main() -> None:
    require(hasattr(os, "fork"), "kills processes that it forks, which this system cannot do")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.set_num_threads(1)
    streaming.FLUSH_SECONDS = streaming.FLUSH_SHARE = 0.0
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        base = place / "unbroken"
        os.waitpid(fork(lambda: execute(new_run(base), stages(RECIPE))), 0)  # models stay out of this process
        report["kill"] = kills(base, place, count)
        report["signal"] = signals(base, place)
        report["damage"] = damage(base, place)
        report["checkpoint"] = checkpoints(base, place)
        for name, trial in (("full", full), ("move", moved)):
            try:
                report[name] = trial(base, place / name)
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                print(f"{name} left out: no tmpfs can be mounted here ({error})")
    print(json.dumps(report))


if __name__ == "__main__":
    with needs():
        main()
