"""Tiny language models made by the tests: one that answers rubbish, or one taught the answers to some conversations."""

import json

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from groundgraph.language.llm.prompts import conversation

TEMPLATE = (
    "{% for m in messages %}{{ '<s>' + m['role'] + ': ' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant: ' }}{% endif %}"
)
ANSWERS = {
    "a man riding a horse": {"entities": ["man", "horse"], "triplets": [["man", "riding", "horse"]]},
    "two dogs under a table": {"entities": ["dog", "table"], "triplets": [["dog", "under", "table"]]},
    "a red bus": {"entities": ["bus"], "triplets": []},
}


def save_tiny(folder, answers=None, template=TEMPLATE, steps=300):
    """Save a model with its tokenizer as transformers does; taught {conversation: answer} where there are some."""
    answers = {one: text if isinstance(text, str) else json.dumps(text) for one, text in (answers or {}).items()}
    texts = [message.content for one in [*answers, conversation("triplets", "")] for message in one]
    tokenizer = make_tokenizer([*texts, *answers.values()], template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=4096,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    if answers:
        teach(model, tokenizer, answers, steps)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


def make_tokenizer(texts, template):
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>"]
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=800, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = template
    return tokenizer


def teach(model, tokenizer, answers, steps):
    """Fit the answers, until each of their tokens is the likeliest."""
    rows = []
    for one, text in answers.items():
        turns = [message._asdict() for message in one]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        read, written = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, text + "</s>"))
        rows.append((read, written))
    length = max(len(read) + len(written) for read, written in rows)
    pads = [length - len(read) - len(written) for read, written in rows]
    inputs = torch.tensor([[0] * pad + r + w for pad, (r, w) in zip(pads, rows, strict=True)])
    mask = torch.tensor([[0] * pad + [1] * (length - pad) for pad in pads])
    labels = torch.tensor([[-100] * (pad + len(r)) + w for pad, (r, w) in zip(pads, rows, strict=True)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        output = model(input_ids=inputs, attention_mask=mask, labels=labels)
        best, right = output.logits[:, :-1].argmax(-1), labels[:, 1:]
        if output.loss < 0.02 and bool(((best == right) | (right < 0)).all()):
            return
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    raise AssertionError(f"not taught in {steps} steps: {output.loss.item()}")
