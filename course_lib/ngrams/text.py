"""Models of whole texts: from the next token to a sequence, and from a sequence to a sample.

A language model answers one question: given the tokens so far, how probable is each next one? The
chain rule of probability turns the answers into the probability of any text, without approximation:

    p(x_1 .. x_T) = p(x_1) p(x_2 | x_1) p(x_3 | x_1 x_2) ... p(x_T | x_1 .. x_T-1)

Whatever answers the question is a language model. Here that is any function of the type
`NextToken`, be it a table of counts or a network with billions of weights.

Taught in:        language_models
Paper:            Shannon 1948, "A Mathematical Theory of Communication"
Checked against:  products of fractions, frequencies of many samples
Shapes:           V vocabulary, T tokens
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

NextToken = Callable[[Sequence[int]], Float[Tensor, " V"]]
"""A language model: given all tokens so far, the distribution of the next one."""


def uniform(vocabulary_size: int) -> NextToken:
    """Return the model that knows nothing and needs log2 V bits per token: 8 for a byte."""
    if vocabulary_size < 1:
        raise ValueError(
            f"a vocabulary has at least one token; got a vocabulary_size of {vocabulary_size}. "
            "Pass 256 for bytes, or the size of the tokenizer's vocabulary."
        )
    p = torch.full((vocabulary_size,), 1 / vocabulary_size, dtype=torch.float64)
    return lambda context: p.clone()


def log_probabilities(model: NextToken, ids: Sequence[int]) -> Float[Tensor, " T"]:
    """Return the natural logarithm of the probability of each token, given those before it.

    The sum is the log-probability of the text; minus the mean is the loss in nats per token.
    """
    context: list[int] = []
    scores = torch.empty(len(ids), dtype=torch.float64)
    for position, token in enumerate(ids):
        scores[position] = model(context)[token]
        context.append(token)
    return scores.log()


def sample(
    model: NextToken,
    length: int,
    generator: torch.Generator,
    prompt: Sequence[int] = (),
    temperature: float = 1.0,
) -> list[int]:
    """Return `length` tokens drawn one after the other, each given the prompt and those before it.

    A temperature below 1 favours the probable tokens, one above 1 evens the odds.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"the temperature must be finite and above 0; got {temperature}. Use 1.0 for the "
            "model as it is, or a small value such as 0.1 to come close to the likeliest token."
        )
    text = list(prompt)
    for _ in range(length):
        p = torch.softmax(model(text).log() / temperature, dim=-1)
        text.append(int(torch.multinomial(p, 1, generator=generator)))
    return text[len(prompt) :]
