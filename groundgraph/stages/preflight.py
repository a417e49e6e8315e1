"""What a recipe needs before it runs: which files and models are here, which are not, and where to get them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from groundgraph.data.sources.needs import Need
from groundgraph.engine.dry_run import done_stages
from groundgraph.engine.execute import execute
from groundgraph.engine.folder import require_own
from groundgraph.engine.record import NAME
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage, with_needs
from groundgraph.errors import InputError
from groundgraph.models.hub import obstacles, torchvision_weights
from groundgraph.stages import stages
from groundgraph.stages.alignment import mapped_triplets
from groundgraph.stages.parsed import unread
from groundgraph.stages.recipe import Recipe

PAPER = {
    "unlocalized_graph": (406_000, 58_000),
    "vg_caption": (498_000, 62_000),
    "coco_caption": (131_000, 57_000),
}  # mapped triplets and images of the paper's Table 1


def needs(recipe: Recipe) -> list[Need]:
    """Everything that a run of the recipe reads and does not make itself, the data first."""
    return _needs_of(stages(recipe))


def _needs_of(listing: Sequence[Stage]) -> list[Need]:
    return list({(need.what, need.place): need for stage in listing for need in stage.requirements()}.values())


def require(run: Run) -> None:
    """Before hours are spent: raise InputError naming all that a stage that is due lacks, as `require_all`."""
    listing = stages(run.recipe)
    if all(need.present for need in _needs_of(listing)):
        return
    require_own(run.folder, run.recipe, [stage.name for stage in listing])
    done = done_stages(run, listing)
    require_all(_needs_of([stage for stage in listing if not done[stage.name]]))


def require_all(needs: Sequence[Need]) -> None:
    """Raise InputError naming all that is missing and cannot be fetched by itself, with the ways to go on.

    Whether a model can be fetched is asked by one short request.
    """
    absent = [need for need in needs if not need.present]
    whys, lines = obstacles(need.source for need in absent if need.source), []
    for need in absent:
        if not need.source:
            place = os.path.abspath(os.path.expanduser(need.place)) if os.sep in need.place else need.place
            lines.append(f"{place}: missing ({need.what})" + (f"; {need.origin}" if need.origin else ""))
            lines[-1] += ", or `groundgraph data fetch`" if need.parts else ""
        elif why := whys.get(need.source):
            lines.append(f"{need.place} ({need.what}) is not here, and {why}, {ways(need)}")
    if lines:
        raise InputError("\n".join(lines))


def ways(need: Need) -> str:
    """How to go on without what cannot be fetched."""
    if "://" in need.source:
        place = torchvision_weights(need.place)[1]
        return f"or put the file of {need.source} at {place}, or --set {need.key}=FOLDER"
    return (
        f"or --set {need.key}=FOLDER (or package:NAME, a model that pip brings), or let HF_HOME name a folder "
        "whose hub cache has it"
    )


def count_supervision(run: Run) -> dict[str, int]:
    """Run the stages up to the concept map in the run's folder (the run itself then skips them) and give its counts.

    Raises:
        InputError: The folder holds a run that got further by another recipe, which counting would write over.
    """
    counted = with_needs(stages(run.recipe), ["concepts"])
    _require_own_recipe(run, [stage.name for stage in counted])
    execute(run, counted)
    counts = run.record("examples")["counts"] | unread(run) | run.record("concepts")["counts"] | mapped_triplets(run)
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def _require_own_recipe(run: Run, counted: Sequence[str]) -> None:
    """Check that a folder's run has no stages but the counted ones, or is by the same recipe."""
    begun = {record.parent.name.removesuffix(".part") for record in run.folder.glob(f"*/{NAME}")}
    recipe = run.folder / "recipe.yaml"
    if begun <= set(counted) or not recipe.is_file() or recipe.read_bytes() == run.recipe.yaml().encode():
        return
    own = shlex.join(["groundgraph", "data", "check", str(recipe), "--out", str(run.folder)])
    raise InputError(
        f"{run.folder} holds a run by another recipe, which counting would write over: count in another folder "
        f"(--out FOLDER), count by that recipe ({own}), or add --no-count"
    )
