"""Counterfactual pairs: does the model treat two texts differently that differ in one word?

    gap = log p(ending | start with A) − log p(ending | start with B)

Only the ending is scored. The word itself is left out, since its own frequency is no statement
about what follows: a text with the rarer word is less likely as a whole, whatever the model thinks
of the ending. The mean gap of an ending over many starts has an interval; so has the difference of
two endings, which takes away what A and B do to any ending at all.

Taught in:        evaluation
Paper:            Rudinger et al. 2018, arXiv:1804.09301; Nangia et al. 2020, arXiv:2010.00133
                  (pairs of sentences); Blodgett et al. 2021, ACL (what such pairs do not measure)
Checked against:  log-probabilities of whole texts, subtracted
Shapes:           none
"""

from collections.abc import Sequence

from course_lib.evaluation.choices import continuation_log_probabilities
from course_lib.model import DecoderLM
from course_lib.tokenization.huggingface import Tokenizer

SLOT = "{word}"


def counterfactual_gaps(
    model: DecoderLM, tokenizer: Tokenizer, starts: Sequence[str], words: tuple[str, str],
    ending: str,
) -> list[float]:  # fmt: skip
    """Return the gap of an ending, in nats, for each start; a start has the slot {word}."""
    for start in starts:
        if SLOT not in start:
            raise ValueError(f"a start must have the slot {SLOT} for the word; got {start!r}.")
    if not starts or not ending:
        raise ValueError(f"there must be a start and an ending; got {len(starts)}, {ending!r}.")
    contexts = [tokenizer.encode(start.replace(SLOT, word)) for word in words for start in starts]
    endings = [tokenizer.encode(ending)] * len(contexts)
    found = continuation_log_probabilities(model, contexts, endings)
    half = len(starts)
    return [a - b for a, b in zip(found[:half], found[half:], strict=True)]
