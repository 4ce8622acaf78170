"""Read the vocabulary files of GPT-2 and of `tiktoken`.

Before there was `tokenizer.json`, a byte-level BPE came as two files: `vocab.json` (each token and
its id) and `merges.txt` (one merge per line, in the order learned). OpenAI's `tiktoken`, and Llama
3 after it, keep a single file with one token and its rank per line and no merges at all. None is
needed: a token was made by the merge that comes last when its bytes are merged by rank.

    "IHRoZQ== 262"   b" the" in base64, and its rank, which is also its id
    b" the":  ␣ t h e  →  ␣t h e  →  ␣t he      so its merge is b" t" + b"he"

Neither kind is complete: the pattern, the normal form and some special tokens come from elsewhere.

Taught in:        tokenization
Checked against:  `tokenizers` and `transformers` on the same two files; `tiktoken` on the same
                  ranks, also on ranks that no training gives
"""

import base64
import json
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from course_lib.tokenization.added_tokens import added_tokens, reaches_of
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.byte_characters import characters_to_bytes
from course_lib.tokenization.patterns import GPT2_PATTERN, QWEN_PATTERN
from course_lib.tokenization.special import Reach

VOCAB, MERGES = "vocab.json", "merges.txt"
_ADDED, _SETTINGS = "added_tokens.json", "tokenizer_config.json"
_CLASSES = {"GPT2Tokenizer": (GPT2_PATTERN, None), "Qwen2Tokenizer": (QWEN_PATTERN, "NFC")}


def load_vocab_merges(
    vocab_path: Path | str,
    merges_path: Path | str,
    special_tokens: Mapping[str, int] | None = None,
    pattern: str = GPT2_PATTERN,
    normalization: str | None = None,
    reaches: Mapping[str, Reach] | None = None,
) -> ByteBPE:
    """Read a tokenizer from a file with its vocabulary and a file with its merges.

    A token that is neither one byte nor made by a merge, such as `<|endoftext|>`, is special: no
    text can become it. `special_tokens` adds those that are not in the vocabulary.
    """
    written, merges = _read_json(Path(vocab_path)), _read_merges(Path(merges_path))
    made = {left + right for left, right in merges}
    special = {token: i for token, i in written.items() if len(token) > 1 and token not in made}
    special |= special_tokens or {}
    vocabulary = {
        characters_to_bytes(token): i for token, i in written.items() if special.get(token) != i
    }
    halves = [(characters_to_bytes(left), characters_to_bytes(right)) for left, right in merges]
    return ByteBPE(vocabulary, halves, special, pattern, normalization, reaches=reaches)


def load_vocab_merges_folder(folder: Path | str) -> ByteBPE:
    """Read the tokenizer of a folder with `vocab.json` and `merges.txt`.

    Its `tokenizer_config.json` tells GPT-2's kind from Qwen's; without one it is GPT-2's.
    """
    folder = Path(folder)
    settings, added = (
        _read_json(folder / name) if (folder / name).is_file() else {}
        for name in (_SETTINGS, _ADDED)
    )
    kind = str(settings.get("tokenizer_class") or "GPT2Tokenizer").removesuffix("Fast")
    if kind not in _CLASSES or settings.get("add_prefix_space"):
        raise ValueError(
            f"{VOCAB} and {MERGES} are read for {' and '.join(_CLASSES)} without add_prefix_space; "
            f"got {kind} with add_prefix_space={settings.get('add_prefix_space', False)} in "
            f"{_SETTINGS}. Write a tokenizer.json with transformers: AutoTokenizer."
            "from_pretrained(...).save_pretrained(...)."
        )
    pattern, normalization = _CLASSES[kind]
    listed = settings.get("added_tokens_decoder", {}).items()
    tokens = [{**token, "id": int(i)} for i, token in listed]
    normalizer = {"type": normalization} if normalization else None
    special = added | added_tokens({"added_tokens": tokens, "normalizer": normalizer})
    reaches = reaches_of({"added_tokens": [*tokens, *({"content": name} for name in added)]})
    files = (folder / VOCAB, folder / MERGES)
    return load_vocab_merges(*files, special, pattern, normalization, reaches)


def load_tiktoken(
    path: Path | str, pattern: str, special_tokens: Mapping[str, int] | None = None
) -> ByteBPE:
    """Read a tokenizer from a `.tiktoken` file, which names neither its pattern nor special tokens.

    As in `tiktoken`, a whole word in the vocabulary is one token, whether or not merges make it.
    """
    ranks = read_ranks(path)
    merges = merges_from_ranks(ranks)
    return ByteBPE(ranks, merges, special_tokens, pattern, ignore_merges=True)


def read_ranks(path: Path | str) -> dict[bytes, int]:
    """Return the tokens of a `.tiktoken` file with their ranks."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            raise ValueError(
                f"each line of a .tiktoken file must be a token in base64, a space and its rank; "
                f"got {line!r:.80} in line {number} of {str(path)!r}. Download the file again."
            ) from None
    return ranks


def merges_from_ranks(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Return the merges that make the tokens, in the order of the ranks.

    A token whose bytes cannot be merged into two tokens has none.
    """
    halves = (_last_two(token, ranks) for token in sorted(ranks, key=ranks.__getitem__))
    return [(pair[0], pair[1]) for pair in halves if len(pair) == 2]


def _last_two(token: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """Return the parts of the token after merging by rank, stopping when there are two."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        found = [ranks.get(left + right, sys.maxsize) for left, right in pairwise(parts)]
        best = min(found)
        if best == sys.maxsize:
            break
        i = found.index(best)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        content = error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path.name} must be a JSON object in UTF-8; got {str(path)!r} with {content!r:.80}. "
            "Download or write the file again."
        )
    return content


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """Return the merges as written; the first line may name a version."""
    merges = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        halves = line.split(" ")
        if len(halves) != 2:
            raise ValueError(
                f"each line of {path.name} must be two tokens and a space between them; got "
                f"{line!r:.80} in line {number} of {str(path)!r}. Download the file again."
            )
        merges.append((halves[0], halves[1]))
    return merges
