"""Read and write `tokenizer.json`, the one file in which Hugging Face keeps a tokenizer.

The file lists a chain of steps (normalizer, pre-tokenizer, model, decoder) and the added tokens:

    GPT-2, Llama 3, Qwen, DeepSeek   bpe_file              ByteBPE
    Llama 2, Mistral                 sentencepiece_file    CharacterBPE
    T5                               sentencepiece_file    Unigram
    BERT                             wordpiece_file        WordPiece

What a file asks for and this library lacks raises an error: a tokenizer that differs in one step
gives a model different ids from those it was trained on. The post-processor, truncation and padding
arrange a batch and are left to the caller: `encode` returns the ids of the whole text.

Taught in:        tokenization
Checked against:  `tokenizers.Tokenizer.from_file`, in both directions
"""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from course_lib.tokenization.added_tokens import Json, refusal
from course_lib.tokenization.bpe_file import read_bpe, write_bpe
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.character_bpe import CharacterBPE
from course_lib.tokenization.sentencepiece_file import (
    is_character_bpe,
    read_character_bpe,
    read_unigram,
    write_character_bpe,
    write_unigram,
)
from course_lib.tokenization.special import Reach
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece
from course_lib.tokenization.wordpiece_file import read_wordpiece, write_wordpiece

Tokenizer = ByteBPE | CharacterBPE | WordPiece | Unigram


def load_tokenizer_json(path: Path | str) -> Tokenizer:
    """Read a `tokenizer.json` of the BPE, WordPiece or Unigram kind."""
    with _collecting_no_garbage():
        return from_json(_content(path))  # what is not kept is gone before the collector runs


def _content(path: Path | str) -> Any:
    try:
        return json.loads(Path(path).read_bytes().decode("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"tokenizer.json must be JSON in UTF-8; got {str(path)!r}, which fails with: {error}. "
            "Download or write the file again."
        ) from None


@contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """Do not look for cycles while a large file makes many objects, none of them in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def save_tokenizer_json(tokenizer: Tokenizer, path: Path | str) -> None:
    """Write a `tokenizer.json` that `tokenizers` and `transformers` read."""
    text = json.dumps(to_json(tokenizer), ensure_ascii=False, indent=2)
    Path(path).write_text(text, encoding="utf-8")


def from_json(content: Any) -> Tokenizer:
    """Return the tokenizer that the content of a `tokenizer.json` describes."""
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or "vocab" not in model:
        raise ValueError(
            f"tokenizer.json must be an object with a model that has a vocab; got {content!r:.60}. "
            "Pass the file itself, not tokenizer_config.json or vocab.json."
        )
    kind = model.get("type") or ("BPE" if "merges" in model else None)  # GPT-2's file has no type
    readers: dict[str, Callable[[Json], Tokenizer]]
    readers = {"BPE": read_bpe, "WordPiece": read_wordpiece, "Unigram": read_unigram}
    if kind == "BPE" and is_character_bpe(content):
        readers["BPE"] = read_character_bpe
    if kind not in readers:
        raise refusal("model.type", kind, "BPE, WordPiece or Unigram")
    try:
        return readers[kind](content)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"tokenizer.json of kind {kind} must have the fields that `tokenizers` writes; got one "
            f"where reading failed with {error!r}. Write the file again with `tokenizers`."
        ) from None


def to_json(tokenizer: Tokenizer) -> Json:
    """Return the content of the `tokenizer.json` that describes the tokenizer."""
    if isinstance(tokenizer, ByteBPE):
        steps = write_bpe(tokenizer)
    elif isinstance(tokenizer, WordPiece):
        steps = write_wordpiece(tokenizer)
    elif isinstance(tokenizer, CharacterBPE):
        steps = write_character_bpe(tokenizer)
    else:
        steps = write_unigram(tokenizer)
    added = []
    for name, i in sorted(tokenizer.special_tokens.items(), key=lambda item: item[1]):
        left, right = tokenizer.reaches.get(name, Reach())
        flags = {"single_word": False, "lstrip": left, "rstrip": right, "normalized": False}
        added.append({"id": i, "content": name, **flags, "special": True})
    head = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added}
    return {**head, "post_processor": None, **steps}
