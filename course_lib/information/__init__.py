"""Information: how much a message says, how short it can be written, how safely it can be sent.

Three questions, one file each after `measures`, which defines the units:

    measures      entropy, cross-entropy, divergence, perplexity, bits per byte
"""

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
    "bits_per_byte",
    "bits_per_byte_from_perplexity",
    "cross_entropy",
    "entropy",
    "kl_divergence",
    "perplexity",
    "self_information",
]
