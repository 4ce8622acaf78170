"""Read and write the `tokenizer.json` of SentencePiece's models: Unigram (T5) and BPE (Llama 2).

Taught in:        tokenization
Checked against:  `tokenizers.Tokenizer.from_file`, in both directions
"""

from typing import Any

from course_lib.tokenization.added_tokens import (
    Json,
    added_tokens,
    check_ids,
    reaches_of,
    refusal,
    steps_of,
)
from course_lib.tokenization.character_bpe import CharacterBPE
from course_lib.tokenization.metaspace import SPACE, Metaspace, PieceJoiner
from course_lib.tokenization.normalizer import Normalizer
from course_lib.tokenization.unigram import Unigram


def is_character_bpe(content: Json) -> bool:
    """Say whether a file whose model is a BPE starts from characters and not from bytes."""
    characters = content["model"].get("byte_fallback") or SPACE in content["model"]["vocab"]
    return (
        bool(characters) and steps_of(content.get("pre_tokenizer"))[-1].get("type") != "ByteLevel"
    )


def read_character_bpe(content: Json) -> CharacterBPE:
    """Return the tokenizer of Llama 2 and Mistral, in either of their layouts."""
    model = content["model"]
    for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(field):
            raise refusal(f"model.{field}", model[field], "none, as in SentencePiece's BPE")
    fallback = bool(model.get("byte_fallback"))
    if not fallback and not model.get("fuse_unk"):
        raise refusal("model.fuse_unk", False, "true where there is no byte_fallback")
    special = added_tokens(content)
    check_ids(special, model["vocab"])
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    step = content.get("pre_tokenizer")
    return CharacterBPE(
        model["vocab"],
        [(left, right) for left, right in pairs],
        special,
        model.get("unk_token"),
        fallback,
        Normalizer(content.get("normalizer")),
        _read_metaspace(step, content.get("normalizer")) if step else None,
        _read_joiner(content.get("decoder"), fallback),
        bool(model.get("ignore_merges")),
        reaches_of(content),
    )


def read_unigram(content: Json) -> Unigram:
    """Return the tokenizer of a file whose model is Unigram."""
    model = content["model"]
    if model.get("unk_id") is None:
        raise refusal("model.unk_id", None, "the place of the unknown piece")
    pieces = [(piece, float(score)) for piece, score in model["vocab"]]
    special = added_tokens(content)
    check_ids(special, {piece: i for i, (piece, _) in enumerate(pieces)})
    fallback = bool(model.get("byte_fallback"))
    normalizer = Normalizer(content.get("normalizer"))
    metaspace = _read_metaspace(content.get("pre_tokenizer"), normalizer.written)
    return Unigram(
        pieces,
        model["unk_id"],
        special,
        fallback,
        normalizer,
        metaspace,
        _read_joiner(content.get("decoder"), fallback),
        reaches_of(content),
    )


def _read_metaspace(step: Any, normalizer: Any) -> Metaspace:
    *before, last = steps_of(step)
    if last.get("type") != "Metaspace" or last.get("replacement") != SPACE:
        raise refusal("pre_tokenizer", step, f"Metaspace with {SPACE}")
    if before and before != [{"type": "WhitespaceSplit"}]:
        raise refusal("a step before Metaspace", before, "WhitespaceSplit")
    always = "always" if last.get("add_prefix_space", True) else "never"  # in older files
    prepend: Any = last.get("prepend_scheme") or always
    if prepend not in ("always", "first", "never"):
        raise refusal("prepend_scheme of Metaspace", prepend, "always, first or never")
    if prepend == "first" and (before or normalizer):
        raise refusal("prepend_scheme of Metaspace", prepend, "always or never after other steps")
    return Metaspace(prepend, last.get("split", True), bool(before))


def _read_joiner(step: Any, byte_fallback: bool) -> PieceJoiner:
    """Return how pieces are joined. A file without a decoder is decoded in the usual way."""
    if not step:
        return PieceJoiner(byte_fallback)
    if step["type"] == "Metaspace" and step.get("replacement") == SPACE:
        prepends = step.get("prepend_scheme") != "never" and step.get("add_prefix_space", True)
        return PieceJoiner(False, prepends)
    steps = step.get("decoders", [step])
    if steps[:3] == _JOIN_BYTES and steps[3:] in ([], [_STRIP]):
        return PieceJoiner(True, steps[3:] == [_STRIP])
    raise refusal("decoder", step, "Metaspace, or Replace, ByteFallback, Fuse and Strip")


_JOIN_BYTES = [
    {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
]
_STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}


def write_unigram(tokenizer: Unigram) -> Json:
    """Return the parts of a `tokenizer.json` that describe a Unigram tokenizer."""
    model = {
        "type": "Unigram",
        "unk_id": tokenizer.unknown_id,
        "vocab": [list(piece) for piece in tokenizer.pieces],
        "byte_fallback": tokenizer.byte_fallback,
    }
    return {**_write_steps(tokenizer), "model": model}


def write_character_bpe(tokenizer: CharacterBPE) -> Json:
    """Return the parts of a `tokenizer.json` that describe a BPE on characters."""
    model = {
        "type": "BPE",
        "unk_token": tokenizer.unknown,
        "fuse_unk": True,
        "byte_fallback": tokenizer.byte_fallback,
        "ignore_merges": tokenizer.ignore_merges,
        "vocab": tokenizer.vocabulary,
        "merges": [list(merge) for merge in tokenizer.merges],
    }
    return {**_write_steps(tokenizer), "model": model}


def _write_steps(tokenizer: Unigram | CharacterBPE) -> Json:
    metaspace, joiner = tokenizer.metaspace, tokenizer.joiner
    step: Any = None
    if metaspace:
        step = _metaspace(metaspace.prepend, metaspace.split)
        if metaspace.at_white_space:
            step = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, step]}
    decoder = _metaspace("always" if joiner.strip else "never", True)
    if joiner.byte_fallback:
        decoders = [*_JOIN_BYTES, *([_STRIP] if joiner.strip else [])]
        decoder = {"type": "Sequence", "decoders": decoders}
    written = tokenizer.normalizer.written
    return {"normalizer": written, "pre_tokenizer": step, "decoder": decoder}


def _metaspace(prepend: str, split: bool) -> Json:
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": prepend, "split": split}
