"""Learning merges: join the most frequent neighbours, again and again.

Start from single bytes. Count every pair of neighbours in the corpus, replace the most frequent
pair by a new token, and repeat until the vocabulary is full. The order in which the pairs were
joined is all that a byte-level BPE tokenizer learns.

    best pair = argmax over pairs of (count, tie rule)

The tie rule belongs to the algorithm: equally frequent pairs are common, and the one merged first
changes all later merges. `tokenizers` takes the pair with the smaller ids, Stanford's CS336 the
pair with the larger bytes, and a plain loop over a dictionary the pair that it saw first.

Taken literally this is far too slow: every merge would read the whole corpus. Three observations
make it fast. A word that occurs 5 000 times is counted once, with weight 5 000. A merge changes
only the counts next to it, so counts are kept up to date instead of being counted again, and for
each pair the words that contain it are known. And the largest count is on top of a heap, whose
entries may be out of date: such an entry is pushed again with its present count.

Taught in:        tokenization
Paper:            Sennrich et al. 2016, arXiv:1508.07909
Checked against:  the `tokenizers` trainer, merge by merge; for each tie rule a trainer that
                  recounts every time
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

from course_lib.tokenization.long_words import LONG, LongWord, Pair
from course_lib.tokenization.patterns import GPT2_PATTERN, compile_pattern, pre_split
from course_lib.tokenization.special import split_on_special

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


class PairCounts:
    """The words of a corpus, each stored once, with pair counts kept up to date."""

    def __init__(self, words: Iterable[tuple[list[int], int]]) -> None:
        self.words: list[list[int]] = []
        self.weights: list[int] = []
        for ids, count in words:
            self.words.append(ids)
            self.weights.append(count)
        self.counts = dict(count_pairs(zip(self.words, self.weights, strict=True)))
        self.long = {n: LongWord(ids) for n, ids in enumerate(self.words) if len(ids) >= LONG}
        self.occurrences: Counter[int] = Counter()  # of each token alone
        self.places: dict[Pair, set[int]] = defaultdict(set)  # pair -> words that contain it
        for place, (ids, count) in enumerate(zip(self.words, self.weights, strict=True)):
            for token in ids:
                self.occurrences[token] += count
            for pair in pairwise(ids):
                self.places[pair].add(place)

    def merge(self, pair: Pair, new_id: int) -> Iterable[Pair]:
        """Apply one merge to every word that contains the pair; return the new pairs."""
        counts, places = self.counts, self.places
        arose: dict[Pair, int] = defaultdict(int)
        affected = places.pop(pair)
        joined = self._merge_long(affected, pair, new_id, arose) if self.long else 0
        for place in affected:
            weight, before = self.weights[place], self.words[place]
            after = merge(before, pair, new_id)
            if len(after) == len(before):
                continue  # an earlier merge has taken the pair out of this word
            self.words[place] = after
            joined += weight * (len(before) - len(after))
            start = max(after.index(new_id) - 1, 0)  # nothing changes before the first new pair
            for old in pairwise(before[start:]):
                counts[old] -= weight
            for new in pairwise(after[start:]):
                if new_id in new:
                    arose[new] += weight
                    places[new].add(place)
                else:
                    counts[new] += weight
        del counts[pair]
        for new, count in arose.items():
            counts[new] = counts.get(new, 0) + count
        self.occurrences[new_id] += joined
        for half in pair:
            self.occurrences[half] -= joined
        return arose

    def _merge_long(
        self, affected: set[int], pair: Pair, new_id: int, arose: dict[Pair, int]
    ) -> int:
        """Apply a merge to the long words, take them out of `affected`, return what it joined."""
        total = 0
        for place in self.long.keys() & affected:
            affected.remove(place)
            weight = self.weights[place]
            changes, joined = self.long[place].merge(pair, new_id)
            total += weight * joined
            for changed, count in changes.items():
                if new_id in changed:
                    arose[changed] += weight * count
                    self.places[changed].add(place)
                else:
                    self.counts[changed] += weight * count
        return total

    def ids(self, place: int) -> list[int]:
        """Return the present tokens of a word."""
        return self.long[place].ids() if place in self.long else self.words[place]


def count_words(
    texts: Iterable[str], pattern: str = GPT2_PATTERN, special_tokens: Collection[str] = ()
) -> Counter[str]:
    """Return how often each pre-split word occurs in the texts, in the order of first occurrence.

    The texts are cut at the special tokens, which are not counted.
    """
    compiled = compile_pattern(pattern)
    words: Counter[str] = Counter()
    for text in texts:
        for part, is_special in split_on_special(text, special_tokens):
            if not is_special:
                words.update(pre_split(part, compiled))
    return words


def first_occurrence(pair: Pair, corpus: PairCounts, tokens: Sequence[bytes]) -> tuple[int, int]:
    """Return the first word that contains the pair, and the byte at which the pair starts there."""
    places = sorted(corpus.places[pair])  # some of which may have lost the pair since
    place = next(place for place in places if pair in pairwise(corpus.ids(place)))
    ids = corpus.ids(place)
    before = ids[: list(pairwise(ids)).index(pair)]
    return place, sum(len(tokens[i]) for i in before)


def tie_order(ties: TieRule, corpus: PairCounts, tokens: Sequence[bytes]) -> Callable[[Pair], Any]:
    """Return a function from a pair to a key; of equally frequent pairs the smallest key wins.

    While a corpus is merged, the key of a pair changes only if its count falls, and only grows.
    """

    def largest_bytes_first(pair: Pair) -> tuple[str, str]:
        # Each byte becomes 255 - byte, and the end of a token sorts after every byte.
        left, right = (tokens[i].translate(_COMPLEMENT).decode("latin-1") for i in pair)
        return left + "\u0100", right + "\u0100"

    orders: dict[TieRule, Callable[[Pair], Any]] = {
        "smallest_ids": lambda pair: pair,
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
    byte_ids = {byte: i for i, byte in enumerate(byte_order)}
    corpus = PairCounts(
        ([byte_ids[byte] for byte in word.encode()], count) for word, count in words.items()
    )
    tokens = [bytes([byte]) for byte in byte_order]
    order, counts = tie_order(ties, corpus, tokens), corpus.counts
    heap = [(-count, order(pair), pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < num_merges:
        count, _, pair = heapq.heappop(heap)
        present = counts.get(pair, 0)
        if present != -count:
            if present > 0:
                heapq.heappush(heap, (-present, order(pair), pair))
            continue
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        for arisen in corpus.merge(pair, 256 + len(merges)):
            heapq.heappush(heap, (-counts[arisen], order(arisen), arisen))
        merges.append(pair)
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
