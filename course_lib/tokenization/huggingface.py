"""Read and write `tokenizer.json`, the one file in which Hugging Face keeps a tokenizer.

The file lists a chain of steps (normalizer, pre-tokenizer, model) and the added tokens. Byte-level
models cannot write arbitrary bytes into JSON, so each byte is written as a character: itself where
it prints, else one from U+0100 upwards. That is why a space shows as `Ġ` in such files.

    b" the"  ↔  "Ġthe"

What a file asks for and this library lacks raises an error: a tokenizer that differs in one step
gives a model different ids from those it was trained on. Steps that leave the ids of plain text
alone (post-processor, decoder, truncation, padding) are not read.

Taught in:        tokenization
Checked against:  `tokenizers.Tokenizer.from_file`, in both directions
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_lib.tokenization.bpe_training import BYTE_IDS
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.patterns import GPT2_PATTERN
from course_lib.tokenization.unigram import SPACE, Unigram
from course_lib.tokenization.wordpiece import CONTINUES, WordPiece

Json = dict[str, Any]
Tokenizer = ByteBPE | WordPiece | Unigram

_FIRST_UNPRINTABLE = 188  # from this place in GPT2_BYTE_ORDER on, bytes borrow a character
BYTE_CHARACTERS = {
    byte: chr(byte) if place < _FIRST_UNPRINTABLE else chr(256 + place - _FIRST_UNPRINTABLE)
    for byte, place in BYTE_IDS.items()
}
_CHARACTER_BYTES = {character: byte for byte, character in BYTE_CHARACTERS.items()}


def bytes_to_characters(token: bytes) -> str:
    """Return the token as `tokenizer.json` writes it."""
    return "".join(BYTE_CHARACTERS[byte] for byte in token)


def characters_to_bytes(written: str) -> bytes:
    """Return the bytes of a token that `tokenizer.json` writes as these characters."""
    try:
        return bytes(_CHARACTER_BYTES[character] for character in written)
    except KeyError as error:
        raise _refusal("a byte-level token", f"{error.args[0]!r} in {written!r}") from None


def load_tokenizer_json(path: Path | str) -> Tokenizer:
    """Read a `tokenizer.json` of the byte-level BPE, WordPiece or Unigram kind."""
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"tokenizer.json must be JSON in UTF-8; got {str(path)!r}, which fails with: {error}. "
            "Download or write the file again."
        ) from None
    return from_json(content)


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
    readers = {"BPE": _read_bpe, "WordPiece": _read_wordpiece, "Unigram": _read_unigram}
    if kind not in readers:
        raise _refusal("model.type", kind, "BPE, WordPiece or Unigram")
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
        steps = _write_bpe(tokenizer)
    elif isinstance(tokenizer, WordPiece):
        steps = _write_wordpiece(tokenizer)
    else:
        steps = _write_unigram(tokenizer)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": i, "content": name, **flags, "special": True}
        for name, i in sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    ]
    head = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added}
    return {**head, "post_processor": None, **steps}


def _read_bpe(content: Json) -> ByteBPE:
    model = content["model"]
    for field in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(field):
            raise _refusal(f"model.{field}", model[field], "none, as in byte-level BPE")
    if model.get("byte_fallback"):
        raise _refusal("model.byte_fallback", True, "false, as in byte-level BPE")
    special = added_tokens(content)
    vocabulary = {
        characters_to_bytes(written): i
        for written, i in model["vocab"].items()
        if special.get(written) != i
    }
    return ByteBPE(
        vocabulary,
        map(_read_merge, model["merges"]),
        special,
        _read_pattern(content.get("pre_tokenizer")),
        _read_normal_form(content.get("normalizer")),
        bool(model.get("ignore_merges")),
    )


def _read_merge(entry: str | list[str]) -> tuple[bytes, bytes]:
    """Return the two tokens of a merge, written as "a b" in older files and ["a", "b"] in newer."""
    halves = entry.split(" ") if isinstance(entry, str) else entry
    if len(halves) != 2:
        raise _refusal("a merge", entry, "two tokens")
    return characters_to_bytes(halves[0]), characters_to_bytes(halves[1])


def _read_pattern(step: Any) -> str:
    """Return the pre-splitting pattern of a byte-level file, in either of its two layouts."""
    step = step or {}
    steps = step["pretokenizers"] if step.get("type") == "Sequence" else [step]
    *splits, last = steps
    wanted = "ByteLevel, or Split and ByteLevel without use_regex"
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space") or len(splits) > 1:
        raise _refusal("pre_tokenizer", step, wanted)
    if not splits and last.get("use_regex", True):
        return GPT2_PATTERN
    if not splits or last.get("use_regex", True) or splits[0].get("type") != "Split":
        raise _refusal("pre_tokenizer", step, wanted)
    layout = splits[0]["behavior"], bool(splits[0].get("invert"))
    if layout not in (("Isolated", False), ("Removed", True)):
        raise _refusal("(behavior, invert) of Split", layout, "Isolated, or Removed and inverted")
    return splits[0]["pattern"]["Regex"]


def _read_normal_form(step: Any) -> str | None:
    if step and step.get("type") == "Sequence" and len(step["normalizers"]) < 2:
        step = next(iter(step["normalizers"]), None)
    if step and step.get("type") not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise _refusal("normalizer", step, "none, or one of NFC, NFD, NFKC and NFKD")
    return step["type"] if step else None


def _write_bpe(tokenizer: ByteBPE) -> Json:
    written = {i: bytes_to_characters(token) for token, i in tokenizer.vocabulary.items()}
    by_regex = tokenizer.pattern == GPT2_PATTERN
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    split: Json = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}}
    split |= {"behavior": "Isolated", "invert": False}
    steps = [*([] if by_regex else [split]), {**byte_level, "use_regex": by_regex}]
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


def _read_wordpiece(content: Json) -> WordPiece:
    model, normalizer = content["model"], content.get("normalizer") or {}
    if model.get("continuing_subword_prefix", CONTINUES) != CONTINUES:
        raise _refusal("model.continuing_subword_prefix", model["continuing_subword_prefix"], "##")
    if (content.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        raise _refusal("pre_tokenizer", content.get("pre_tokenizer"), "BertPreTokenizer")
    lowercase = bool(normalizer.get("lowercase"))
    if (
        normalizer.get("type") != "BertNormalizer"
        or not (normalizer.get("clean_text") and normalizer.get("handle_chinese_chars"))
        or normalizer.get("strip_accents") not in (None, lowercase)
    ):
        wanted = "a BertNormalizer that cleans, separates ideographs, and strips what it lowers"
        raise _refusal("normalizer", normalizer, wanted)
    special = added_tokens(content)
    limit = model.get("max_input_chars_per_word", 100)
    vocabulary = {**model["vocab"], **special}
    return WordPiece(vocabulary, list(special), model["unk_token"], lowercase, limit)


def _write_wordpiece(tokenizer: WordPiece) -> Json:
    return {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": tokenizer.lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": CONTINUES, "cleanup": False},
        "model": {
            "type": "WordPiece",
            "unk_token": tokenizer.unknown,
            "continuing_subword_prefix": CONTINUES,
            "max_input_chars_per_word": tokenizer.max_characters,
            "vocab": tokenizer.vocabulary,
        },
    }


def _read_unigram(content: Json) -> Unigram:
    model, step = content["model"], content.get("pre_tokenizer") or {}
    if content.get("normalizer"):
        raise _refusal("normalizer", content["normalizer"], "none, as Unigram is written here")
    always = step.get("prepend_scheme", "always" if step.get("add_prefix_space") else None)
    layout = step.get("type"), step.get("replacement"), always, step.get("split", True)
    if layout != ("Metaspace", SPACE, "always", True):
        raise _refusal("pre_tokenizer", step, f"Metaspace with {SPACE}, always in front, split")
    if model.get("unk_id") is None:
        raise _refusal("model.unk_id", None, "the place of the unknown piece")
    pieces = [(piece, float(score)) for piece, score in model["vocab"]]
    fallback = bool(model.get("byte_fallback"))
    return Unigram(pieces, model["unk_id"], added_tokens(content), fallback)


def _write_unigram(tokenizer: Unigram) -> Json:
    space = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    return {
        "normalizer": None,
        "pre_tokenizer": space,
        "decoder": space,
        "model": {
            "type": "Unigram",
            "unk_id": tokenizer.unknown_id,
            "vocab": [list(piece) for piece in tokenizer.pieces],
            "byte_fallback": tokenizer.byte_fallback,
        },
    }


def added_tokens(content: Json) -> dict[str, int]:
    """Return the added tokens, which must stand for exactly their own letters."""
    added: dict[str, int] = {}
    for token in content.get("added_tokens") or []:
        name = token["content"]
        for flag in ("lstrip", "rstrip", "single_word"):
            if token.get(flag):
                raise _refusal(f"{flag} of the added token {name!r}", True, "false")
        if token.get("normalized") and content.get("normalizer"):
            raise _refusal(f"normalized of the added token {name!r}", True, "false")
        if name in added:
            raise ValueError(
                f"each special token may be listed once, since it has one id; got {name!r} twice "
                "in added_tokens. Remove the repetition."
            )
        added[name] = token["id"]
    return added


def _refusal(
    field: str, value: Any, wanted: str = "a character of the byte alphabet"
) -> ValueError:
    return ValueError(
        f"{field} in a tokenizer's file must be {wanted}; got {value!s:.120}. This library would "
        "give other ids for such a file: use `tokenizers` for it."
    )
