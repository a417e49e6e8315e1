"""What is odd about graphs that are to be measured, seen in the two sides together."""

from __future__ import annotations

import numpy as np

from groundgraph.data.boxes import box_iou
from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners
from groundgraph.errors import InputError
from groundgraph.evaluation.evaluate import count_unseen
from groundgraph.evaluation.matching import join
from groundgraph.formats.sides import Sides

_FEW = 0.1  # of all true boxes; chance finds some, any detector more
_CELLS = 2_000_000  # pairs of boxes compared


def overlap_notes(predictions: PredictionArrays, truth: TruthArrays) -> list[str]:
    """A note where hardly a true box has a predicted one around the same pixels, whatever both are called.

    That is a sign of two frames that differ in a way that neither side's boxes show: another scale, y before x.

    Args:
        predictions: the predicted graphs of N images.
        truth: the true graphs of the same images.
    """
    true, predicted = owners(truth.box_offsets), owners(predictions.box_offsets)
    counts = np.diff(truth.box_offsets) * np.diff(predictions.box_offsets)
    images = np.searchsorted(np.cumsum(counts), _CELLS, "right")  # the first ones tell
    rows, columns = join(true[true < images, None], predicted[predicted < images, None])
    if not len(rows):
        return []
    covered = np.unique(rows[box_iou(truth.boxes[rows], predictions.boxes[columns], inclusive=True) >= 0.5])
    share = len(covered) / (true < images).sum()
    if share >= _FEW:
        return []
    return [
        f"{share:.0%} of the true boxes have a predicted box with IoU 0.5, of any category: are both sides [x1, y1, "
        "x2, y2] in pixels of one picture, and the images the same?"
    ]


def zeroshot_notes(unseen: np.ndarray, sides: Sides, where: str) -> list[str]:
    """What is odd about zero-shot triplets beside the graphs that are measured, as notes.

    Args:
        unseen: [Z, 3] (subject label, object label, predicate).
        sides: the graphs.
        where: the triplets' file.

    Raises:
        InputError: where they can only be numbered otherwise, or stand in another order.
    """
    if sides.vocabularies is not None:
        limits = [len(names) for names in sides.vocabularies]
    else:
        limits = [None, sides.predictions.predicate_scores.shape[1] - 1 if len(sides.predictions.pairs) else None]
    for kind, numbers, limit in (("category", unseen[:, :2], limits[0]), ("predicate", unseen[:, 2], limits[1])):
        if limit is not None and numbers.max(initial=0) > limit:
            raise InputError(
                f"{where}: a triplet has {kind} {numbers.max()}, but there are {limit}; give rows of (subject label, "
                "object label, predicate), numbered from 1"
            )
    if count_unseen(sides.truth, unseen):
        return []
    if not len(unseen):
        return [f"{where} lists no triplet: zR and ngzR are not measured"]
    other = count_unseen(sides.truth, unseen[:, [0, 2, 1]])
    hint = f" ({other} relations would be, were they [subject, predicate, object])" if other else ""
    return [f"no true relation is of the {len(unseen)} triplets of {where}{hint}: zR and ngzR are not measured"]
