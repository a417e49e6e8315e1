"""A folder of captioned pictures, as people have them."""

import json
import tempfile

from PIL import Image

from groundgraph.data.minigenome.dataset import MiniGenome


def captioned_photos(folder, count, first=0, more=()):
    """Make a folder with drawn pictures as PNG and their captions as JSONL.

    Args:
        folder: Is made where there is none.
        count: Pictures.
        first: MiniGenome's number of the first.
        more: Further lines of captions.jsonl.

    Returns:
        The pictures' MiniGenome examples, in the order of the lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as drawn:
        dataset = MiniGenome("train", "vg_caption", drawn, first + count)
        examples = [dataset[i] for i in range(first, first + count)]
        for example in examples:
            with Image.open(example.path) as picture:
                picture.save(folder / f"{example.image_id}.png")
    lines = [{"image": f"{e.image_id}.png", "captions": list(e.captions)} for e in examples]
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, *more]))
    return examples
