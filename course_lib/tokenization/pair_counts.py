"""Counts of neighbouring tokens that every merge keeps up to date, and the most frequent pair.

A merge changes only the counts next to it, and for each pair the words that contain it are known.
So a merge looks at few words: it notes which token stood before the pair and which one after it,
and then, for each such token, exchanges the count of the old pair for that of the new one.

    x h u g y   u g joined   →   one less of (h, u) and of (g, y), one more of (h, ug) and (ug, y)

Taught in:        tokenization
Checked against:  counting all pairs again after every merge
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from operator import add
from typing import Any

from course_lib.tokenization.long_words import LONG, LongWord

Places = dict[str, list[int]]  # token -> the words where it stands
Neighbours = tuple[Places, list[int], Places]


class PairCounts:
    """The words of a corpus, each stored once, with pair counts kept up to date.

    A word is spelled with a character for each token, a pair with two: token i is `chr(i)`. Python
    searches, joins and hashes strings much faster than lists and tuples.
    """

    def __init__(self, words: Iterable[tuple[str, int]]) -> None:
        self.words: list[str] = []
        self.weights: list[int] = []
        self.places: dict[str, list[int]] = defaultdict(list)  # pair -> words that contain it
        self.occurrences: Counter[str] = Counter()  # of each token alone
        for place, (word, count) in enumerate(words):
            self.words.append(word)
            self.weights.append(count)
            if word:
                self.occurrences[word[-1]] += count
            for pair in map(add, word, word[1:]):
                self.places[pair].append(place)
        self.counts = {pair: self.weigh(places) for pair, places in self.places.items()}
        for pair, count in self.counts.items():
            self.occurrences[pair[0]] += count
        self.long = {n: LongWord(word) for n, word in enumerate(self.words) if len(word) >= LONG}

    def weigh(self, places: Iterable[int]) -> int:
        """Return how often the corpus has what stands once at each of the places."""
        return sum(map(self.weights.__getitem__, places))

    def merge(self, pair: str, new: str) -> list[str]:
        """Apply one merge to every word that contains the pair; return the new pairs."""
        left, right = pair[0], pair[1]
        places = self.places.pop(pair)
        arose, joined = self._merge_long(places, pair, new) if self.long else ([], 0)
        before, between, after = self.join(places, pair, new)
        joined += self.weigh(before.pop("", ()))  # at the start of a word nothing is lost
        after.pop("", None)
        for token, found in before.items():
            joined += self.exchange(token + left, token + new, found)
            arose.append(token + new)
        for token, found in after.items():
            self.exchange(right + token, new + token, found)
            arose.append(new + token)
        if between:
            joined += self.exchange(right + left, new + new, between)
            arose.append(new + new)
        del self.counts[pair]
        self.occurrences[new] += joined
        for half in pair:
            self.occurrences[half] -= joined
        return arose

    def join(self, places: Iterable[int], pair: str, new: str) -> Neighbours:
        """Write the words anew, and return where each token stood before and after the pair.

        Between them come the places where the pair follows itself. A word that holds the pair
        several times is listed as often; at its start and end the token is empty.
        """
        words = self.words
        before, between, after = defaultdict(list), [], defaultdict(list)
        for place in places:
            word = words[place]
            head, found, tail = word.partition(pair)
            if not found:
                continue  # the word was listed twice, or an earlier merge has taken the pair
            words[place] = word.replace(pair, new)
            before[head[-1:]].append(place)
            head, found, tail = tail.partition(pair)
            while found:
                if head:
                    after[head[0]].append(place)
                    before[head[-1]].append(place)
                else:
                    between.append(place)
                head, found, tail = tail.partition(pair)
            after[head[:1]].append(place)
        return before, between, after

    def exchange(self, lost: str, arisen: str, places: list[int]) -> int:
        """Count a new pair in place of an old one; return how often it occurs."""
        counts, count = self.counts, sum(map(self.weights.__getitem__, places))
        counts[lost] -= count
        counts[arisen] = counts.get(arisen, 0) + count
        self.places[arisen] += places
        return count

    def _merge_long(self, places: list[int], pair: str, new: str) -> tuple[list[str], int]:
        """Apply a merge to the long words, and take them out of `places`.

        Return the new pairs, and how often the pair was joined.
        """
        arose, total = [], 0
        for place in self.long.keys() & set(places):
            weight = self.weights[place]
            changes, joined = self.long[place].merge(pair, new)
            total += weight * joined
            for changed, count in changes.items():
                self.counts[changed] = self.counts.get(changed, 0) + weight * count
                if new in changed:
                    arose.append(changed)
                    self.places[changed].append(place)
        places[:] = [place for place in places if place not in self.long]
        return arose, total

    def word(self, place: int) -> str:
        """Return the present tokens of a word."""
        return self.long[place].word() if place in self.long else self.words[place]


class PairQueue:
    """Pairs by count, the most frequent first; equally frequent ones by the smallest key.

    Most pairs are so rare that they are never merged. So they wait in a list for each count, and
    keys are computed when the turn comes to the list. A pair that has become rarer meanwhile is
    put into the list of its present count. No new pair is more frequent than the one just merged.
    """

    def __init__(self, counts: Mapping[str, int], order: Callable[[str], Any]) -> None:
        self.counts, self.order = counts, order
        self.waiting: dict[int, list[str]] = defaultdict(list)
        for pair, count in counts.items():
            self.waiting[count].append(pair)
        self.falling = [-count for count in self.waiting]  # a heap
        heapq.heapify(self.falling)
        self.count = 0
        self.heap: list[tuple[Any, str]] = []  # the pairs of this count, with their keys

    def push(self, pair: str) -> None:
        """Add a pair."""
        count = self.counts.get(pair, 0)
        if count == self.count:
            heapq.heappush(self.heap, (self.order(pair), pair))
        elif count > 0:
            if count not in self.waiting:
                heapq.heappush(self.falling, -count)
            self.waiting[count].append(pair)

    def pop(self) -> str | None:
        """Return the next pair, or None when no pair is left."""
        while True:
            while self.heap:
                _, pair = heapq.heappop(self.heap)
                if self.counts.get(pair) == self.count:
                    return pair
                self.push(pair)
            if not self.falling:
                return None
            self.count = -heapq.heappop(self.falling)
            for pair in self.waiting.pop(self.count):
                self.push(pair)
