"""What a run is made of: one function a stage, in the order of the data flow.

Each reads the artifacts of the stages before it, writes its own into the folder it is given, and gives its counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.data.images import open_image
from groundgraph.data.minigenome import CATEGORIES, PREDICATES
from groundgraph.data.records import example_record, parsed_record, write_lines
from groundgraph.data.sources import open_source
from groundgraph.data.store import Ragged, RaggedWriter, RegionsWriter, StoredRegions
from groundgraph.data.types import Entity, Example, ParsedCaption, Regions
from groundgraph.data.vocabulary import VG150_OBJECTS, VG150_PREDICATES
from groundgraph.experts import resolve
from groundgraph.language import load_parser
from groundgraph.language.concepts import match_matrix
from groundgraph.language.encoder import TextEncoder
from groundgraph.language.sentences import triplet_caption
from groundgraph.pipeline import artifacts
from groundgraph.pipeline.config import Recipe
from groundgraph.pipeline.methods import method_stages
from groundgraph.pipeline.proposals import OPEN, open_detector
from groundgraph.pipeline.run import Advance, Run, Stage, file_identity
from groundgraph.pipeline.streaming import CHUNK, Tally, fill
from groundgraph.pipeline.words import map_words, match_words
from groundgraph.teachers.clip import ImageTextModel
from groundgraph.teachers.fusion import expert_weights
from groundgraph.teachers.interaction import InteractionTeacher
from groundgraph.teachers.object import ObjectTeacher


def stages(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, in order, with what each depends on."""
    data = recipe.data.model_dump(mode="json")
    files = [file_identity(path) for path in recipe.data.annotations()]
    interaction = recipe.teachers.interaction
    listing = [
        Stage("examples", (), [data, files], collect_examples),
        Stage("parsed", ("examples",), recipe.parser.model_dump(), parse_captions),
        Stage("vocabulary", ("parsed",), recipe.vocabulary.model_dump(), choose_vocabulary),
        Stage(
            "regions",
            ("examples", "parsed", "vocabulary") if recipe.detector.kind == OPEN else ("examples",),
            [
                recipe.detector.model_dump(),
                [expert_identity(model) for model in (recipe.detector.model, *recipe.detector.also)],
            ],
            find_regions,
        ),
        Stage("concepts", ("parsed", "vocabulary"), None, map_words),
        Stage("matches", ("parsed", "regions"), None, match_words),
        Stage("text", ("parsed",), [recipe.text.model_dump(), expert_identity(recipe.text.model)], embed_text),
        Stage(
            "teachers",
            ("parsed", "regions"),
            [
                recipe.teachers.model_dump(include={"interaction"}),  # the others' settings are of later stages
                expert_identity(interaction.model) if interaction else None,
            ],
            teach,
        ),
    ]
    if recipe.asks_expert:
        expert = recipe.teachers.expert
        listing += [
            Stage("crops", ("regions",), [expert.model, expert_identity(expert.model)], describe_regions),
            Stage("reliability", ("crops", "teachers"), expert.model_dump(), weigh_teachers),
        ]
    return [*listing, *method_stages(recipe)]


def expert_identity(model: str) -> Any:
    """What a model's name stands for, for a fingerprint: the files where it is local, the name where it is a hub id.

    A folder that is no model's, but of regions, is too large to read: its entries' sizes and times stand for it.
    """
    path = Path(model).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        return [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(path.iterdir())]
    try:
        place = path if path.is_file() else Path(resolve(model))
    except ValueError:  # `check.require` says what is missing, and so does the stage that loads it
        return [model, "absent"]
    return file_identity(place) if place.exists() else model


def collect_examples(run: Run, folder: Path) -> dict[str, Any]:
    """Read or draw the data: examples as JSON lines, a file a split."""
    source, counts = open_source(run.recipe.data, run.folder / "images"), {}
    for split in run.recipe.splits:
        listed = source.examples(split, run.skipped, run.bar)
        if not listed:
            raise ValueError(f"no {split} image with a caption is left; skipped: {run.skipped.items[:3]}")
        write_lines(folder / f"{split}.jsonl", (example_record(e, run.folder) for e in listed))
        counts |= {f"{split} images": len(listed), f"{split} captions": sum(len(e.captions) for e in listed)}
        counts[f"{split} triplets of words"] = sum(len(e.triplets) for e in listed)
    return {name: count for name, count in counts.items() if count}


def parse_captions(run: Run, folder: Path) -> dict[str, Any]:
    """Captions to entities and triplets; bare triplets to sentences (METHOD.md section 1)."""
    parser, counts = load_parser(run.recipe.parser.name, model=run.recipe.parser.model), Counter()
    for split in run.recipe.splits:
        listed = artifacts.examples(run, split)
        with run.bar(f"parsing {split} captions", len(listed)) as advance:
            write_lines(folder / f"{split}.jsonl", _parsed(listed, parser, run, counts, advance))
    return dict(counts) | _beyond("captions of which only the beginning was read", getattr(parser, "cut", 0))


def _beyond(what: str, count: int) -> dict[str, int]:
    """A count that is worth a line only where there is something to count."""
    return {what: count} if count else {}


def _parsed(
    listed: Sequence[Example], parser: Any, run: Run, counts: Counter[str], advance: Advance
) -> Iterator[dict[str, Any]]:
    for start in range(0, len(listed), CHUNK * 4):
        part = listed[start : start + CHUNK * 4]
        flat = iter(parser.parse([caption for e in part for caption in e.captions]))
        for example in part:
            found = [*islice(flat, len(example.captions)), *(triplet_caption(*t) for t in example.triplets)]
            if not any(c.entities for c in found):
                run.skipped.add(example.image_id, "no caption names an entity")
            counts["captions"] += len(found)
            counts["entities"] += sum(len(c.entities) for c in found)
            counts["triplets"] += sum(len(c.triplets) for c in found)
            counts["captions without an entity"] += sum(not c.entities for c in found)
            yield parsed_record(example.image_id, found)
        advance(len(part))


def choose_vocabulary(run: Run, folder: Path) -> dict[str, Any]:
    """The evaluation vocabulary: MiniGenome's, VG150's, or the words most images of the train split speak of."""
    wanted = run.recipe.vocabulary
    if wanted.name == "induced":
        nouns: Counter[str] = Counter()
        verbs: Counter[str] = Counter()
        for captions in artifacts.parsed(run, "train"):
            nouns.update({e.name for c in captions for e in c.entities})
            verbs.update({t.predicate for c in captions for t in c.triplets})
        chosen = [
            [word for word, count in sorted(seen.items(), key=lambda w: (-w[1], w[0])) if count >= wanted.minimum][
                :most
            ]
            for seen, most in ((nouns, wanted.categories), (verbs, wanted.predicates))
        ]
        if not all(chosen):
            raise ValueError(
                f"no word is said in {wanted.minimum} images or more: lower vocabulary.minimum, or give more captions"
            )
    else:
        chosen = (
            [CATEGORIES, PREDICATES] if wanted.name == "minigenome" else [VG150_OBJECTS.names, VG150_PREDICATES.names]
        )
    content = {"categories": list(chosen[0]), "predicates": list(chosen[1])}
    (folder / "vocabulary.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return {name: len(words) for name, words in content.items()}


def find_regions(run: Run, folder: Path) -> dict[str, Any]:
    """Regions of every image, with labels, scores and features."""
    wanted = run.recipe.detector
    detector = open_detector(wanted, *(looked_for(run) if wanted.kind == OPEN else ()))
    (folder / "categories.json").write_text(json.dumps(list(detector.categories)), encoding="utf-8")
    counts: Counter[str] = Counter()
    for split in run.recipe.splits:
        listed, names = artifacts.examples(run, split), artifacts.names(run, split)
        with RegionsWriter(folder / split) as writer:
            what = f"finding regions in {split} images"
            fill(run, what, names, writer, lambda part: detector.detect(listed[part], run.skipped))  # noqa: B023
            if writer.width is None:
                why = run.skipped.items[-1] if run.skipped.items else wanted.model
                raise ValueError(f"no {split} image gave a region: {why}")
        counts["images"] += len(names)
        counts["regions"] += int(StoredRegions(folder / split).counts().sum())
    return dict(counts)


def looked_for(run: Run) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """What an open-vocabulary detector looks for: the evaluation vocabulary, and training images' own nouns."""
    vocabulary, nouns = artifacts.vocabulary(run)[0].names, {}
    if run.recipe.detector.asked == "nouns":
        for name, captions in zip(artifacts.names(run, "train"), artifacts.parsed(run, "train"), strict=True):
            nouns[name] = sorted({entity.name for caption in captions for entity in caption.entities}) or vocabulary
    return vocabulary, nouns


def embed_text(run: Run, folder: Path) -> dict[str, Any]:
    """E: every entity's embedding from its whole caption; and every triplet's predicate, by itself."""
    encoder, count, beyond = TextEncoder(run.recipe.text.model, pool=run.recipe.text.pool), 0, 0
    for split in run.recipe.splits:
        listed = artifacts.parsed(run, split)
        said = dict.fromkeys(t.predicate for captions in listed for caption in captions for t in caption.triplets)
        words = {word: row for row, word in enumerate(said)}
        alone = [ParsedCaption(w, (Entity(w, w, w, (0, len(w)), (0, len(w))),)) for w in words]
        table = np.concatenate([np.zeros((0, encoder.size), np.float32), *encoder.embed(alone)])
        with RaggedWriter(folder / split, "embeddings", "predicates") as writer:
            make, tally = partial(_embedded, listed, encoder, words, table), _tally(folder, split, encoder)
            fill(run, f"reading {split} captions", artifacts.names(run, split), writer, make, CHUNK * 4, tally)
        count, beyond = count + int(Ragged(folder / split).lengths("embeddings").sum()), beyond + tally.total()
    return {"entities": count} | _beyond("entities beyond the text encoder's length", beyond)


def _tally(folder: Path, split: str, model: TextEncoder | InteractionTeacher) -> Tally:
    """The entities that stand beyond a model's length, over all attempts of a stage."""
    return Tally(folder / f"{split}.beyond.jsonl", lambda: model.beyond)


def _embedded(
    listed: Sequence[list[ParsedCaption]],
    encoder: TextEncoder,
    words: dict[str, int],
    table: np.ndarray,
    part: slice,
) -> Iterator[dict[str, np.ndarray]]:
    """An image's entities, and its predicates by their rows of the table."""
    images = listed[part]
    flat = iter(encoder.embed([caption for captions in images for caption in captions]))
    for captions in images:
        yield {
            "embeddings": np.concatenate([np.zeros((0, encoder.size), np.float32), *islice(flat, len(captions))]),
            "predicates": table[[words[t.predicate] for c in captions for t in c.triplets]],
        }


def taught_splits(run: Run) -> list[str]:
    """The splits whose images the teachers look at: all but the measured one of a data set that has others."""
    splits = run.recipe.splits
    return [split for split in splits if split == "train" or split != run.recipe.measured]


def teach(run: Run, folder: Path) -> dict[str, Any]:
    """The teachers' targets (Eq. 6-8).

    The measured split of a data set that has others gets the object-aware ones alone, which the SGNLS rule answers
    with: nothing is trained on it.
    """
    wanted = run.recipe.teachers
    by_category = ObjectTeacher(artifacts.detector_categories(run), match_matrix)
    looker = InteractionTeacher(**wanted.interaction.model_dump()) if wanted.interaction else None
    counts, beyond = Counter(), 0
    for split in run.recipe.splits:
        names, asked = artifacts.names(run, split), looker if split in taught_splits(run) else None
        with RaggedWriter(folder / split, "object", "interaction") as writer:
            make, tally = partial(_taught, run, split, by_category, asked), asked and _tally(folder, split, asked)
            fill(run, f"asking the teachers about {split} images", names, writer, make, tally=tally)
        beyond += tally.total() if tally else 0
        store = Ragged(folder / split)
        counts["entities"] += int(store.lengths("object").sum())
        counts["entities whose category the detector found"] += sum(
            int((store.column(name, "object").sum(1) > 0).sum()) for name in names
        )
    return dict(counts) | _beyond("entities beyond the vision-language model's length", beyond)


def _taught(
    run: Run, split: str, by_category: ObjectTeacher, looker: InteractionTeacher | None, part: slice
) -> Iterator[dict[str, np.ndarray]]:
    found, captions = artifacts.regions(run, split)[part], artifacts.parsed(run, split)[part]
    told = by_category.targets((), found, captions)
    seen = [None] * len(told)
    if looker:
        seen = look(looker, artifacts.examples(run, split)[part], found, captions)
    for regions, one, two in zip(found, told, seen, strict=True):
        empty = np.zeros((0, len(regions)), np.float32)
        one = np.concatenate([empty, *one], dtype=np.float32)
        two = np.concatenate([empty, *two], dtype=np.float32) if two is not None else np.zeros_like(one)
        yield {"object": one, "interaction": two}


def look(
    teacher: InteractionTeacher, listed: list[Example], found: list[Regions], captions: list[list[ParsedCaption]]
) -> list[list[np.ndarray] | None]:
    """Ask the interaction-aware teacher about the images that have regions; the others have nothing to ask about."""
    full = [i for i, regions in enumerate(found) if len(regions)]
    answers: list[list[np.ndarray] | None] = [None] * len(listed)
    if full:
        images = [open_image(listed[i].path) for i in full]
        told = teacher.targets(images, [found[i] for i in full], [captions[i] for i in full])
        for i, rows in zip(full, told, strict=True):
            answers[i] = rows
    return answers


def describe_regions(run: Run, folder: Path) -> dict[str, Any]:
    """What the image-text model makes of every region's crop, once an image."""
    expert, count = ImageTextModel(run.recipe.teachers.expert.model), 0
    for split in taught_splits(run):
        with RaggedWriter(folder / split, "features") as writer:
            make = partial(_described, run, split, expert)
            fill(run, f"looking at regions of {split} images", artifacts.names(run, split), writer, make)
        count += int(Ragged(folder / split).lengths("features").sum())
    return {"crops": count}


def _described(run: Run, split: str, expert: ImageTextModel, part: slice) -> list[dict[str, np.ndarray]]:
    found, listed = artifacts.regions(run, split)[part], artifacts.examples(run, split)[part]
    full = [i for i, regions in enumerate(found) if len(regions)]
    seen = expert.region_features([open_image(listed[i].path) for i in full], [found[i] for i in full])
    told = dict(zip(full, seen, strict=True))
    return [{"features": told.get(i, np.zeros((0, expert.width), np.float32))} for i in range(len(found))]


def weigh_teachers(run: Run, folder: Path) -> dict[str, Any]:
    """How far each teacher is trusted on each entity (Eq. 10-11, expert-guided)."""
    wanted = run.recipe.teachers.expert
    expert, entities, trust = ImageTextModel(wanted.model, wanted.prompts), 0, 0.0
    for split in taught_splits(run):
        names = artifacts.names(run, split)
        seen, told = (Ragged(run.folder / stage / split) for stage in ("crops", "teachers"))
        with RaggedWriter(folder / split, "weights") as writer:
            make = partial(_weighed, run, split, expert, seen, told)
            # The more images at once, the fewer sentences are read again.
            fill(run, f"weighing the teachers of {split} images", names, writer, make, CHUNK * 16)
        weights = Ragged(folder / split)
        for name in names:
            both = np.logical_and(*(told.column(name, kind).sum(1) > 0 for kind in ("object", "interaction")))
            entities += int(both.sum())
            trust += float(weights.column(name, "weights")[both, 0].sum(dtype=np.float64))
    mean = trust / entities if entities else None
    return {"entities with two teachers": entities, "mean weight of the object-aware teacher": mean}


def _weighed(
    run: Run, split: str, expert: ImageTextModel, seen: Ragged, told: Ragged, part: slice
) -> Iterator[dict[str, np.ndarray]]:
    words = [artifacts.entities(captions) for captions in artifacts.parsed(run, split)[part]]
    said = expert.entity_features([entity for own in words for entity in own])
    parts = np.split(said, np.cumsum([len(own) for own in words])[:-1])
    for name, sentences in zip(artifacts.names(run, split)[part], parts, strict=True):
        crops, targets = seen.column(name, "features"), told[name]
        one, two = (torch.from_numpy(targets[k].reshape(len(sentences), len(crops))) for k in ("object", "interaction"))
        weights = expert_weights(
            one, two, torch.from_numpy(crops), torch.from_numpy(sentences), run.recipe.teachers.expert.temperature
        )
        yield {"weights": weights.numpy()}
