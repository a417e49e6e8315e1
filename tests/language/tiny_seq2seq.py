"""A tiny T5 that writes graphs, fitted in seconds to a few captions and saved as FACTUAL's models are published."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import T5Config, T5ForConditionalGeneration, T5TokenizerFast

from groundgraph.language.seq2seq import PREFIX
from groundgraph.models import quietly

GRAPHS = {
    "a man riding a horse": "( man , ride , horse )",
    "two dogs on a red couch": "( dogs , on , couch ) , ( dogs , is , 2 ) , ( couch , is , red )",
    "a cat next to another cat": "( cat , v:sit next to , cat:1 )",
    "a woman in a wet suit with a surf board": "( woman , in , wetsuit ) , ( woman , with , surfboard )",
    "kids play": "( kids , play with , ball )",
    "a broken one": "( one , is , ) , ( a , b )",
    "a city street": "( city street )",
    "the kite is flown by a boy": "( boy , fly , kite )",
}
SIZES = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}


def fit_parser(folder: Path, graphs: dict[str, str] = GRAPHS, steps: int = 400) -> str:
    """Fit the network until it knows the graphs by heart, and save it.

    Args:
        folder: Gets config.json, model.safetensors and the tokenizer's files.
        graphs: Caption -> what it writes.
        steps: At most; 0 leaves it untrained.

    Returns:
        The folder.
    """
    texts, written = [PREFIX + caption for caption in graphs], list(graphs.values())
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.train_from_iterator(texts + written, trainers.WordLevelTrainer(special_tokens=["<pad>", "</s>", "<unk>"]))
    numbers = words.get_vocab()
    tokenizer = T5TokenizerFast(vocab=[(piece, 0.0) for piece in sorted(numbers, key=numbers.get)], extra_ids=0)
    torch.manual_seed(0)
    network = T5ForConditionalGeneration(
        T5Config(vocab_size=len(numbers), **SIZES, dropout_rate=0.0, decoder_start_token_id=0)
    )
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    targets = tokenizer(written, padding=True, return_tensors="pt")["input_ids"]
    targets[targets == tokenizer.pad_token_id] = -100
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = network(**inputs, labels=targets).loss
        if loss < 0.003:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with quietly():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)
