"""What a run is made of: its stages, in the order of the data flow, and the first of them.

A stage reads the artifacts of the stages before it, writes its own into the folder it is given, and gives its counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

from groundgraph.data.minigenome import CATEGORIES, PREDICATES
from groundgraph.data.records import example_record, parsed_record, write_lines
from groundgraph.data.sources import Source, open_source
from groundgraph.data.types import Bar, Example, Skipped
from groundgraph.data.vocabulary import VG150_OBJECTS, VG150_PREDICATES
from groundgraph.engine.extraction import CHUNK, beyond
from groundgraph.engine.run import Advance, Run
from groundgraph.engine.stage import Stage, file_identity, file_states, model_identity
from groundgraph.errors import InputError
from groundgraph.language import load_parser
from groundgraph.language.sentences import triplet_caption
from groundgraph.stages import artifacts
from groundgraph.stages.concepts import map_words, match_words
from groundgraph.stages.extraction import describe_regions, embed_text, find_regions, teach, weigh_teachers
from groundgraph.stages.methods import method_stages
from groundgraph.stages.proposals import OPEN, detector_identity
from groundgraph.stages.recipe import Recipe


def stages(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, in order, with what each depends on."""
    data = recipe.data.model_dump(mode="json")
    files = [file_identity(path) for path in recipe.data.annotations()]
    photos = photos_identity(open_source(recipe.data, Path()))
    parser = [recipe.parser.model_dump(), model_identity(recipe.parser.model), package_version(recipe.parser.model)]
    named = ("parsed", "vocabulary") if recipe.detector.kind == OPEN else ()
    found = [recipe.detector.model_dump(), detector_identity(recipe.detector), recipe.precision]
    listing = [
        Stage("examples", (), [data, files, photos], collect_examples),
        Stage("parsed", ("examples",), parser, parse_captions),
        Stage("vocabulary", ("parsed",), recipe.vocabulary.model_dump(), choose_vocabulary),
        Stage("regions", ("examples", *named), found, find_regions),
        Stage("concepts", ("parsed", "vocabulary"), None, map_words),
        Stage("matches", ("examples", "parsed", "regions"), None, match_words),
    ]
    if recipe.needs_text:
        read = [recipe.text.model_dump(), model_identity(recipe.text.model), recipe.precision]
        listing.append(Stage("text", ("examples", "parsed"), read, embed_text))
    if recipe.needs_teachers:
        asked = None
        if looker := recipe.interaction:  # its temperature counts where the scores are read
            models = [model_identity(model) for model in (looker.model, looker.tokenizer) if model]
            asked = [looker.model_dump(exclude={"temperature"}), models, recipe.precision]
        listing.append(Stage("teachers", ("examples", "parsed", "regions"), asked, teach))
    if recipe.needs_expert:
        expert, needs = recipe.teachers.expert, ("examples", "parsed", "crops", "teachers")
        crops = [expert.model, model_identity(expert.model), recipe.precision]
        weights = [expert.model_dump(), recipe.precision, recipe.interaction.temperature]
        listing += [
            Stage("crops", ("examples", "regions"), crops, describe_regions),
            Stage("reliability", needs, weights, weigh_teachers),
        ]
    return [*listing, *method_stages(recipe)]


def photos_identity(source: Source) -> str:
    """The pictures that the examples may name, by their sizes and times."""
    try:
        return file_states(source.pictures())
    except ValueError:  # the stage says what is wrong with the files that name them
        return "unreadable"


def package_version(name: str) -> str:
    """The version of an installed package, for a fingerprint; "" where there is none of that name."""
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return ""


def collect_examples(run: Run, folder: Path) -> dict[str, Any]:
    """Read or draw the data: examples as JSON lines, a file a split."""
    source, counts = open_source(run.recipe.data, run.folder / "images"), {}
    for split in run.recipe.splits:
        listed = listed_examples(source, split, run.skipped, run.progress)
        write_lines(folder / f"{split}.jsonl", (example_record(e, run.folder) for e in listed))
        counts |= {f"{split} images": len(listed), f"{split} captions": sum(len(e.captions) for e in listed)}
        counts[f"{split} triplets of words"] = sum(len(e.triplets) for e in listed)
    return {name: count for name, count in counts.items() if count}


def listed_examples(source: Source, split: str, skipped: Skipped, bar: Bar) -> list[Example]:
    """A source's examples of a split. Raises InputError where there is none, saying why the first were left out."""
    listed = source.examples(split, skipped, bar)
    if not listed:
        raise InputError(f"no {split} image with a caption or triplet is left: {_first(skipped)}")
    return listed


def _first(skipped: Skipped, most: int = 3) -> str:
    """The first of what was skipped, and of how many."""
    if not skipped.items:
        return "the data lists none"
    count = len(skipped.items)
    causes = "; ".join(f"{name}: {why}" for name, why in skipped.items[:most])
    return f"{count} skipped, such as {causes}" if count > most else causes


def parse_captions(run: Run, folder: Path) -> dict[str, Any]:
    """Captions to entities and triplets; bare triplets to sentences (METHOD.md section 1)."""
    parser, counts = load_parser(run.recipe.parser.name, model=run.recipe.parser.model), Counter()
    for split in run.recipe.splits:
        listed = artifacts.examples(run, split)
        with run.progress(f"parsing {split} captions", len(listed)) as advance:
            write_lines(folder / f"{split}.jsonl", _parsed(listed, parser, run, counts, advance))
    return dict(counts) | beyond("captions of which only the beginning was read", getattr(parser, "cut", 0))


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


def _no_word(words: Counter[str], kind: str, minimum: int) -> str:
    """Why no word for a "thing" or a "relation" is left for the vocabulary."""
    if not words:
        return (
            f'no training caption has a {kind}: write what is related to what, as in "a man riding a horse" '
            "(captions are read as English)"
        )
    (word, count), listed = words.most_common(1)[0], f"{len(words)} words for a {kind}"
    return (
        f"of {listed} none is said in {minimum} images or more ({word!r} is in {count}): lower vocabulary.minimum to "
        f"{count} (--set vocabulary.minimum={count}), or give more captions"
    )


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
        kinds = zip((nouns, verbs), ("thing", "relation"), chosen, strict=True)
        lacking = [(words, kind) for words, kind, kept in kinds if not kept]
        if lacking:
            words, kind = min(lacking, key=lambda lack: bool(lack[0]))
            raise InputError(_no_word(words, kind, wanted.minimum))
    else:
        chosen = (
            [CATEGORIES, PREDICATES] if wanted.name == "minigenome" else [VG150_OBJECTS.names, VG150_PREDICATES.names]
        )
    content = {"categories": list(chosen[0]), "predicates": list(chosen[1])}
    (folder / "vocabulary.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return {name: len(words) for name, words in content.items()}
