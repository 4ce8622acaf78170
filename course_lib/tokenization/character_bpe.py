"""BPE on characters, with bytes for those that have no token: the tokenizer of Llama 2 and Mistral.

SentencePiece's BPE starts from characters. A character that the vocabulary lacks is spelled by the
tokens of its bytes, `<0xE5>` and so on, or is the unknown token. The text is not cut into words:
merges alone decide, and none that was learned joins the end of a word with the ▁ of the next.

    "the 字"  →  ▁the ▁ <0xE5> <0xAD> <0x97>

Taught in:        tokenization
Paper:            Kudo and Richardson 2018, arXiv:1808.06226
Checked against:  `tokenizers` (BPE with byte_fallback)
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import chain

from course_lib.tokenization.byte_bpe import LONG_WORD, encode_by_rank, encode_long
from course_lib.tokenization.metaspace import BYTE_PIECES, SPACE, Metaspace, PieceJoiner, pieces_of
from course_lib.tokenization.normalizer import Normalizer
from course_lib.tokenization.special import (
    Reach,
    check_own_ids,
    check_special,
    encode_with_special,
    utf8_bytes,
)
from course_lib.tokenization.word_cache import WordCache


class CharacterBPE:
    """A BPE tokenizer whose smallest tokens are characters."""

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Iterable[tuple[str, str]],
        special_tokens: Mapping[str, int] | None = None,
        unknown: str | None = None,
        byte_fallback: bool = True,
        normalizer: Normalizer | None = None,
        metaspace: Metaspace | None = None,
        joiner: PieceJoiner | None = None,
        ignore_merges: bool = False,
        reaches: Mapping[str, Reach] | None = None,
    ) -> None:
        self.vocabulary, self.merges = dict(vocabulary), list(merges)
        self.special_tokens, self.reaches = dict(special_tokens or {}), dict(reaches or {})
        self.unknown, self.byte_fallback = unknown, byte_fallback
        self.normalizer, self.metaspace = normalizer or Normalizer(), metaspace
        self.joiner = joiner or PieceJoiner(byte_fallback)
        self.ignore_merges = ignore_merges
        check_special(self.special_tokens)
        self._check()
        self.tokens = {i: piece for piece, i in self.vocabulary.items()}
        self.tokens |= {i: name for name, i in self.special_tokens.items()}
        check_own_ids(self.tokens, self.vocabulary, self.special_tokens)
        self.merge_table = {
            (vocabulary[left], vocabulary[right]): (rank, vocabulary[left + right])
            for rank, (left, right) in enumerate(self.merges)
        }
        crossing = any(SPACE in right.lstrip(SPACE) for right in vocabulary) or any(
            right.startswith(SPACE) and not left.endswith(SPACE) for left, right in self.merges
        )
        self._parts = (
            None
            if crossing or SPACE not in vocabulary
            else re.compile(f"{SPACE}+[^{SPACE}]*|[^{SPACE}]+")
        )
        self._cache = WordCache(self._encode_word)

    @property
    def vocab_size(self) -> int:
        """How many rows an embedding table for this tokenizer needs."""
        return max(self.tokens) + 1

    def encode_ordinary(self, text: str, at_start: bool = True) -> list[int]:
        """Return the ids of the text, in which no special token is recognised."""
        utf8_bytes(text)
        text = self.normalizer(text)
        words = self.metaspace.words(text, at_start) if self.metaspace else [text]
        return list(chain.from_iterable(map(self._encode_words, words)))

    def encode(self, text: str, allowed_special: Collection[str] | str = ()) -> list[int]:
        """Return the ids of the text; only allowed special tokens are more than their letters."""
        later = partial(self.encode_ordinary, at_start=False)
        return encode_with_special(
            text, self.special_tokens, allowed_special, self.encode_ordinary, later, self.reaches
        )

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids, without the space in front that encoding adds."""
        return self.joiner.text(pieces_of(ids, self.tokens))

    def _encode_words(self, word: str) -> list[int]:
        """Return the ids of text whose parts, which no merge crosses, are looked up one by one."""
        whole = self.ignore_merges and word in self.vocabulary
        parts = [word] if self._parts is None or whole else self._parts.findall(word)
        return list(chain.from_iterable(map(self._cache.__getitem__, parts)))

    def _encode_word(self, word: str) -> list[int]:
        if self.ignore_merges and word in self.vocabulary:
            return [self.vocabulary[word]]
        ids: list[int] = []
        after_unknown = False
        for character in word:
            known = self.vocabulary.get(character)
            if known is None and self.byte_fallback:
                ids += [self.vocabulary[BYTE_PIECES[byte]] for byte in character.encode()]
            elif known is not None:
                ids.append(known)
            elif not after_unknown:  # unknown characters in a row are one token
                ids.append(self.vocabulary[str(self.unknown)])
            after_unknown = known is None
        return (encode_by_rank if len(ids) < LONG_WORD else encode_long)(ids, self.merge_table)

    def _check(self) -> None:
        """Raise where a character would have no token, or a merge none."""
        if self.byte_fallback:
            missing = [piece for piece in BYTE_PIECES if piece not in self.vocabulary]
        else:
            missing = [] if self.unknown in self.vocabulary else [str(self.unknown)]
        if missing:
            raise ValueError(
                "the vocabulary must hold a token for every character, <0x00> to <0xFF> or the "
                f"unknown token; got one without {missing[0]!r}. Add it."
            )
        for left, right in self.merges:
            for part in (left, right, left + right):
                if part not in self.vocabulary:
                    raise ValueError(
                        f"a merge joins two tokens of the vocabulary into a third; got {left!r} + "
                        f"{right!r}, where {part!r} has no id. Add it, or remove the merge."
                    )
