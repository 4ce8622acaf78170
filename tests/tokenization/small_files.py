"""Small tokenizers and files of several styles, each made when it is first asked for."""

import copy
import json
from functools import cache

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from course_lib import corpus
from course_lib.tokenization import huggingface, patterns
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece

TEXT = corpus.train_text(20_000) + "\n".join(corpus.SAMPLES.values())
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def train_foreign(pre_tokenizer, normalizer=None, special=()):
    """Return a tokenizer trained and set up by `tokenizers` alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(name, normalized=False, special=True) for name in special],
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def gpt2_style():
    """Like GPT-2's file: one pre-tokenizer, merges as strings, the special token in the vocab."""
    special = [SPECIAL[0], "<｜end▁of▁turn｜>"]  # the second is not written in byte characters
    tokenizer = train_foreign(pre_tokenizers.ByteLevel(add_prefix_space=False), None, special)
    content = json.loads(tokenizer.to_str())
    del content["model"]["type"]
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    content["model"]["continuing_subword_prefix"] = ""
    content["model"]["end_of_word_suffix"] = ""
    content["added_tokens"][0]["normalized"] = True
    return content


def qwen_style():
    """Like Qwen's file: NFC, a Split and a ByteLevel, special tokens outside the vocab."""
    steps = [
        pre_tokenizers.Split(Regex(patterns.QWEN_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    tokenizer = train_foreign(pre_tokenizers.Sequence(steps), normalizers.NFC())
    added = [AddedToken(name, normalized=False, special=True) for name in SPECIAL]
    tokenizer.add_tokens([*added, AddedToken("<tool_call>", normalized=False, special=False)])
    return json.loads(tokenizer.to_str())


def gpt4_style():
    """Like converted `tiktoken` files: what is between matches is removed, whole words first."""
    steps = [
        pre_tokenizers.Split(Regex(patterns.GPT4_PATTERN), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    content = json.loads(train_foreign(pre_tokenizers.Sequence(steps)).to_str())
    content["model"]["ignore_merges"] = True
    content["model"]["vocab"]["Ġcontextual"] = 777
    return content


_STYLES = {"GPT-2": gpt2_style, "Qwen": qwen_style, "GPT-4": gpt4_style}
STYLES = tuple(_STYLES)
_OURS = {
    "bpe": lambda: ByteBPE.train([TEXT], 500, SPECIAL),
    "bpe, Qwen's pattern": lambda: ByteBPE.train([TEXT], 500, SPECIAL, patterns.QWEN_PATTERN),
    "wordpiece": lambda: WordPiece.train([TEXT], 500),
    "wordpiece, cased": lambda: WordPiece.train([TEXT], 500, lowercase=False),
    "unigram": lambda: Unigram.train([TEXT[-3000:]], 400, ["<unk>", "<s>"]),
    "unigram, bytes": lambda: Unigram(
        [("<unk>", 0.0), *((f"<0x{byte:02X}>", -9.0) for byte in range(256)), ("▁", -2.0)],
        byte_fallback=True,
    ),
}
OURS = tuple(_OURS)


@cache
def _style_text(name):
    return json.dumps(_STYLES[name]())


def style(name):
    """Return the content of a file that `tokenizers` made, for the test to change."""
    return json.loads(_style_text(name))


@cache
def ours(name):
    """Return a tokenizer of the course."""
    return _OURS[name]()


def written(name):
    """Return the content of the file of a tokenizer of the course."""
    return huggingface.to_json(ours(name))


def changed(content, path, value):
    """Return a copy of the content with one field set; `path` is dotted."""
    content = copy.deepcopy(content)
    *parents, last = path.split(".")
    inner = content
    for key in parents:
        inner = inner[int(key) if key.isdigit() else key]
    inner[int(last) if last.isdigit() else last] = value
    return content
