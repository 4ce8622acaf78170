"""Information: how much a message contains, how short a code can be, how safely it can be sent.

measures      the units: entropy, cross-entropy, divergence, perplexity, bits per byte
huffman       source coding with a word of whole bits for each symbol
arithmetic    source coding down to the entropy, driven by any language model
channel       sending bits over a channel that flips some of them, and the limit for that
"""

from course_lib.information.arithmetic import cumulative_frequencies, decode, encode, narrow
from course_lib.information.channel import (
    ErrorRates,
    LinearCode,
    binary_entropy,
    capacity,
    error_rates,
    hamming_code,
    least_bit_error,
    random_code,
    repetition_code,
    transmit,
)
from course_lib.information.huffman import (
    average_length,
    canonical_code,
    huffman_code,
    read_words,
    word_lengths,
    write_words,
)
from course_lib.information.measures import (
    bits_per_byte,
    bits_per_byte_from_perplexity,
    cross_entropy,
    entropy,
    kl_divergence,
    perplexity,
    self_information,
)

__all__ = [
    "ErrorRates",
    "LinearCode",
    "average_length",
    "binary_entropy",
    "bits_per_byte",
    "bits_per_byte_from_perplexity",
    "canonical_code",
    "capacity",
    "cross_entropy",
    "cumulative_frequencies",
    "decode",
    "encode",
    "entropy",
    "error_rates",
    "hamming_code",
    "huffman_code",
    "kl_divergence",
    "least_bit_error",
    "narrow",
    "perplexity",
    "random_code",
    "read_words",
    "repetition_code",
    "self_information",
    "transmit",
    "word_lengths",
    "write_words",
]
