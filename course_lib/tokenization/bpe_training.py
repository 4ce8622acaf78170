"""Learning merges: join the most frequent neighbours, again and again.

Start from single bytes. Count every pair of neighbours in the corpus, replace the most frequent
pair by a new token, and repeat until the vocabulary is full. The order in which the pairs were
joined is all that a byte-level BPE tokenizer learns.

    best pair = argmax over pairs of (count, smaller ids first)

Taken literally this is hopeless: every merge would read the whole corpus. Three observations make
it fast. A word that occurs 5 000 times is counted once, with weight 5 000. A merge changes only
the counts next to it, so counts are kept up to date instead of being taken anew, and a pair knows
the words in which it occurs. And the largest count is on top of a heap, whose entries may be out
of date: one that is goes back with its present count.

Taught in:        tokenization
Paper:            Sennrich et al. 2016, arXiv:1508.07909
Checked against:  the `tokenizers` trainer, merge by merge; a trainer that recounts every time
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from course_lib.tokenization.patterns import GPT2_PATTERN, compile_pattern, pre_split

Pair = tuple[int, int]

# GPT-2 numbers the 256 bytes so that those which print come first. Ties between equally frequent
# pairs are decided by these numbers, so the order is part of the algorithm.
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_ORDER = bytes(_PRINTABLE + sorted(set(range(256)) - set(_PRINTABLE)))
BYTE_IDS = {byte: i for i, byte in enumerate(BYTE_ORDER)}


def count_pairs(words: Iterable[tuple[Sequence[int], int]]) -> Counter[Pair]:
    """Return how often each pair of neighbours occurs in words that come with their counts."""
    counts: Counter[Pair] = Counter()
    for ids, count in words:
        for pair in pairwise(ids):
            counts[pair] += count
    return counts


def merge(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Return the ids with every occurrence of the pair, from left to right, replaced.

    `new_id` must be new: an occurrence that ends where another begins ("aaa" for the pair "aa") is
    recognised by its first half being gone.
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
    """The words of a corpus, each held once, with pair counts that follow every merge."""

    def __init__(self, words: Iterable[tuple[list[int], int]]) -> None:
        self.words: list[list[int]] = []
        self.weights: list[int] = []
        for ids, count in words:
            self.words.append(ids)
            self.weights.append(count)
        self.counts = dict(count_pairs(zip(self.words, self.weights, strict=True)))
        self.occurrences: Counter[int] = Counter()  # of each token alone
        self.places: dict[Pair, set[int]] = defaultdict(set)  # pair -> words that contain it
        for place, (ids, count) in enumerate(zip(self.words, self.weights, strict=True)):
            for token in ids:
                self.occurrences[token] += count
            for pair in pairwise(ids):
                self.places[pair].add(place)

    def merge(self, pair: Pair, new_id: int) -> Iterable[Pair]:
        """Apply one merge to every word that contains the pair; return the pairs that arose."""
        counts, places = self.counts, self.places
        arose: dict[Pair, int] = defaultdict(int)
        joined = 0
        for place in places.pop(pair):
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


def count_words(texts: Iterable[str], pattern: str = GPT2_PATTERN) -> Counter[str]:
    """Return how often each pre-split word occurs in the texts."""
    compiled = compile_pattern(pattern)
    words: Counter[str] = Counter()
    for text in texts:
        words.update(pre_split(text, compiled))
    return words


def train_merges(words: Counter[str], num_merges: int) -> list[Pair]:
    """Return the merges in the order learned; merge k makes token 256 + k.

    There are fewer than `num_merges` when no pair is left.
    """
    corpus = PairCounts(
        ([BYTE_IDS[byte] for byte in word.encode()], count) for word, count in words.items()
    )
    heap = [(-count, pair) for pair, count in corpus.counts.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < num_merges:
        count, pair = heapq.heappop(heap)
        present = corpus.counts.get(pair, 0)
        if present != -count:
            if present > 0:
                heapq.heappush(heap, (-present, pair))
            continue
        for arisen in corpus.merge(pair, 256 + len(merges)):
            heapq.heappush(heap, (-corpus.counts[arisen], arisen))
        merges.append(pair)
    return merges
