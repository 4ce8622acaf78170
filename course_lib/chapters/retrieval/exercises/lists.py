"""The exercise on BM25, word by word."""

import math
from collections import Counter

from course_lib.chapters.retrieval import answers
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _saturated(tf, length, mean, k1, b):
    return tf / (tf + k1 * (1 - b + b * length / mean))


def _frequency(word, texts):
    return sum(word in text for text in texts)


def _lucene(word, texts):
    df = _frequency(word, texts)
    return math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))


def _mean(texts):
    return sum(map(len, texts)) / len(texts)


def _scores(query, texts, k1, b, idf=_lucene, mean=_mean, tf=None, saturated=_saturated):
    count = tf or (lambda word, text: text.count(word))
    return [
        sum(
            idf(word, texts) * saturated(count(word, text), len(text), mean(texts), k1, b)
            for word in query
        )
        for text in texts
    ]


def _by_hand(query, texts, k1, b):
    """The reference: from the definition, in odds and in one fraction."""
    total_words, number = sum(len(text) for text in texts), len(texts)
    result = []
    for text in texts:
        score = 0.0
        for word in query:
            holding = len([1 for each in texts if word in each])
            occurrences = len([1 for each in text if each == word])
            relative = len(text) * number / total_words
            weight = math.log((number + 1) / (holding + 0.5))
            score += weight * occurrences / (occurrences + k1 - k1 * b + k1 * b * relative)
        result.append(score)
    return result


def _by_counter(query, texts, k1, b):
    counts = [Counter(text) for text in texts]
    mean, scores = _mean(texts), []
    idf = {word: _lucene(word, texts) for word in set(query)}
    for count in counts:
        norm = k1 * (1 - b + b * count.total() / mean)
        scores.append(sum(idf[w] * count[w] / (count[w] + norm) for w in query))
    return scores


def _by_postings(query, texts, k1, b):
    mean, scores = _mean(texts), [0.0] * len(texts)
    for word in query:
        holders = [i for i, text in enumerate(texts) if word in text]
        for i in holders:
            tf = texts[i].count(word)
            scores[i] += _lucene(word, texts) * _saturated(tf, len(texts[i]), mean, k1, b)
    return scores


def _negative(word, texts):
    df = _frequency(word, texts)
    return math.log((len(texts) - df + 0.5) / (df + 0.5))


def _in_one_string(query, texts, k1, b):
    joined = [" ".join(text) for text in texts]
    return _scores(
        query,
        texts,
        k1,
        b,
        idf=lambda word, _: _lucene(word, joined),
        tf=lambda word, text: " ".join(text).count(word),
    )


def _any_case(query, texts, k1, b):
    lower = [[word.lower() for word in words] for words in (query, *texts)]
    return _scores(lower[0], lower[1:], k1, b)


def _occurrences(word, texts):
    df = sum(text.count(word) for text in texts)
    return math.log(1 + (len(texts) - df + 0.5) / (df + 0.5)) if df <= len(texts) else 0.0


RARE = [["a", "b", "a"], ["b", "c"], ["b"], ["b", "b", "c", "d", "d"]]

BM25 = Exercise(
    id="retrieval.bm25",
    title="BM25",
    minutes=12,
    difficulty=2,
    statement=(
        "`query` is a list of words, `texts` a list of lists of words, at least one of them not "
        "empty. Return a list with the score of each text: the sum over the words of the query, "
        "repeated ones as often as they occur, of idf · tf / (tf + k1 · (1 − b + b · |d| / "
        "mean |d|)). tf is how often the text has the word, |d| its number of words. idf = "
        "ln(1 + (N − df + ½) / (df + ½)), where df of the N texts have the word. k1 > 0, 0 ≤ b < 1."
    ),
    solution=answers.bm25_scores,
    reference=_by_hand,
    generator=generators.bm25,
    probes=(
        Probe("one word", lambda: call(["a"], RARE, 1.2, 0.0), "One text has it, twice."),
        Probe(
            "everywhere", lambda: call(["b"], RARE, 1.2, 0.0), "A word of all texts counts little."
        ),
        Probe("length", lambda: call(["c"], RARE, 1.2, 0.9), "Once in two texts; one is longer."),
        Probe("two words", lambda: call(["a", "c"], RARE, 2.0, 0.75), "Scores add up."),
        Probe("asked twice", lambda: call(["d", "d"], RARE, 1.2, 0.75), "It counts twice."),
        Probe("unknown", lambda: call(["x", "a"], RARE, 1.2, 0.75), "x is in no text."),
        Probe(
            "a part of a word",
            lambda: call(["top"], [["stop", "to"], ["top", "Top"], ["on"]], 1.2, 0.75),
            "Neither stop nor Top is the word top.",
        ),
        Probe("an empty text", lambda: call(["a"], [[], ["a"]], 1.2, 0.75), "It scores 0."),
        Probe("no query", lambda: call([], RARE, 1.2, 0.75), "Every score is 0."),
    ),
    misconceptions=(
        Misconception(
            "idf without the 1",
            lambda query, texts, k1, b: _scores(query, texts, k1, b, idf=_negative),
            "Your idf is negative for words in more than half of the texts. Lucene's has 1 + "
            "inside the logarithm.",
        ),
        Misconception(
            "ln(N / df)",
            lambda query, texts, k1, b: _scores(
                query,
                texts,
                k1,
                b,
                idf=lambda w, ts: math.log(len(ts) / max(_frequency(w, ts), 0.5)),
            ),
            "That is the idf of TF-IDF. The one asked for is ln(1 + (N − df + ½) / (df + ½)).",
        ),
        Misconception(
            "occurrences counted as texts",
            lambda query, texts, k1, b: _scores(query, texts, k1, b, idf=_occurrences),
            "df is the number of texts with the word, not how often it occurs in all of them.",
        ),
        Misconception(
            "times k1 + 1",
            lambda query, texts, k1, b: [(k1 + 1) * s for s in _scores(query, texts, k1, b)],
            "Some variants multiply by k1 + 1. The order stays the same, the scores do not; here "
            "the factor is left out.",
        ),
        Misconception(
            "tf not saturated",
            lambda query, texts, k1, b: _scores(
                query, texts, k1, b, saturated=lambda tf, *_: float(tf)
            ),
            "The tenth occurrence should say less than the first: tf / (tf + k1 · ...).",
        ),
        Misconception(
            "length ignored",
            lambda query, texts, k1, b: _scores(query, texts, k1, 0.0),
            "`b` is not used: a long text has more words by chance.",
        ),
        Misconception(
            "the mean upside down",
            lambda query, texts, k1, b: _scores(
                query,
                texts,
                k1,
                b,
                saturated=lambda tf, length, mean, k1, b: (
                    tf / (tf + k1 * (1 - b + b * mean / length)) if tf else 0.0
                ),
            ),
            "You divide the mean length by that of the text, so long texts gain. Divide |d| by it.",
        ),
        Misconception(
            "parts of words",
            _in_one_string,
            "You search in a string, where `top` is found in `stop`. Count equal words.",
        ),
        Misconception(
            "upper and lower case",
            _any_case,
            "The words are compared as they are: `Top` and `top` are two words here.",
        ),
        Misconception(
            "each word once",
            lambda query, texts, k1, b: _scores(list(dict.fromkeys(query)), texts, k1, b),
            "A word that occurs twice in the query counts twice.",
        ),
        Misconception(
            "there or not",
            lambda query, texts, k1, b: _scores(
                query, texts, k1, b, tf=lambda word, text: int(word in text)
            ),
            "tf is how often the text has the word, not only whether.",
        ),
    ),
    alternatives=(
        Alternative("counters", _by_counter),
        Alternative("postings", _by_postings),
        Alternative("text by text", _scores),
    ),
    hints=(
        "mean = sum(len(text) for text in texts) / len(texts); tf = text.count(word).",
        "df = sum(word in text for text in texts); idf = math.log(1 + (N - df + 0.5) / "
        "(df + 0.5)).",
        "Add idf * tf / (tf + k1 * (1 - b + b * len(text) / mean)) for each word of the query.",
    ),
)
