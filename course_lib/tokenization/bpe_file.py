"""Read and write the BPE kind of `tokenizer.json`: GPT-2's, Llama 3's, Qwen's, DeepSeek's.

Its pre-tokenizer is a chain: any number of Splits and Digits, and ByteLevel at the end, which may
cut by GPT-2's pattern itself. Here the chain becomes the pattern of `ByteBPE`, or its steps.

    Split(p, Isolated), ByteLevel(use_regex=False)      pattern p
    ByteLevel(use_regex=True)                           GPT-2's pattern
    Split(p), Split(q), ByteLevel(use_regex=False)      the steps p, q

Taught in:        tokenization
Checked against:  `tokenizers.Tokenizer.from_file`, in both directions
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import eq
from typing import Any

from course_lib.tokenization.added_tokens import (
    Json,
    added_tokens,
    check_ids,
    reaches_of,
    refusal,
    steps_of,
)
from course_lib.tokenization.byte_bpe import ByteBPE, MergeTable
from course_lib.tokenization.byte_characters import (
    BYTE_CHARACTERS,
    bytes_to_characters,
    characters_to_bytes,
    many_to_bytes,
)
from course_lib.tokenization.oniguruma import common_pattern
from course_lib.tokenization.patterns import BEHAVIORS, GPT2_PATTERN, Split

_ALPHABET = frozenset(BYTE_CHARACTERS.values())
_DIGITS = r"[\p{Nd}\p{Nl}\p{No}]"


def read_bpe(content: Json) -> ByteBPE:
    """Return the tokenizer of a file whose model is a byte-level BPE."""
    model = content["model"]
    for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(field):
            raise refusal(f"model.{field}", model[field], "none, as in byte-level BPE")
    _check_decoder(content.get("decoder"))
    special = added_tokens(content)
    for name in special:
        if not name.isascii() and set(name) <= _ALPHABET:
            wanted = f"free of letters that stand for bytes, as all of {name!r} do when decoded"
            raise refusal("the content of an added token", name, wanted)
    pairs = model["merges"]
    if str in set(map(type, pairs)):
        pairs = [entry.split(" ") if isinstance(entry, str) else entry for entry in pairs]
    if set(map(len, pairs)) - {2}:
        wrong = next(pair for pair in pairs if len(pair) != 2)
        raise refusal("a merge", wrong, "two tokens")
    ids = model["vocab"]
    if apart := _unmade((name for name, i in special.items() if ids.get(name) == i), pairs):
        ids = {written: i for written, i in ids.items() if written not in apart}
    vocabulary = dict(zip(many_to_bytes(ids), ids.values(), strict=True))
    tokenizer = ByteBPE(
        vocabulary,
        _ranked(pairs, ids) or [tuple(map(characters_to_bytes, pair)) for pair in pairs],
        special,
        _read_steps(content.get("pre_tokenizer")),
        _read_normal_form(content.get("normalizer")),
        bool(model.get("ignore_merges")),
        reaches_of(content),
    )
    check_ids(special, model["vocab"])
    return tokenizer


def _unmade(names: Iterable[str], pairs: list[list[str]]) -> set[str]:
    """Return the names that are neither bytes nor results of merges."""
    apart = set(names) - _ALPHABET
    return apart - apart.intersection(map("".join, pairs)) if apart else apart


def _ranked(pairs: list[list[str]], ids: dict[str, int]) -> MergeTable | None:
    """Return the merges by the ids of their halves, or None for the tokenizer to say what is wrong.

    There may be hundreds of thousands. The tokens that they make mostly end the vocabulary, in the
    same order, and then need not be looked up.
    """
    last = len(ids) - len(pairs)
    in_order = last >= 0 and all(map(eq, map("".join, pairs), islice(ids, last, None)))
    try:
        new = islice(ids.values(), last, None) if in_order else [ids[a + b] for a, b in pairs]
        table = {
            (ids[left], ids[right]): (rank, made)
            for rank, ((left, right), made) in enumerate(zip(pairs, new, strict=True))
        }
    except KeyError:
        return None
    return table if len(table) == len(pairs) else None  # a merge is listed twice


def _check_decoder(step: Any) -> None:
    """Raise unless decoding joins bytes. A file without a decoder is decoded so, too."""
    if step and step.get("type") != "ByteLevel":
        raise refusal("decoder", step, "ByteLevel, as in byte-level BPE")


def _read_steps(step: Any) -> str | list[Split]:
    """Return the pattern of a byte-level file, or its steps where they are more than a pattern."""
    *before, last = steps_of(step)
    if last.get("type") != "ByteLevel":
        raise refusal("pre_tokenizer", step, "ByteLevel, or Splits and ByteLevel after them")
    if last.get("add_prefix_space", True):
        raise refusal("add_prefix_space of ByteLevel", True, "false")
    steps = list(map(_read_step, before))
    if last.get("use_regex", True):
        steps.append(Split(GPT2_PATTERN))
    alone = len(steps) == 1 and steps[0] == Split(steps[0].pattern)
    return steps[0].pattern if alone else steps


def _read_step(step: Json) -> Split:
    if step.get("type") == "Digits":
        return Split(_DIGITS if step.get("individual_digits") else f"{_DIGITS}+")
    if step.get("type") != "Split" or step["behavior"] not in BEHAVIORS:
        raise refusal("a step before ByteLevel", step, "Split or Digits")
    invert = bool(step.get("invert")) and step["behavior"] != "Isolated"  # where it has no effect
    pattern = step["pattern"]
    if pattern.get("String") == "":
        raise refusal("pattern of Split", pattern, "one character or more")
    expression = pattern["Regex"] if "Regex" in pattern else re.escape(pattern["String"])
    return Split(common_pattern(expression), step["behavior"], invert)


def _read_normal_form(step: Any) -> str | None:
    if step and step.get("type") == "Sequence" and len(step["normalizers"]) < 2:
        step = next(iter(step["normalizers"]), None)
    if step and step.get("type") not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise refusal("normalizer", step, "none, or one of NFC, NFD, NFKC and NFKD")
    return step["type"] if step else None


def write_bpe(tokenizer: ByteBPE) -> Json:
    """Return the parts of a `tokenizer.json` that describe a byte-level BPE."""
    written = {i: bytes_to_characters(token) for token, i in tokenizer.vocabulary.items()}
    by_regex = tokenizer.pattern == GPT2_PATTERN
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    steps = [
        *([] if by_regex else _splits(tokenizer.pattern)),
        byte_level | {"use_regex": by_regex},
    ]
    return {
        "normalizer": {"type": tokenizer.normalization} if tokenizer.normalization else None,
        "pre_tokenizer": steps[0] if by_regex else {"type": "Sequence", "pretokenizers": steps},
        "decoder": {**byte_level, "use_regex": by_regex},
        "model": {
            "type": "BPE",
            "ignore_merges": tokenizer.ignore_merges,
            "vocab": {token: i for i, token in sorted(written.items())},
            "merges": [list(map(bytes_to_characters, merge)) for merge in tokenizer.merges],
        },
    }


def _splits(pattern: str | Sequence[Split]) -> list[Json]:
    """Return the steps as Splits, whose patterns `tokenizers` must understand as `regex` does."""
    steps = [Split(pattern)] if isinstance(pattern, str) else pattern
    for step in steps:
        if common_pattern(step.pattern) != step.pattern:
            raise ValueError(
                "a pattern can be written to tokenizer.json if it means the same to Oniguruma; got "
                f"{step.pattern!r:.200}, which `tokenizers` would read differently. Write atomic "
                "groups, (?>…), in place of {1,3}+, and (?![^\\n]) in place of $."
            )
    return [
        {
            "type": "Split",
            "pattern": {"Regex": step.pattern},
            "behavior": step.behavior,
            "invert": step.invert,
        }
        for step in steps
    ]
