"""What a tokenizer costs: how much text a token covers, and what is unknown.

Context length, the KV cache, speed and price are counted in tokens, so a tokenizer that needs twice
as many for a language makes that language twice as expensive. Bytes per token compares tokenizers
on one text; for two languages compare the tokens of the same sentence.

    bytes per token = bytes of the text in UTF-8 / tokens
    out of vocabulary = units that are not known / units

Taught in:        tokenization
Paper:            Petrov et al. 2023, arXiv:2305.15425 (the same sentences in many languages)
Checked against:  counts by hand, a tokenizer trained to the smaller size
"""

from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

from course_lib.tokenization.byte_bpe import ByteBPE


class Length(NamedTuple):
    """How long one text is, counted in three ways."""

    tokens: int
    characters: int
    bytes: int

    @property
    def bytes_per_token(self) -> float:
        """How much text a token covers; larger is cheaper."""
        return self.bytes / self.tokens

    @property
    def tokens_per_character(self) -> float:
        """The average number of tokens per character; above 1 in a script without merges."""
        return self.tokens / self.characters


def length(encode: Callable[[str], Sequence[int]], text: str) -> Length:
    """Return the length of the text in tokens, characters and bytes."""
    if not text:
        raise ValueError(
            "the length per token needs a text of at least one character; got ''. Pass some text."
        )
    return Length(len(encode(text)), len(text), len(text.encode()))


def characters_that_fit(
    context: int, bytes_per_token: int | float, bytes_per_character: int | float
) -> float:
    """Return how many characters of a language fit into a context of `context` tokens."""
    return context * bytes_per_token / bytes_per_character


def out_of_vocabulary(units: Sequence[str], known: Container[str]) -> float:
    """Return the share of the units, such as words or characters, that are unknown."""
    if not units:
        raise ValueError(
            "a share needs at least one unit to count; got none. Pass the words of a text."
        )
    return sum(unit not in known for unit in units) / len(units)


def truncate(tokenizer: ByteBPE, vocab_size: int) -> ByteBPE:
    """Return the tokenizer that training to the smaller size would have given.

    Merges are learned one after another, so a smaller vocabulary is the beginning of a larger one.
    Special tokens are left out.
    """
    largest = 256 + len(tokenizer.merges)
    if not 256 <= vocab_size <= largest:
        raise ValueError(
            f"vocab_size must be 256 to {largest}, one for each byte and merge; got {vocab_size}. "
            "Train a larger tokenizer, or ask for a smaller one."
        )
    merges = tokenizer.merges[: vocab_size - 256]
    kept = [bytes([byte]) for byte in range(256)] + [left + right for left, right in merges]
    vocabulary = {token: tokenizer.vocabulary[token] for token in kept}
    return ByteBPE(vocabulary, merges, None, tokenizer.pattern, tokenizer.normalization)
