"""Training of a run's scene-graph model on a method's labels: on all training images, or on some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from groundgraph.data.graph_arrays import prediction_arrays
from groundgraph.data.store import counts_of
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.evaluation.recall import sgdet_recall
from groundgraph.grounding.pseudo_labels import draw_labels, keep_best, soft_labels
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.examples import Draw
from groundgraph.sgg.novel import withhold
from groundgraph.sgg.supervision import supervised
from groundgraph.sgg.training import train_sgg
from groundgraph.sgg.unions import UnionsOf, no_unions
from groundgraph.stages import pseudo_labels
from groundgraph.stages.calibration import annotated_validation
from groundgraph.stages.examples import examples, image_ids
from groundgraph.stages.names import novel, untrained_model
from groundgraph.stages.progress import done_of
from groundgraph.stages.regions import regions
from groundgraph.stages.views import viewed_regions
from groundgraph.stages.vocabulary import vocabulary
from groundgraph.training.config import OptimConfig
from groundgraph.training.trainer import Curves


def train_model(
    run: Run, method: str, unions_of: UnionsOf, places: Sequence[int] | None = None, what: str = "training"
) -> tuple[SggModel, Curves]:
    """The recipe's scene-graph model, trained on a method's labels.

    A training that is broken off goes on from its checkpoint with the same losses.

    Args:
        run: With regions and a method's pseudo labels.
        method: Whose labels.
        unions_of: Gives the visual features around pairs.
        places: The training images' places; None: all.
        what: Names the progress bar and the checkpoint.

    Returns:
        The model and its curves.
    """
    config, ids, listing = run.recipe.sgg, image_ids(run, "train"), examples(run, "train")
    training, draw = config.training, labels_of(run, method)
    if run.recipe.methods[method].supervised:  # annotated boxes are not silent: what has none is background
        loss = training.loss.model_copy(update={"unmentioned": "background", "unmentioned_pairs": "background"})
        training = training.model_copy(update={"loss": loss})
    chosen = range(len(ids)) if places is None else places
    proposals = viewed_regions(run, "train", None if places is None else tuple(ids[i] for i in places))
    unions = unions_of(listing if places is None else [listing[i] for i in places], proposals)
    model = untrained_model(run, unions.width if unions else 0).to(run.device)
    images = int((counts_of(proposals) > 0).sum())
    steps = training.epochs * -(-images // training.batch_size)
    with run.progress(f"{what} {config.model} ({method})", steps) as advance:
        curves = train_sgg(
            model,
            proposals,
            lambda i, rng: draw(chosen[i], rng),
            training,
            validate=validation_recall(run, training, unions_of),
            progress=done_of(advance),
            seed=run.recipe.seed,
            reweight=config.reweight,
            unions=unions,
            checkpoint=run.scratch() / f"{what}.pt",
            ranks=run.processes,
        )
    return model, curves


def labels_of(run: Run, method: str, surest: bool = False) -> Draw:
    """What a training step takes for true of a training image: pseudo labels, or the annotated boxes.

    Args:
        run: With regions and a method's pseudo labels.
        method: Whose labels.
        surest: Every pseudo label is of its best regions, and nothing is drawn.
    """
    draw = _every_label(run, method, surest)
    withheld = run.recipe.vocabulary.novel
    if not withheld.categories and not withheld.predicates:
        return draw
    return withhold(draw, *novel(run), renumber=run.recipe.sgg.heads == "open")


def _every_label(run: Run, method: str, surest: bool) -> Draw:
    objects, predicates = vocabulary(run)
    if run.recipe.methods[method].supervised:
        truths = [example.truth for example in examples(run, "train")]
        return supervised(truths, regions(run, "train"), objects.names, predicates.names)
    labels, config = pseudo_labels.pseudo_labels(run, method), run.recipe.pseudo_labels
    if run.recipe.methods[method].every_match:
        return lambda i, rng: draw_labels(labels[i], rng, "every")
    if surest:
        labels = [keep_best(own, 1) for own in labels]
        return lambda i, rng: draw_labels(labels[i], rng)
    if config.top:
        labels = [keep_best(own, config.top) for own in labels]
    if config.kind == "soft":
        soft = [soft_labels(own, len(objects), len(predicates)) for own in labels]
        return lambda i, rng: soft[i]
    return lambda i, rng: draw_labels(labels[i], rng, config.draw)


def validation_recall(
    run: Run, training: OptimConfig, unions_of: UnionsOf = no_unions
) -> Callable[[SggModel], float] | None:
    """R@50 (SGDet) of a model on the validation split, which early stopping goes by; None where nothing does.

    Raises:
        InputError: There is no such split with annotated boxes.
    """
    if not training.patience and training.schedule != "plateau":
        return None
    validation = annotated_validation(run, unions_of)
    if validation is None:
        raise InputError("early stopping (patience) needs validation images with annotated relations: leave it null")
    truth, graphs = validation.truth, validation.graphs
    return lambda model: sgdet_recall(truth, prediction_arrays(graphs(model)), (50,))["R@50"]
