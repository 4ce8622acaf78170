"""Drafts from the text itself: what followed when the same words occurred before.

Speculative decoding needs cheap guesses. Code, forms and quotations repeat themselves, so the text
so far is a draft model that costs nothing: find the last earlier occurrence of the newest n tokens
and guess that what followed it follows again.

    A B C D ... A B  ->  guess C D

A guess is a distribution that puts probability 1 on one token. Keeping it with probability p(guess)
and sampling from the rest otherwise is the same as sampling from p and looking whether the sample
is the guess. So the engine samples each token as it would have done anyway, with the same random
number, and keeps going as long as the guesses agree: the text does not change at all.

Taught in:        serving
Paper:            Saxena 2023, "Prompt lookup decoding"; Leviathan et al. 2022, arXiv:2211.17192
Checked against:  generation without drafts, token for token
Shapes:           none
"""

from collections.abc import Sequence


def ngram_draft(
    tokens: Sequence[int], count: int, longest: int = 3, shortest: int = 1
) -> list[int]:
    """Return up to `count` tokens that followed the last earlier occurrence of the ending.

    The longest ending that has occurred before is used, of `longest` down to `shortest` tokens.
    """
    if count < 0 or not 1 <= shortest <= longest:
        raise ValueError(
            "a draft has 0 or more tokens and matches an ending of at least one; got count "
            f"{count}, endings of {shortest} to {longest} tokens."
        )
    tokens = list(tokens)
    for size in range(min(longest, len(tokens) - 1), shortest - 1, -1):
        ending = tokens[-size:]
        for start in range(len(tokens) - size - 1, -1, -1):
            if tokens[start : start + size] == ending:
                return tokens[start + size : start + size + count]
    return []
