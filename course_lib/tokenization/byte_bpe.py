"""Byte-level BPE: the tokenizer of GPT-2, GPT-4, Llama 3 and Qwen.

Every text is bytes in UTF-8, and there are 256 bytes. A tokenizer that starts from bytes therefore
has no unknown character in any script, and undoing it is joining bytes. Encoding replays the
training: among all neighbours in a word, join the pair that was learned first, until no neighbours
form a learned pair.

    "hug"   h u g  →  h ug  (rank 0: u g)  →  hug  (rank 3: h ug)

Taught in:        tokenization
Paper:            Sennrich et al. 2016, arXiv:1508.07909; Radford et al. 2019 (GPT-2)
Checked against:  `tokenizers` (merges and ids), `tiktoken` built from the same ranks
"""

import heapq
import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, pairwise
from operator import itemgetter
from pathlib import Path

from course_lib.tokenization.bpe_training import (
    GPT2_BYTE_ORDER,
    Pair,
    TieRule,
    count_words,
    train_merges,
)
from course_lib.tokenization.normalization import check_form, normalize, stream_normalize
from course_lib.tokenization.patterns import (
    GPT2_PATTERN,
    compile_pattern,
    pre_split,
    stream_pre_split,
)
from course_lib.tokenization.special import (
    check_special,
    choose_allowed,
    encode_with_special,
    stream_split,
)
from course_lib.tokenization.word_cache import WordCache

MergeTable = Mapping[Pair, tuple[int, int]]  # pair of ids -> (rank, id of the merged token)

LONG_WORD = 32  # bytes; from here on a heap finds the next merge faster than a scan
NO_MERGE = (sys.maxsize, -1)  # ranks after every merge
_FORMAT = "course_lib byte-level BPE 1"


def encode_by_rank(ids: Sequence[int], merges: MergeTable) -> list[int]:
    """Return the ids of a word after all merges: the pair learned first is always merged first.

    Among equal pairs the leftmost comes first. A merge changes only the pairs beside it.
    """
    merged = list(ids)
    found = [merges.get(pair, NO_MERGE) for pair in pairwise(merged)]
    while found and (best := min(found)) != NO_MERGE:
        i = found.index(best)
        merged[i : i + 2] = [best[1]]
        del found[i]
        for j in (i - 1, i):
            if 0 <= j < len(found):
                found[j] = merges.get((merged[j], merged[j + 1]), NO_MERGE)
    return merged


def encode_long(ids: Sequence[int], merges: MergeTable) -> list[int]:
    """Return the same as `encode_by_rank` for a word of n bytes in time n log n instead of n².

    Neighbours are linked, and the possible merges wait in a heap. An entry whose left or right
    token has meanwhile been merged with something else is out of date and is dropped.
    """
    tokens: list[int | None] = list(ids)  # None: swallowed by a merge
    after = [*range(1, len(tokens)), -1]
    before = list(range(-1, len(tokens) - 1))
    heap: list[tuple[int, int, int, int]] = []  # rank, place, left, right

    def propose(left: int, right: int) -> None:
        if left >= 0 and right >= 0 and (pair := (tokens[left], tokens[right])) in merges:
            heapq.heappush(heap, (merges[pair][0], left, *pair))  # type: ignore[index]

    for left, right in pairwise(range(len(tokens))):
        propose(left, right)
    while heap:
        _, left, *pair = heapq.heappop(heap)
        right = after[left]
        if right < 0 or [tokens[left], tokens[right]] != pair:
            continue
        tokens[left], tokens[right] = merges[pair[0], pair[1]][1], None
        after[left] = after[right]
        if after[right] >= 0:
            before[after[right]] = left
        propose(before[left], left)
        propose(left, after[left])
    return [token for token in tokens if token is not None]


def join_bytes(ids: Iterable[int], tokens: Mapping[int, bytes]) -> bytes:
    """Return the bytes of the tokens, one after another."""
    try:
        return b"".join([tokens[token] for token in ids])
    except KeyError as error:
        raise ValueError(
            f"every id must be one of the tokenizer's {len(tokens)} tokens; got {error.args[0]}. "
            "Check that the ids come from this tokenizer."
        ) from None


def decode(ids: Iterable[int], tokens: Mapping[int, bytes]) -> str:
    """Return the text of the ids; bytes that are not UTF-8 become the replacement character.

    The bytes are joined before they are read as text: one character may need several tokens.
    """
    return join_bytes(ids, tokens).decode("utf-8", errors="replace")


class ByteBPE:
    """A byte-level BPE tokenizer: a vocabulary, merges in the order learned, special tokens."""

    def __init__(
        self,
        vocabulary: Mapping[bytes, int],
        merges: Iterable[tuple[bytes, bytes]],
        special_tokens: Mapping[str, int] | None = None,
        pattern: str = GPT2_PATTERN,
        normalization: str | None = None,
        ignore_merges: bool = False,
    ) -> None:
        self.vocabulary = dict(vocabulary)
        self.special_tokens = dict(special_tokens or {})
        self.pattern, self.normalization = pattern, normalization
        self.ignore_merges = ignore_merges  # a whole word in the vocabulary needs no merges
        check_form(normalization)
        check_special(self.special_tokens)
        self.tokens = {i: token for token, i in self.vocabulary.items()}
        self.tokens |= {i: name.encode() for name, i in self.special_tokens.items()}
        self._check_vocabulary()
        self.merges = [(left, right) for left, right in merges]
        self.merge_table = self._rank_merges()  # what encoding looks pairs up in
        self._compiled = compile_pattern(pattern)
        self._byte_ids = [self.vocabulary[bytes([byte])] for byte in range(256)]
        self._cache = WordCache(self._encode_word)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        pattern: str = GPT2_PATTERN,
        ties: TieRule = "smallest_ids",
        byte_order: bytes = GPT2_BYTE_ORDER,
    ) -> "ByteBPE":
        """Learn a tokenizer of at most `vocab_size` tokens; the special ones get the last ids.

        The texts are cut at the special tokens. Which of several equally frequent pairs is merged
        first is decided by `ties`; the bytes get the ids 0 to 255 in `byte_order`.
        """
        check_special(special_tokens)
        if vocab_size < 256 + len(special_tokens):
            raise ValueError(
                f"vocab_size must be at least 256 + {len(special_tokens)}, one token for each byte "
                f"and special token; got {vocab_size}. Pass a larger vocab_size."
            )
        words = count_words(texts, pattern, special_tokens)
        if not words:
            raise ValueError(
                "the corpus must contain text besides special tokens to learn merges from; got 0 "
                "characters. Pass a list of non-empty strings."
            )
        num_merges = vocab_size - 256 - len(special_tokens)
        tokens = [bytes([byte]) for byte in byte_order]
        merges = []
        for left, right in train_merges(words, num_merges, ties, byte_order):
            merges.append((tokens[left], tokens[right]))
            tokens.append(tokens[left] + tokens[right])
        special = {name: len(tokens) + i for i, name in enumerate(special_tokens)}
        return cls({token: i for i, token in enumerate(tokens)}, merges, special, pattern)

    @property
    def vocab_size(self) -> int:
        """How many rows an embedding table for this tokenizer needs."""
        return max(self.tokens) + 1

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the ids of the text, in which no special token is recognised."""
        words = pre_split(normalize(text, self.normalization), self._compiled)
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    def encode(self, text: str, allowed_special: Collection[str] | str = ()) -> list[int]:
        """Return the ids of the text; only allowed special tokens are more than their letters."""
        return encode_with_special(text, self.special_tokens, allowed_special, self.encode_ordinary)

    def encode_iterable(
        self, chunks: Iterable[str], allowed_special: Collection[str] | str = ()
    ) -> Iterator[int]:
        """Yield the ids that `encode` gives for the joined chunks, without joining them."""
        names = choose_allowed(self.special_tokens, allowed_special)
        for is_special, parts in groupby(stream_split(chunks, names), key=itemgetter(1)):
            texts = (text for text, _ in parts)
            if is_special:
                yield from (self.special_tokens[name] for name in texts)
                continue
            for word in stream_pre_split(
                stream_normalize(texts, self.normalization), self._compiled
            ):
                yield from self._cache[word]

    def encode_bytes(self, data: bytes) -> list[int]:
        """Return ids that decode to exactly these bytes, whether or not they are UTF-8."""
        words = pre_split(data.decode("utf-8", errors="surrogateescape"), self._compiled)
        pieces = (word.encode("utf-8", errors="surrogateescape") for word in words)
        return list(chain.from_iterable(map(self._encode_piece, pieces)))

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids."""
        return join_bytes(ids, self.tokens)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; bytes that are not UTF-8 become the replacement character."""
        return decode(ids, self.tokens)

    def save(self, path: Path | str) -> None:
        """Write the tokenizer as JSON in which a byte is a character from U+0000 to U+00FF."""
        content = {
            "format": _FORMAT,
            "pattern": self.pattern,
            "normalization": self.normalization,
            "ignore_merges": self.ignore_merges,
            "special_tokens": self.special_tokens,
            "vocabulary": {token.decode("latin-1"): i for token, i in self.vocabulary.items()},
            "merges": list(self.merge_table),
        }
        Path(path).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> "ByteBPE":
        """Read a tokenizer that `save` has written."""
        content = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise ValueError(
                f"the file must have been written by ByteBPE.save; got {str(path)!r}. "
                "Read a tokenizer.json with load_tokenizer_json of course_lib.tokenization."
            )
        vocabulary = {token.encode("latin-1"): i for token, i in content["vocabulary"].items()}
        tokens = {i: token for token, i in vocabulary.items()}
        merges = [(tokens[left], tokens[right]) for left, right in content["merges"]]
        return cls(**content | {"vocabulary": vocabulary, "merges": merges})

    def _encode_word(self, word: str) -> list[int]:
        try:
            return self._encode_piece(word.encode())
        except UnicodeEncodeError:
            raise ValueError(
                f"text must consist of characters that UTF-8 can spell; got a lone surrogate "
                f"in {word!r}. Decode the file with errors='replace', or use encode_bytes."
            ) from None

    def _encode_piece(self, piece: bytes) -> list[int]:
        if self.ignore_merges and piece in self.vocabulary:
            return [self.vocabulary[piece]]
        ids = [self._byte_ids[byte] for byte in piece]
        return (encode_by_rank if len(ids) < LONG_WORD else encode_long)(ids, self.merge_table)

    def _check_vocabulary(self) -> None:
        if missing := [byte for byte in range(256) if bytes([byte]) not in self.vocabulary]:
            raise ValueError(
                f"a byte-level vocabulary must hold all 256 bytes; got one without {len(missing)} "
                f"of them, such as {missing[0]:#04x}. Train with the full byte alphabet."
            )
        named = {**self.vocabulary, **{n.encode(): i for n, i in self.special_tokens.items()}}
        counts = Counter(named.values())
        if shared := [token for token, i in named.items() if counts[i] > 1]:
            raise ValueError(
                f"each token must have an id of its own; got id {named[shared[0]]} for both "
                f"{shared[0]!r} and {shared[1]!r}. Renumber one of them."
            )

    def _rank_merges(self) -> dict[Pair, tuple[int, int]]:
        table: dict[Pair, tuple[int, int]] = {}
        for rank, (left, right) in enumerate(self.merges):
            parts = (left, right, left + right)
            if unknown := [part for part in parts if part not in self.vocabulary]:
                raise ValueError(
                    f"a merge joins two tokens of the vocabulary into a third; got {left!r} + "
                    f"{right!r}, where {unknown[0]!r} has no id. Add it, or remove the merge."
                )
            pair = self.vocabulary[left], self.vocabulary[right]
            table[pair] = rank, self.vocabulary[left + right]
        return table
