"""Stages that do not need one another, performed at the same time by processes of one thread each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter

from groundgraph.engine.run import Run
from groundgraph.engine.signals import Stopped, Withdrawn
from groundgraph.engine.stage import Stage
from groundgraph.engine.worker_pool import LISTEN, WorkerPool


def side_by_side(
    run: Run, stages: Sequence[Stage], perform: Callable[[Run, Stage], None], stop: Callable[[], None]
) -> None:
    """Perform stages, each as soon as those that it needs are done.

    A stage whose images are looked at one by one is shared by all processes; any other is one process's. Where one
    fails, or a signal comes, the others end at their next step, and go on from there in the next run.

    Args:
        run: Whose stages they are; `run.jobs` processes work.
        stages: To perform, in an order in which each comes after those that it needs.
        perform: Performs one with the run that it is given: in this process, but for its work.
        stop: Raises where a signal asks for an end.

    Raises:
        Stopped: A signal asked for it.
        BaseException: What the first stage that failed raised.
    """
    by_name = {stage.name: stage for stage in stages}
    sorter = TopologicalSorter(
        {name: [need for need in stage.needs if need in by_name] for name, stage in by_name.items()}
    )
    sorter.prepare()
    modules = sorted({_module(stage.work) for stage in stages})
    running: dict[Future[None], str] = {}
    name = ""
    # A thread for each stage that is at work: it waits for the processes.
    with ThreadPoolExecutor(len(stages)) as threads, WorkerPool(run.jobs, modules, run.bars) as pool:
        try:
            while sorter.is_active():
                for name in sorted(sorter.get_ready(), key=list(by_name).index):
                    running[threads.submit(perform, *_handed_over(run, by_name[name], pool))] = name
                done, _ = wait(running, timeout=LISTEN, return_when=FIRST_COMPLETED)
                stop()
                for future in done:
                    name = running.pop(future)
                    future.result()
                    sorter.done(name)
        except BaseException as error:
            pool.stop(error if isinstance(error, Stopped) else Withdrawn(f"{name} failed"))
            wait(running)
            pool.settle()
            raise


def _handed_over(run: Run, stage: Stage, pool: WorkerPool) -> tuple[Run, Stage]:
    """A run for one stage, and the stage with its work done by a pool: by one process, or slice by slice by all."""
    own = Run(run.recipe, run.folder, run.console, run.seconds, run.cache, executor=pool, jobs=run.jobs)
    own.bars = run.bars
    return own, stage if stage.spread else replace(stage, work=partial(pool.do, stage.work))


def _module(work: Callable[..., object]) -> str:
    """Where a stage's function is from."""
    return work.func.__module__ if isinstance(work, partial) else work.__module__
