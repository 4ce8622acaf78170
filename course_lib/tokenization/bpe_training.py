"""Learning merges: join the most frequent neighbours, again and again.

Start from single bytes. Count every pair of neighbours in the corpus, replace the most frequent
pair by a new token, and repeat until the vocabulary is full. The order in which the pairs were
joined is all that a byte-level BPE tokenizer learns.

    best pair = argmax over pairs of (count, tie rule)

The tie rule belongs to the algorithm: equally frequent pairs are common, and the one merged first
changes all later merges. `tokenizers` takes the pair with the smaller ids, Stanford's CS336 the
pair with the larger bytes, and a plain loop over a dictionary the pair that it saw first.

Taken literally this is far too slow: every merge would read the whole corpus. A word that occurs
5 000 times is therefore counted once, with weight 5 000, and `pair_counts` keeps the counts of
pairs up to date instead of counting them again.

Taught in:        tokenization
Paper:            Sennrich et al. 2016, arXiv:1508.07909
Checked against:  the `tokenizers` trainer, merge by merge; for each tie rule a trainer that
                  recounts every time
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain, pairwise
from typing import Any, Literal, get_args

from course_lib.tokenization.pair_counts import PairCounts, PairQueue
from course_lib.tokenization.patterns import (
    GPT2_PATTERN,
    chunks_between_words,
    compile_pattern,
)
from course_lib.tokenization.special import split_on_special
from course_lib.tokenization.word_counts import count_in_processes

Pair = tuple[int, int]
TieRule = Literal["smallest_ids", "largest_bytes", "first_seen"]

# Byte k of the order gets the id k. GPT-2 puts the bytes that print first. Where ties are decided
# by ids, the order decides which merges are learned.
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
GPT2_BYTE_ORDER = bytes(_PRINTABLE + sorted(set(range(256)) - set(_PRINTABLE)))
NUMERIC_BYTE_ORDER = bytes(range(256))
BYTE_IDS = {byte: i for i, byte in enumerate(GPT2_BYTE_ORDER)}

_COMPLEMENT = bytes(range(255, -1, -1))


def count_pairs(words: Iterable[tuple[Sequence[int], int]]) -> Counter[Pair]:
    """Return how often each pair of neighbours occurs in words that come with their counts."""
    counts: Counter[Pair] = Counter()
    for ids, count in words:
        for pair in pairwise(ids):
            counts[pair] += count
    return counts


def merge(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Return the ids with every occurrence of the pair, from left to right, replaced.

    >>> merge([1, 1, 1, 2], (1, 1), 256)
    [256, 1, 2]

    `new_id` must not occur in `ids`.
    """
    left, right = pair
    merged: list[int] = []
    for token in ids:
        if token == right and merged and merged[-1] == left:
            merged[-1] = new_id
        else:
            merged.append(token)
    return merged


def count_words(
    texts: Iterable[str],
    pattern: str = GPT2_PATTERN,
    special_tokens: Collection[str] = (),
    processes: int = 1,
) -> Counter[str]:
    """Return how often each pre-split word occurs in the texts, in the order of first occurrence.

    The texts are cut at the special tokens, which are not counted. Several processes count the same
    in less time. They take parts of a long text where the pattern is one of `KNOWN_PATTERNS`, and
    only whole texts where it is not.
    """
    if processes < 1:
        raise ValueError(
            f"processes must be at least 1; got {processes}. Pass 1 to count in this process."
        )
    compile_pattern(pattern)  # raises here what it cannot read
    parts = (
        part
        for text in texts
        for part, is_special in split_on_special(text, special_tokens)
        if not is_special
    )
    chunks = chain.from_iterable(chunks_between_words(part, pattern) for part in parts)
    return count_in_processes(chunks, pattern, processes)


def first_occurrence(pair: str, corpus: PairCounts, tokens: Sequence[bytes]) -> tuple[int, int]:
    """Return the first word that contains the pair, and the byte at which the pair starts there."""
    places = sorted(corpus.places[pair])  # some of which may have lost the pair since
    place = next(place for place in places if pair in corpus.word(place))
    before, _, _ = corpus.word(place).partition(pair)
    return place, sum(len(tokens[ord(token)]) for token in before)


def tie_order(ties: TieRule, corpus: PairCounts, tokens: Sequence[bytes]) -> Callable[[str], Any]:
    """Return a function from a pair to a key; of equally frequent pairs the smallest key wins.

    While a corpus is merged, the key of a pair changes only if its count falls, and only grows.
    """

    def largest_bytes_first(pair: str) -> tuple[str, str]:
        # Each byte becomes 255 - byte, and the end of a token sorts after every byte.
        left, right = (tokens[ord(t)].translate(_COMPLEMENT).decode("latin-1") for t in pair)
        return left + "\u0100", right + "\u0100"

    orders: dict[TieRule, Callable[[str], Any]] = {
        "smallest_ids": lambda pair: pair,  # characters are ordered by their numbers
        "largest_bytes": largest_bytes_first,
        "first_seen": lambda pair: first_occurrence(pair, corpus, tokens),
    }
    return orders[ties]


def train_merges(
    words: Counter[str],
    num_merges: int,
    ties: TieRule = "smallest_ids",
    byte_order: bytes = GPT2_BYTE_ORDER,
) -> list[Pair]:
    """Return the merges in the order learned; merge k makes token 256 + k.

    There are fewer than `num_merges` when no pair is left.
    """
    check_choices(ties, byte_order)
    ids = bytes(map(byte_order.index, range(256)))
    corpus = PairCounts(
        (word.encode().translate(ids).decode("latin-1"), n) for word, n in words.items()
    )
    tokens = [bytes([byte]) for byte in byte_order]
    queue = PairQueue(corpus.counts, tie_order(ties, corpus, tokens))
    merges: list[Pair] = []
    while len(merges) < num_merges and (pair := queue.pop()):
        left, right = map(ord, pair)
        tokens.append(tokens[left] + tokens[right])
        for arisen in corpus.merge(pair, chr(len(tokens) - 1)):
            queue.push(arisen)
        merges.append((left, right))
    return merges


def check_choices(ties: str, byte_order: bytes) -> None:
    """Raise unless the tie rule is known and the order holds each byte once."""
    if ties not in get_args(TieRule):
        raise ValueError(
            f"ties must be one of {', '.join(get_args(TieRule))}; got {ties!r}. "
            "Use smallest_ids to learn what `tokenizers` learns."
        )
    if sorted(byte_order) != list(NUMERIC_BYTE_ORDER):
        raise ValueError(
            f"byte_order must hold each of the 256 bytes once; got {len(byte_order)} bytes, "
            f"{len(set(byte_order))} of them distinct. Pass GPT2_BYTE_ORDER or NUMERIC_BYTE_ORDER."
        )
