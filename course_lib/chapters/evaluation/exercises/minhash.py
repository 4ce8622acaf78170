"""The exercise on MinHash."""

import numpy as np

from course_lib import evaluation
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _element_by_element(elements, functions, prime):
    smallest = [prime] * len(functions)
    for x in elements:
        for i, (a, b) in enumerate(functions):
            smallest[i] = min(smallest[i], (a * x + b) % prime)
    return smallest


def _comprehension(elements, functions, prime):
    return [min((a * x + b) % prime for x in elements) for a, b in functions]


def _by_sorting(elements, functions, prime):
    return [sorted((a * x + b) % prime for x in elements)[0] for a, b in functions]


def _with_numpy(elements, functions, prime):
    x = np.array(sorted(elements), dtype=object)  # Python's integers: no overflow
    return [int(((a * x + b) % prime).min()) for a, b in functions]


def _in_64_bits(elements, functions, prime):
    x = np.array(sorted(elements), dtype=np.int64)
    return [int(((np.int64(a) * x + np.int64(b)) % np.int64(prime)).min()) for a, b in functions]


def _with(pick):
    return lambda elements, functions, prime: [
        pick([(a * x + b) % prime for x in sorted(elements)], sorted(elements))
        for a, b in functions
    ]


MINHASH = Exercise(
    id="evaluation.minhash",
    title="A MinHash signature",
    minutes=6,
    difficulty=2,
    statement=(
        "`elements` is a set of whole numbers, not empty; `functions` is a list of pairs (a, b), "
        "each a hash function x → (a · x + b) mod prime. Return a list with one whole number for "
        "each function: the smallest hash of any element under it."
    ),
    solution=evaluation.minhash,
    reference=_element_by_element,
    generator=generators.minhash,
    probes=(
        Probe("one element", lambda: call({5}, [(3, 1)], 31), "3 · 5 + 1 = 16."),
        Probe("modulo", lambda: call({9}, [(7, 20)], 31), "83 mod 31 = 21."),
        Probe("the smallest", lambda: call({1, 2, 6}, [(5, 2)], 31), "Of 7, 12 and 1 it is 1."),
        Probe(
            "several functions",
            lambda: call({4, 11, 30}, [(2, 3), (9, 1), (17, 25)], 101),
            "Each function has a minimum of its own, often at a different element.",
        ),
        Probe(
            "large numbers",
            lambda: call({10**12, 7}, [(2**60 + 1, 2**59)], 2**61 - 1),
            "Python's integers do not overflow.",
        ),
    ),
    misconceptions=(
        Misconception("the largest", _with(lambda h, x: max(h)), "Take the smallest hash."),
        Misconception(
            "the hash of the smallest element",
            _with(lambda h, x: h[0]),
            "Hash all elements first, and then take the minimum. The smallest element says nothing "
            "about the similarity of two sets.",
        ),
        Misconception(
            "integers that overflow",
            _in_64_bits,
            "a · x may need more than 63 bits, and then NumPy and torch wrap around without a "
            "word. Compute with Python's integers.",
        ),
        Misconception(
            "the element, not its hash",
            _with(lambda h, x: x[h.index(min(h))]),
            "You return the element with the smallest hash. Return the hash.",
        ),
        Misconception(
            "without the modulus",
            lambda elements, functions, prime: [
                min(a * x + b for x in elements) for a, b in functions
            ],
            "Without the modulus every function has its minimum at the smallest element.",
        ),
        Misconception(
            "b not in the modulus",
            lambda elements, functions, prime: [
                min((a * x) % prime + b for x in elements) for a, b in functions
            ],
            "Add b before you take the remainder: (a · x + b) mod prime.",
        ),
        Misconception(
            "a and b exchanged",
            lambda elements, functions, prime: [
                min((b * x + a) % prime for x in elements) for a, b in functions
            ],
            "In (a, b), a multiplies and b is added.",
        ),
        Misconception(
            "several minima of one function",
            lambda elements, functions, prime: sorted(
                (functions[0][0] * x + functions[0][1]) % prime for x in elements
            )[: len(functions)],
            "You keep the smallest hashes of one function. Each function gives one minimum.",
        ),
        Misconception(
            "one minimum for all",
            lambda elements, functions, prime: [
                min((a * x + b) % prime for x in elements for a, b in functions)
            ],
            "Return one minimum for each function.",
        ),
    ),
    alternatives=(
        Alternative("a comprehension, as the hint says", _comprehension),
        Alternative("by sorting", _by_sorting),
        Alternative("with NumPy's objects", _with_numpy),
    ),
    hints=("For each (a, b): min((a * x + b) % prime for x in elements).",),
)
