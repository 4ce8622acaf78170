"""WordPiece: the tokenizer of BERT, greedy and with an unknown token.

Training here prefers pairs that occur together more often than their parts would by chance, which
is the rule usually given; Google's trainer is unpublished, and that of `tokenizers` counts pairs as
BPE does. Encoding ignores how the pieces were made: it takes the longest piece of the
vocabulary that begins the word, then the longest that continues it (written with `##`), and so on.
A word that cannot be completed becomes `[UNK]` as a whole.

    score(a, b) = count(ab) / (count(a) · count(b))

    "unwanted"   un ##want ##ed          "unwanted☃"   [UNK]

Taught in:        tokenization
Paper:            Schuster and Nakajima 2012; Devlin et al. 2018, arXiv:1810.04805
Checked against:  `tokenizers` (WordPiece, BertNormalizer, BertPreTokenizer)
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from itertools import chain

from course_lib.tokenization.metaspace import pieces_of
from course_lib.tokenization.normalization import normalize
from course_lib.tokenization.pair_counts import PairCounts
from course_lib.tokenization.special import (
    Reach,
    check_own_ids,
    check_special,
    encode_with_special,
    utf8_bytes,
)
from course_lib.tokenization.unicode_tables import (
    FORMER_MARKS,
    FORMER_PUNCTUATION,
    LATER_CONTROLS,
    LATER_MARKS,
    LATER_PUNCTUATION,
    WHITE_SPACE,
    lower,
)
from course_lib.tokenization.word_cache import WordCache

CONTINUES = "##"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def wordpiece_encode(
    word: str, vocabulary: Container[str], unknown: str = "[UNK]", max_characters: int = 100
) -> list[str]:
    """Return the longest pieces of the vocabulary that make up the word, or `[unknown]`."""
    if len(word) > max_characters:
        return [unknown]
    pieces: list[str] = []
    start = 0
    while start < len(word):
        prefix = CONTINUES if start else ""
        ends = range(len(word), start, -1)
        end = next((e for e in ends if prefix + word[start:e] in vocabulary), None)
        if end is None:
            return [unknown]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces


def bert_normalize(text: str, lowercase: bool = True) -> str:
    """Return the text without control characters, accents and capitals, ideographs set apart."""
    cleaned = (" " if c.isspace() else c for c in text if not _is_control(c))
    text = "".join(f" {c} " if _is_ideograph(c) else c for c in cleaned)
    if not lowercase:
        return text
    letters = (c for c in normalize(text, "NFD") if not _is_mark(c))
    return "".join(lower(letter) for letter in letters)


def bert_split(text: str) -> list[str]:
    """Return the words of the text; each punctuation mark is a word."""
    return "".join(f" {c} " if _is_punctuation(c) else c for c in text).split()


def _is_control(character: str) -> bool:
    if character in "\t\n\r":
        return False
    if character == "\ufffd":
        return True
    category = unicodedata.category(character)
    return category in ("Cc", "Cf", "Co") and not LATER_CONTROLS.match(character)


def _is_mark(character: str) -> bool:
    if character.isascii():
        return False
    if unicodedata.category(character) == "Mn":
        return not LATER_MARKS.match(character)
    return character in FORMER_MARKS


def _is_ideograph(character: str) -> bool:
    return character > "\u33ff" and any(low <= ord(character) <= high for low, high in _IDEOGRAPHS)


def _is_punctuation(character: str) -> bool:
    if character.isascii():
        return character in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    if unicodedata.category(character).startswith("P"):
        return not LATER_PUNCTUATION.match(character)
    return character in FORMER_PUNCTUATION


# White space that is no control character: nothing in a word depends on what stands beyond it.
_SPACES = re.compile(f"[{''.join(space for space in WHITE_SPACE if not _is_control(space))}]+")
_TIDY = [(" " + mark, mark) for mark in (".", "?", "!", ",")]
_TIDY += [(" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't")]
_TIDY += [(" " + end, end) for end in ("'s", "'ve", "'re")]


def clean(piece: str) -> str:
    """Return a piece without the space before punctuation and contractions."""
    for spaced, tidy in _TIDY:
        piece = piece.replace(spaced, tidy)
    return piece


def pair_score(pair: str, corpus: PairCounts) -> float:
    """Return how much more often the pair occurs than its parts would meet by chance."""
    left, right = pair[0], pair[1]
    return corpus.counts[pair] / (corpus.occurrences[left] * corpus.occurrences[right])


def count_spelled(words: Mapping[str, int]) -> tuple[list[str], PairCounts]:
    """Return the pieces of single characters, sorted, and the words spelled with their numbers."""
    spelled = {word: [word[0], *(CONTINUES + c for c in word[1:])] for word in words if word}
    pieces = sorted(set(chain.from_iterable(spelled.values())))
    letter = {piece: chr(i) for i, piece in enumerate(pieces)}
    return pieces, PairCounts(
        ("".join(letter[piece] for piece in spelled[word]), words[word]) for word in spelled
    )


def train_pieces(words: Mapping[str, int], num_pieces: int, min_count: int = 2) -> list[str]:
    """Return at most `num_pieces` pieces: the characters, then what merging them gives.

    A pair seen less than `min_count` times is left alone: two letters that occur once, side by
    side, would have the best score of all.
    """
    pieces, corpus = count_spelled(words)
    if len(pieces) > num_pieces:
        raise ValueError(
            f"the vocabulary must hold every character of the corpus, here {len(pieces)} pieces; "
            f"got room for {num_pieces}. Pass a larger vocab_size."
        )
    number = {piece: i for i, piece in enumerate(pieces)}

    def rank(pair: str) -> tuple[float, int, int, int]:
        return pair_score(pair, corpus), corpus.counts[pair], -ord(pair[0]), -ord(pair[1])

    while len(pieces) < num_pieces:
        frequent = [pair for pair, count in corpus.counts.items() if count >= min_count]
        if not frequent:
            break
        best = max(frequent, key=rank)
        left, right = (pieces[ord(token)] for token in best)
        joined = left + right.removeprefix(CONTINUES)
        corpus.merge(best, chr(number.setdefault(joined, len(pieces))))
        pieces += [joined] if number[joined] == len(pieces) else []
    return pieces


class WordPiece:
    """A WordPiece tokenizer: a vocabulary of pieces and the rules of BERT around it."""

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        special_tokens: Collection[str] = SPECIAL_TOKENS,
        unknown: str = "[UNK]",
        lowercase: bool = True,
        max_characters: int = 100,
        cleanup: bool = False,
        reaches: Mapping[str, Reach] | None = None,
    ) -> None:
        check_special(special_tokens)
        if missing := [name for name in (unknown, *special_tokens) if name not in vocabulary]:
            raise ValueError(
                f"the unknown token and all special tokens must be in the vocabulary; got one "
                f"without {missing[0]!r}. Add it, or leave it out of special_tokens."
            )
        self.vocabulary = dict(vocabulary)
        self.special_tokens = {name: vocabulary[name] for name in special_tokens}
        self.reaches = dict(reaches or {})
        self.unknown, self.lowercase = unknown, lowercase
        self.max_characters = max_characters
        self.cleanup = cleanup  # whether decoding drops the spaces around punctuation
        self.tokens = {i: piece for piece, i in vocabulary.items()}
        check_own_ids(self.tokens, self.vocabulary, {})
        self._cache = WordCache(self._encode_word)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = SPECIAL_TOKENS,
        lowercase: bool = True,
    ) -> "WordPiece":
        """Learn a tokenizer of at most `vocab_size` pieces; the special ones get the first ids."""
        check_special(special_tokens)
        words: Counter[str] = Counter()
        for text in texts:
            words.update(bert_split(bert_normalize(text, lowercase)))
        if not words:
            raise ValueError(
                "the corpus must contain words to learn pieces from; got none. "
                "Pass a list of non-empty strings."
            )
        pieces = train_pieces(words, vocab_size - len(special_tokens))
        vocabulary = {piece: i for i, piece in enumerate([*special_tokens, *pieces])}
        return cls(vocabulary, special_tokens, lowercase=lowercase)

    @property
    def vocab_size(self) -> int:
        """How many rows an embedding table for this tokenizer needs."""
        return max(self.tokens) + 1

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the ids of the text, in which no special token is recognised."""
        utf8_bytes(text)
        return list(chain.from_iterable(map(self._cache.__getitem__, _SPACES.split(text))))

    def encode(self, text: str, allowed_special: Collection[str] | str = ()) -> list[int]:
        """Return the ids of the text; only allowed special tokens are more than their letters."""
        encode, special = self.encode_ordinary, self.special_tokens
        return encode_with_special(text, special, allowed_special, encode, reaches=self.reaches)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the pieces as words; what the normalization took away does not come back."""
        first, *others = pieces_of(ids, self.tokens) or [""]
        pieces = [first]
        for piece in others:
            continues = piece.startswith(CONTINUES)
            pieces.append(piece.removeprefix(CONTINUES) if continues else " " + piece)
        return "".join(map(clean, pieces) if self.cleanup else pieces)

    def _encode_word(self, word: str) -> list[int]:
        """Return the ids of what stands between spaces, which may be several words for BERT."""
        ids: list[int] = []
        for part in bert_split(bert_normalize(word, self.lowercase)):
            pieces = wordpiece_encode(part, self.vocabulary, self.unknown, self.max_characters)
            ids += [self.vocabulary[piece] for piece in pieces]
        return ids
