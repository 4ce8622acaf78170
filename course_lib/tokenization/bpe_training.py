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
from operator import add
from typing import Any, Literal, get_args

from course_lib.tokenization.long_words import LONG, LongWord
from course_lib.tokenization.patterns import GPT2_PATTERN, compile_pattern, pre_split
from course_lib.tokenization.special import split_on_special

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


class PairCounts:
    """The words of a corpus, each stored once, with pair counts kept up to date.

    A word is spelled with a character for each token, a pair with two: token i is `chr(i)`. Python
    searches, joins and hashes strings much faster than lists and tuples.
    """

    def __init__(self, words: Iterable[tuple[str, int]]) -> None:
        self.words: list[str] = []
        self.weights: list[int] = []
        self.counts: dict[str, int] = {}
        self.places: dict[str, list[int]] = defaultdict(list)  # pair -> words that contain it
        self.occurrences: Counter[str] = Counter()  # of each token alone
        counts: dict[str, int] = defaultdict(int)
        for place, (word, count) in enumerate(words):
            self.words.append(word)
            self.weights.append(count)
            for token in word:
                self.occurrences[token] += count
            for pair in map(add, word, word[1:]):
                counts[pair] += count
                self.places[pair].append(place)
        self.counts = dict(counts)
        self.long = {n: LongWord(word) for n, word in enumerate(self.words) if len(word) >= LONG}

    def merge(self, pair: str, new: str) -> Iterable[str]:
        """Apply one merge to every word that contains the pair; return the new pairs."""
        arose: dict[str, int] = defaultdict(int)
        affected = set(self.places.pop(pair))
        joined = self._merge_long(affected, pair, new, arose) if self.long else 0
        for place in affected:
            before = self.words[place]
            self.words[place] = after = before.replace(pair, new)
            if len(after) < len(before):  # else an earlier merge has taken the pair out of it
                joined += (len(before) - len(after)) * self.weights[place]
                self.recount(place, before, pair, new, arose)
        del self.counts[pair]
        for arisen, count in arose.items():
            self.counts[arisen] = self.counts.get(arisen, 0) + count
        self.occurrences[new] += joined
        for half in pair:
            self.occurrences[half] -= joined
        return arose

    def recount(self, place: int, word: str, pair: str, new: str, arose: dict[str, int]) -> None:
        """Count what stands beside each new token, in place of what stood beside the pair."""
        counts, places, weight = self.counts, self.places, self.weights[place]
        left, right = pair[0], pair[1]
        end, start = -1, word.find(pair)
        while start >= 0:
            if start:
                follows = start == end  # right after another pair that is joined
                counts[(right if follows else word[start - 1]) + left] -= weight
                arisen = (new if follows else word[start - 1]) + new
                arose[arisen] += weight
                places[arisen].append(place)
            end = start + 2
            start = word.find(pair, end)
            if end < len(word) and start != end:
                counts[right + word[end]] -= weight
                arose[new + word[end]] += weight
                places[new + word[end]].append(place)

    def _merge_long(self, affected: set[int], pair: str, new: str, arose: dict[str, int]) -> int:
        """Apply a merge to the long words, take them out of `affected`, return what it joined."""
        total = 0
        for place in self.long.keys() & affected:
            affected.remove(place)
            weight = self.weights[place]
            changes, joined = self.long[place].merge(pair, new)
            total += weight * joined
            for changed, count in changes.items():
                if new in changed:
                    arose[changed] += weight * count
                    self.places[changed].append(place)
                else:
                    self.counts[changed] += weight * count
        return total

    def word(self, place: int) -> str:
        """Return the present tokens of a word."""
        return self.long[place].word() if place in self.long else self.words[place]


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
    spelling = {byte: i for i, byte in enumerate(byte_order)}
    corpus = PairCounts(
        (word.encode().decode("latin-1").translate(spelling), n) for word, n in words.items()
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
        left, right = map(ord, pair)
        tokens.append(tokens[left] + tokens[right])
        for arisen in corpus.merge(pair, chr(len(tokens) - 1)):
            heapq.heappush(heap, (-counts[arisen], order(arisen), arisen))
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
