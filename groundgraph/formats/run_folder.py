"""A run's own files: graphs.safetensors of its SGG models, and its examples."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.graph_arrays import prediction_arrays
from groundgraph.data.records import example_of, read_lines
from groundgraph.data.store import Ragged
from groundgraph.data.text import read_json
from groundgraph.data.types import Graph
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.formats.entries import name as name_of
from groundgraph.formats.sides import NamedPredictions, NamedTruth, Side

_FIELDS = ("boxes", "labels", "scores", "pairs", "predicate_scores")


def read_run_graphs(path: Path, side: Side) -> NamedPredictions:
    """The graphs that a run's model predicted, RUN/sgg-METHOD/graphs.safetensors.

    config.json beside it has the names.

    Raises:
        InputError: Either is missing or damaged; names the file.
    """
    if side == "truth":
        raise InputError(f"{path}: holds predictions; a run's ground truth is RUN/examples/SPLIT.jsonl")
    store, config = Ragged(path), path.with_name("config.json")
    missing = set(_FIELDS) - set(store.columns)
    if missing:
        raise InputError(f"{path}: holds no graphs (without {', '.join(sorted(missing))}); give a graphs.safetensors")
    try:
        names = read_json(config, "the run's own")["extra"]
        vocabularies = tuple(tuple(map(name_of, names[part])) for part in ("categories", "predicates"))
        for part in vocabularies:
            Vocabulary(part)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{config}: does not name the graphs' categories and predicates ({error!r})") from error
    graphs = []
    for image in store:
        boxes, labels, scores, pairs, table = (store[image][field] for field in _FIELDS)
        width = 1 + len(vocabularies[1])
        if boxes.size != 4 * len(labels) or pairs.size % 2 or table.size != width * (pairs.size // 2):
            raise InputError(
                f"{path}, image {image!r}: {boxes.shape} boxes, {labels.shape} labels, {pairs.shape} pairs and "
                f"{table.shape} scores do not fit each other and the {width - 1} predicates of {config}"
            )
        graphs.append(Graph(boxes.reshape(-1, 4), labels, scores, pairs.reshape(-1, 2), table.reshape(-1, width)))
    if any(g.labels.max(initial=0) > len(vocabularies[0]) for g in graphs):
        raise InputError(f"{path}: a label is larger than the {len(vocabularies[0])} categories of {config}")
    return NamedPredictions(prediction_arrays(graphs), store.ids, None, vocabularies)


def run_truth(path: Path) -> Path:
    """The file of a run's examples that its graphs `path` are of. Raises InputError where the run has none such."""
    ids, folder = set(Ragged(path).ids), path.parent.parent / "examples"
    for file in sorted(folder.glob("*.jsonl")):
        if {str(record.get("id")) for record in read_lines(file)} == ids:
            return file
    raise InputError(f"{folder} has no file of the images in {path}; give the ground truth as second argument")


def read_examples(path: Path, side: Side) -> NamedTruth:
    """The ground truth of a run's examples, RUN/examples/SPLIT.jsonl.

    Examples without any are left out.

    Raises:
        InputError: It is none such or has no ground truth; names the file.
    """
    if side == "predictions":
        raise InputError(f"{path}: holds ground truth; a run's predictions are RUN/sgg-METHOD/graphs.safetensors")
    try:
        examples = (example_of(record, path.parent.parent) for record in read_lines(path))
        annotated = [example for example in examples if example.truth is not None]
        for truth in (e.truth for e in annotated):
            ends = [end for subject, _, object_ in truth.relations for end in (subject, object_)]
            if len(truth.boxes) != len(truth.labels) or not all(0 <= end < len(truth.labels) for end in ends):
                raise ValueError("boxes, labels and relations do not fit each other")
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a run's examples ({error!r}); give RUN/examples/SPLIT.jsonl") from error
    if not annotated:
        raise InputError(f"{path}: no image has ground truth")
    return NamedTruth([e.truth for e in annotated], [str(e.image_id) for e in annotated], [e.path for e in annotated])
