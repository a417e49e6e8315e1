"""Sentences that say why figures of an evaluation are missing, and which are of a part of the annotations."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from groundgraph.data.types import GroundTruth

CAPTIONS = "captions"
BY_CAPTIONS = (
    "precision and calibration are estimated, no relation being annotated: on images held out from training, right is "
    "what a caption says of the very boxes, scaled up by the share of relations that captions speak of"
)


def detection_notes(
    truths: Sequence[GroundTruth],
    relations: int,
    means: dict[str, int],
    annotated: Sequence[str],
) -> list[str]:
    """Of graphs and objects.

    Args:
        truths: The annotations.
        relations: How many true ones the vocabularies have.
        means: Category of the vocabulary -> the number, from 1, of the annotated one that it counts as, 0: none.
        annotated: Those that are measured, see `evaluation.annotated_categories`.
    """
    names = {name for truth in truths for name in truth.labels}
    if not names:
        return ["nothing is measured: no box is annotated"]
    notes = []
    if not relations:
        count = sum(len(truth.relations) for truth in truths)
        why = f"none of the {count:,} annotated relations is in the vocabulary" if count else "no relation is annotated"
        notes.append(f"no SGDet recall: {why}")
    if not annotated:
        notes.append(f"no mAP50: no category of the vocabulary means an annotated one ({_some(names)})")
    elif names - set(annotated):
        notes.append(
            f"mAP50 is over {len(annotated)} of {len(names)} annotated categories; nothing in the vocabulary means "
            f"{_some(names - set(annotated))}"
        )
    if others := [f"{name} as {annotated[k - 1]}" for name, k in means.items() if k and annotated[k - 1] != name]:
        notes.append(f"mAP50 counts {_some(others)}")
    return notes


def grounding_notes(truths: Sequence[GroundTruth], chance: dict[str, float | None]) -> list[str]:
    """Of grounding, by `chance`, a random grounder's accuracy a group of entities, None where there are none."""
    if chance["all"] is None:
        return ["no grounding accuracy: no entity of a caption means an annotated object"]
    notes = []
    if chance["ambiguous"] is None:
        mentioned = any(truth.mentions for truth in truths)
        unsaid = "the annotations do not say which object a caption means"
        why = "no measured entity has a rival" if mentioned else unsaid
        notes.append(f"no ambiguous entities: {why}")
    if chance["unseen"] is None:
        notes.append("no unseen entities: the detector knows the category of every measured one")
    return notes


def _some(names: Collection[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(sorted(names)[:most]) + more
