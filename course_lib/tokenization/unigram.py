"""Unigram: every segmentation has a probability, and the best one wins.

BPE and WordPiece decide by rules. Unigram, the default of SentencePiece, gives each piece a
probability; a segmentation has the product of its pieces' probabilities, and the most probable one
encodes the text. Drawing segmentations at random instead shows a model the same sentence in many
spellings.

    Spaces are letters, written ▁:   "a cat"  →  ▁a ▁cat  →  log p(▁a) + log p(▁cat)

Taught in:        tokenization
Paper:            Kudo 2018, arXiv:1804.10959; Kudo and Richardson 2018, arXiv:1808.06226
Checked against:  `tokenizers` (Unigram, Metaspace)
"""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, groupby

from course_lib.tokenization.metaspace import BYTE_PIECES, Metaspace, PieceJoiner, pieces_of
from course_lib.tokenization.normalizer import Normalizer
from course_lib.tokenization.segmentation import sample_segmentation, viterbi
from course_lib.tokenization.special import (
    Reach,
    check_own_ids,
    check_special,
    encode_with_special,
    utf8_bytes,
)
from course_lib.tokenization.unigram_training import train_pieces
from course_lib.tokenization.word_cache import WordCache


def split_words(text: str) -> list[str]:
    """Return the words of the text, each with the space before it written as ▁."""
    return Metaspace().words(text)


class Unigram:
    """A Unigram tokenizer: pieces with log probabilities, id 0 onwards in the order given."""

    def __init__(
        self,
        pieces: Sequence[tuple[str, float]],
        unknown_id: int = 0,
        special_tokens: Mapping[str, int] | None = None,
        byte_fallback: bool = False,
        normalizer: Normalizer | None = None,
        metaspace: Metaspace | None = None,
        joiner: PieceJoiner | None = None,
        reaches: Mapping[str, Reach] | None = None,
    ) -> None:
        self.pieces = list(pieces)
        self.unknown_id, self.byte_fallback = unknown_id, byte_fallback
        self.special_tokens, self.reaches = dict(special_tokens or {}), dict(reaches or {})
        self.normalizer = normalizer or Normalizer()
        self.metaspace = metaspace or Metaspace()
        self.joiner = joiner or PieceJoiner(byte_fallback)
        check_special(self.special_tokens)
        check_special((piece for piece, _ in self.pieces), "piece")
        if not 0 <= unknown_id < len(self.pieces):
            raise ValueError(
                f"unknown_id must be the place of a piece, 0 to {len(self.pieces) - 1}; "
                f"got {unknown_id}. Pass the place of <unk>."
            )
        self.vocabulary = {piece: i for i, (piece, _) in enumerate(self.pieces)}
        self.tokens = {i: piece for piece, i in self.vocabulary.items()}
        self.tokens |= {i: name for name, i in self.special_tokens.items()}
        check_own_ids(self.tokens, self.vocabulary, self.special_tokens)
        names = {self.pieces[unknown_id][0], *self.special_tokens}
        names |= set(BYTE_PIECES) if byte_fallback else set()
        self.log_probs = {piece: score for piece, score in self.pieces if piece not in names}
        self._longest = max(map(len, self.vocabulary))
        self._unknown = min((score for _, score in self.pieces), default=0.0) - 10
        self._cache = WordCache(partial(self._encode_word, self.log_probs))
        # Where all special tokens are allowed, normalization may turn text into their names.
        self._cache_with_names = WordCache(partial(self._encode_word, dict(self.pieces)))

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = ("<unk>",)
    ) -> "Unigram":
        """Learn a tokenizer of at most `vocab_size` pieces; the special ones, <unk> first, lead."""
        words: Counter[str] = Counter()
        for text in texts:
            words.update(split_words(text))
        if not words or not special_tokens:
            raise ValueError(
                f"training needs text and at least an unknown token; got {len(words)} words and "
                f"special_tokens={list(special_tokens)}. Pass non-empty strings and ('<unk>',)."
            )
        learned = train_pieces(words, vocab_size - len(special_tokens))
        ranked = sorted(learned.items(), key=lambda item: (-item[1], item[0]))
        special = {name: i for i, name in enumerate(special_tokens)}
        check_special(special_tokens)
        return cls([*((name, 0.0) for name in special_tokens), *ranked], 0, special)

    @property
    def vocab_size(self) -> int:
        """How many rows an embedding table for this tokenizer needs."""
        return max(self.tokens) + 1

    def encode_ordinary(self, text: str, at_start: bool = True) -> list[int]:
        """Return the ids of the text, in which no special token is recognised."""
        return self._encode(text, self._cache, at_start)

    def encode(self, text: str, allowed_special: Collection[str] | str = ()) -> list[int]:
        """Return the ids of the text; only allowed special tokens are more than their letters."""
        cache = self._cache_with_names if allowed_special == "all" else self._cache
        first = partial(self._encode, cache=cache, at_start=True)
        later = partial(self._encode, cache=cache, at_start=False)
        return encode_with_special(
            text, self.special_tokens, allowed_special, first, later, self.reaches
        )

    def sample(self, text: str, generator: random.Random, temperature: float = 1.0) -> list[str]:
        """Draw pieces for the text at random, each segmentation as often as it is probable."""
        return [
            piece
            for word in self.metaspace.words(self.normalizer(text))
            for piece in sample_segmentation(
                word, self.log_probs, generator, temperature, self._longest
            )
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids, without the space in front of the first word.

        That space may have been in the text or not: "a" and " a" have the same ids.
        """
        return self.joiner.text(pieces_of(ids, self.tokens))

    def _encode(self, text: str, cache: WordCache, at_start: bool) -> list[int]:
        utf8_bytes(text)
        words = self.metaspace.words(self.normalizer(text), at_start)
        return list(chain.from_iterable(map(cache.__getitem__, words)))

    def _encode_word(self, log_probs: Mapping[str, float], word: str) -> list[int]:
        """Return the ids of a word; unknown characters in a row are one unknown token."""
        ids: list[int] = []
        pieces = viterbi(word, log_probs, self._longest, self._unknown)
        unknown = self.pieces[self.unknown_id][0]
        for known, group in groupby(pieces, lambda p: p in log_probs and p != unknown):
            if known:
                ids += [self.vocabulary[piece] for piece in group]
            else:
                ids += self._encode_unknown("".join(group))
        return ids

    def _encode_unknown(self, text: str) -> list[int]:
        spelled = [BYTE_PIECES[byte] for byte in text.encode()]
        if self.byte_fallback and all(piece in self.vocabulary for piece in spelled):
            return [self.vocabulary[piece] for piece in spelled]
        return [self.unknown_id]
