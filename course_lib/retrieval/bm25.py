"""BM25: a text is relevant if it holds the query's rare words, often, and is not just long.

    score(q, d) = Σ_w∈q  idf(w) · tf / (tf + k1 · (1 - b + b · |d| / mean |d|))

tf is how often w is in d. The fraction saturates: the tenth occurrence says little more than the
third. `k1` says how slowly, `b` how much length counts. BM25 is a family; the variants here differ
in the idf and in a factor, which is why two libraries give two scores:

    lucene       idf = ln(1 + (N - df + ½) / (df + ½))                never negative
    robertson    idf = ln((N - df + ½) / (df + ½)), at least 0        0 for words of half the texts
    atire        idf = ln(N / df), and the fraction times k1 + 1

Everything but the query is known in advance, so each word keeps its list of texts with their
finished scores (postings), and a search adds up a few such lists.

Taught in:        retrieval
Paper:            Robertson and Zaragoza 2009, doi:10.1561/1500000019; Lù 2024, arXiv:2407.03618
                  (scores computed when the index is built)
Checked against:  bm25s; the formula, word by word
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from course_lib.retrieval.results import NOTHING, Found, read_index, require_k, write_index

VARIANTS = ("lucene", "robertson", "atire")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; `copyTree` and `copy_tree` are two words each."""
    return [word.lower() for word in _WORD.findall(text)]


class BM25Index:
    """An inverted index of texts, searched by words."""

    def __init__(self, k1: float = 1.5, b: float = 0.75, variant: str = "lucene") -> None:
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}.")
        if k1 <= 0 or not 0 <= b <= 1:
            raise ValueError(f"k1 must be greater than 0 and b in [0, 1]; got {k1} and {b}.")
        self.k1, self.b, self.variant = k1, b, variant
        self.lengths: list[int] = []
        self._texts: dict[str, list[int]] = {}  # word → the ids of the texts that hold it
        self._counts: dict[str, list[int]] = {}  # and how often
        self._postings: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def add(self, texts: Sequence[str]) -> None:
        """Add texts; the first ever has id 0."""
        for text in texts:
            counted = Counter(words_of(text))
            for word, count in counted.items():
                self._texts.setdefault(word, []).append(len(self.lengths))
                self._counts.setdefault(word, []).append(count)
            self.lengths.append(counted.total())
        self._postings.clear()  # the idf of every word has changed

    def idf(self, word: str) -> float:
        """Return the weight of a word: large if few texts hold it, 0 if none does."""
        frequency = len(self._texts.get(word, ()))
        if not frequency:
            return 0.0
        if self.variant == "atire":
            return float(np.log(len(self) / frequency))
        odds = (len(self) - frequency + 0.5) / (frequency + 0.5)
        return float(np.log1p(odds) if self.variant == "lucene" else max(0.0, np.log(odds)))

    def postings(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the texts that hold a word, and what the word adds to the score of each."""
        if word not in self._postings:
            texts = np.array(self._texts.get(word, ()), np.int64)
            tf = np.array(self._counts.get(word, ()), np.float32)
            lengths = np.array(self.lengths, np.float32)
            relative = lengths[texts] / max(float(lengths.mean()), 1e-9) if len(texts) else tf
            scores = tf / (tf + self.k1 * (1 - self.b + self.b * relative))
            factor = self.k1 + 1 if self.variant == "atire" else 1
            self._postings[word] = texts, (factor * self.idf(word) * scores).astype(np.float32)
        return self._postings[word]

    def search(self, queries: Sequence[str], k: int) -> Found:
        """Return the best k texts of each query; a text without any of its words is not found."""
        require_k(k)
        ids = torch.full((len(queries), k), NOTHING)
        scores = torch.full((len(queries), k), -torch.inf)
        for row, query in enumerate(queries):
            total = self.scores(query)
            likely: Iterable[int] = ()
            if len(total):
                likely = np.argpartition(-total, min(k, len(total)) - 1)[:k]
            top = [i for i in sorted(likely, key=lambda i: (-total[i], i)) if total[i] > 0]
            ids[row, : len(top)] = torch.tensor(top, dtype=torch.long)
            scores[row, : len(top)] = torch.from_numpy(total[top] if top else total[:0])
        return Found(scores, ids)

    def scores(self, query: str) -> np.ndarray:
        """Return the score of every text, as float32."""
        total = np.zeros(len(self), np.float32)
        for word in words_of(query):
            texts, scores = self.postings(word)
            total[texts] += scores
        return total

    def parts(self, query: str, text_id: int) -> dict[str, float]:
        """Return what each word of the query adds to the score of one text."""
        added: dict[str, float] = {}
        for word in words_of(query):
            texts, scores = self.postings(word)
            place = int(np.searchsorted(texts, text_id))
            hit = place < len(texts) and texts[place] == text_id
            added[word] = added.get(word, 0.0) + (float(scores[place]) if hit else 0.0)
        return added

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        lists = {"lengths": self.lengths, "texts": self._texts, "counts": self._counts}
        settings = {"k1": self.k1, "b": self.b, "variant": self.variant}
        write_index(path, "bm25", {"settings": settings, **lists})

    @classmethod
    def load(cls, path: str | Path) -> "BM25Index":
        """Return the index of a file."""
        content = read_index(path, "bm25")
        index = cls(**content["settings"])
        index.lengths = content["lengths"]
        index._texts, index._counts = content["texts"], content["counts"]
        return index
