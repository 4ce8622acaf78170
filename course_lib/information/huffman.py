"""Huffman coding: the shortest code that gives every symbol a word of whole bits.

Frequent symbols get short words, rare ones long words, and no word is the beginning of a different
one, so that a stream of words needs no gaps. Huffman's tree joins the two rarest symbols, again and
again. Its average word length L, in bits, is the least that any such code can have, and

    H <= L < H + 1        H the entropy of the symbols

The code here is canonical: words of one length count upwards in the order of the symbols, so the
lengths alone describe it.

Taught in:        language_models
Paper:            Huffman 1952, "A Method for the Construction of Minimum-Redundancy Codes"
Checked against:  the best of all codes that Kraft's inequality allows, over small alphabets
Shapes:           V symbols
"""

import heapq
from collections.abc import Iterable, Mapping

from jaxtyping import Float
from torch import Tensor

from course_lib.information.measures import check_distribution


def word_lengths(p: Float[Tensor, " V"]) -> dict[int, int]:
    """Return the number of bits in the code word of each symbol whose probability is not zero."""
    p = check_distribution(p, "p")
    # A heap of (probability, smallest symbol, symbols): the second entry settles ties.
    heap = [(p[symbol].item(), symbol, [symbol]) for symbol in p.nonzero().flatten().tolist()]
    if len(heap) < 2:
        raise ValueError(
            f"a code needs at least 2 symbols that can occur; got {len(heap)}. "
            "What is certain need not be sent."
        )
    heapq.heapify(heap)
    lengths = {symbol: 0 for _, symbol, _ in heap}
    while len(heap) > 1:
        p1, first1, symbols1 = heapq.heappop(heap)
        p2, first2, symbols2 = heapq.heappop(heap)
        joined = symbols1 + symbols2
        for symbol in joined:
            lengths[symbol] += 1  # one branch further from the root
        heapq.heappush(heap, (p1 + p2, min(first1, first2), joined))
    return lengths


def canonical_code(lengths: Mapping[int, int]) -> dict[int, str]:
    """Return words of the given lengths, none a prefix of a different one, counting upwards."""
    code, word, previous = {}, 0, 0
    for symbol, length in sorted(lengths.items(), key=lambda item: (item[1], item[0])):
        word <<= length - previous
        if word >> length:
            raise ValueError(
                "word lengths must satisfy Kraft's inequality, a sum of 2 ** -length of at most 1; "
                f"got {sum(2.0**-bits for bits in lengths.values()):.4g}. Make some words longer."
            )
        code[symbol] = f"{word:0{length}b}"
        word, previous = word + 1, length
    return code


def huffman_code(p: Float[Tensor, " V"]) -> dict[int, str]:
    """Return the canonical Huffman code: a string of 0 and 1 for each symbol that can occur."""
    return canonical_code(word_lengths(p))


def average_length(code: Mapping[int, str], p: Float[Tensor, " V"]) -> float:
    """Return the bits that the code spends on a symbol on average, when p draws the symbols."""
    p = check_distribution(p, "p")
    return sum(p[symbol].item() * len(word) for symbol, word in code.items())


def write_words(symbols: Iterable[int], code: Mapping[int, str]) -> str:
    """Return the code words of the symbols, one after the other."""
    words = []
    for symbol in symbols:
        if symbol not in code:
            raise ValueError(
                f"only symbols of the code can be written; got {symbol}, which had probability 0. "
                "Make the code from a distribution that gives every symbol a chance."
            )
        words.append(code[symbol])
    return "".join(words)


def read_words(bits: str, code: Mapping[int, str]) -> list[int]:
    """Return the symbols whose words make up `bits`; a word ends as soon as it is one."""
    symbol_of = {word: symbol for symbol, word in code.items()}
    symbols, word = [], ""
    for bit in bits:
        word += bit
        if word in symbol_of:
            symbols.append(symbol_of[word])
            word = ""
    if word:
        raise ValueError(
            f"the bits must end with a whole word of the code; got {word!r} left over. "
            "Pass all bits that were written, and the code they were written with."
        )
    return symbols
