"""Read `vocab.txt`, the file in which BERT's first tokenizers keep their pieces: one in each line.

The line number is the id. Nothing else is in the file: the special tokens are BERT's five, and what
is done to the text before it is cut stands in tokenizer_config.json, if anywhere.

    line 0   [PAD]          line 101   [CLS]          line 1996   the          line 2015   ##s

Taught in:        tokenization
Paper:            Devlin et al. 2018, arXiv:1810.04805
Checked against:  `transformers.BertTokenizer`
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_lib.tokenization.wordpiece import SPECIAL_TOKENS, WordPiece


def read_vocabulary(path: Path | str) -> dict[str, int]:
    """Return the id of each piece of a `vocab.txt`."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"vocab.txt must be text in UTF-8; got {str(path)!r} and {error}. Fetch the file again."
        ) from error
    pieces = lines[:-1] if lines[-1] == "" else lines
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    if len(vocabulary) < len(pieces):
        twice = next(each for number, each in enumerate(pieces) if vocabulary[each] != number)
        raise ValueError(
            f"each piece of vocab.txt may stand in one line, which is its id; got {twice!r} twice "
            f"in {str(path)!r}. Fetch the file again."
        )
    return vocabulary


def load_wordpiece(path: Path | str, settings: Mapping[str, Any] | None = None) -> WordPiece:
    """Return the tokenizer of a `vocab.txt`; `settings` are those of tokenizer_config.json."""
    settings, vocabulary = settings or {}, read_vocabulary(path)
    unknown = settings.get("unk_token", "[UNK]")
    if unknown not in vocabulary:
        raise ValueError(
            f"vocab.txt must hold the unknown token, {unknown!r}; got {len(vocabulary)} pieces "
            f"without it in {str(path)!r}. Is it the vocabulary of a BERT, one piece in each line?"
        )
    lowercase = bool(settings.get("do_lower_case", True))
    fixed = {"tokenize_chinese_chars": (True,), "strip_accents": (None, lowercase)}
    for key, meant in fixed.items():
        if (given := settings.get(key, meant[0])) not in meant:
            raise ValueError(
                f"{key} in tokenizer_config.json must be {meant[-1]}; got {given!r}. This library "
                "would give other ids: use `transformers` for such a tokenizer."
            )
    special = [name for name in SPECIAL_TOKENS if name in vocabulary]
    return WordPiece(vocabulary, special, unknown, lowercase)
