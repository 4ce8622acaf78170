"""The noisy channel: how fast bits can be sent if some of them are flipped.

The binary symmetric channel flips each bit with probability f. Sending each bit three times makes
errors rarer, at a price: a third of the rate. Shannon found that the price has a limit. At any rate
below the capacity, long codes make errors as rare as you like; above it, no code does:

    capacity   C(f) = 1 - H(f)        H(f) the entropy of one flip, in bits
    rate       R = k / n              k message bits sent as n channel bits

At a rate R > C at least the share e of the message bits arrives wrong, where R (1 - H(e)) = C.

A linear code multiplies the message by a table of bits, modulo 2. The decoder looks for the code
word that differs least from what it received: the most likely one, and slow to find among 2 ** k.

Taught in:        language_models
Paper:            Shannon 1948; Hamming 1950, "Error Detecting and Error Correcting Codes"
Checked against:  majority vote, syndrome decoding, the binomial distribution
Shapes:           k message bits, n channel bits, N messages; a bit is the integer 0 or 1
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.information.measures import entropy

MOST_MESSAGE_BITS = 16


def binary_entropy(f: float) -> float:
    """Return the entropy in bits of an event of probability f."""
    if not 0 <= f <= 1:
        raise ValueError(
            f"a probability must lie between 0 and 1; got {f}. Pass a share, not a percentage."
        )
    return entropy(torch.tensor([f, 1 - f], dtype=torch.float64)).item()


def capacity(flip: float) -> float:
    """Return how many bits of message one bit can carry over a channel that flips bits."""
    return 1 - binary_entropy(flip)


def least_bit_error(rate: float, flip: float) -> float:
    """Return the share of wrong message bits below which no code of this rate can get."""
    if not rate > 0:
        raise ValueError(
            f"the rate must be above 0; got {rate}. Pass message bits divided by channel bits."
        )
    needed = 1 - capacity(flip) / rate  # the entropy of the errors that must remain
    if needed <= 0:
        return 0.0
    below, above = 0.0, 0.5
    for _ in range(60):  # binary_entropy rises from 0 to 1 on [0, 1/2]: halve until it is found
        middle = (below + above) / 2
        below, above = (middle, above) if binary_entropy(middle) < needed else (below, middle)
    return above


def transmit(
    bits: Int[Tensor, "*shape"], flip: float, generator: torch.Generator
) -> Int[Tensor, "*shape"]:
    """Return the bits as they arrive: each is flipped with probability `flip`, independently."""
    if not 0 <= flip <= 1:
        raise ValueError(
            f"flip must be a probability between 0 and 1; got {flip}. "
            "Pass a share, not a percentage."
        )
    chance = torch.rand(bits.shape, generator=generator, device=generator.device)
    return bits ^ (chance < flip).to(bits)


class LinearCode:
    """A code whose words are sums modulo 2 of the rows of a table, one row per message bit."""

    def __init__(self, table: Int[Tensor, "k n"]) -> None:
        k, n = table.shape
        if not 1 <= k <= min(n, MOST_MESSAGE_BITS):
            raise ValueError(
                f"a code sends 1 to {MOST_MESSAGE_BITS} message bits as at least as many channel "
                f"bits; got a table of {k} rows and {n} columns. Split longer messages into blocks."
            )
        if not bool(((table == 0) | (table == 1)).all()):
            raise ValueError(
                f"the table of a code holds bits, 0 or 1; got values from {table.min().item()} to "
                f"{table.max().item()}. Take it modulo 2."
            )
        self.table = table
        self.k, self.n = k, n
        numbers = torch.arange(2**k, device=table.device)
        self.messages = numbers[:, None] >> torch.arange(k - 1, -1, -1, device=table.device) & 1
        self.words = self.encode(self.messages)

    @property
    def rate(self) -> float:
        """Message bits per channel bit."""
        return self.k / self.n

    def encode(self, messages: Int[Tensor, "N k"]) -> Int[Tensor, "N n"]:
        """Return the code word of each message."""
        return (messages.double() @ self.table.double()).long() % 2

    def decode(self, received: Int[Tensor, "N n"]) -> Int[Tensor, "N k"]:
        """Return for each received block the message whose word differs in the fewest bits."""
        agreement = (1.0 - 2 * received) @ (1.0 - 2 * self.words).T  # (N, 2**k): equal - different
        distance = (self.n - agreement.long()) // 2
        # Of words equally near take the first, on every machine: it has the smallest key.
        size = len(self.words)
        key = distance * size + torch.arange(size, device=received.device)
        return self.messages[key.amin(-1) % size]


def repetition_code(times: int) -> LinearCode:
    """Return the code that sends one bit several times over."""
    if times < 1:
        raise ValueError(
            f"a bit must be sent at least once; got times = {times}. An odd number avoids ties."
        )
    return LinearCode(torch.ones(1, times, dtype=torch.long))


def hamming_code() -> LinearCode:
    """Return Hamming's (7, 4) code: 4 message bits, 3 parities, every single flip corrected."""
    parities = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    return LinearCode(torch.cat([torch.eye(4, dtype=torch.long), parities], dim=1))


def random_code(k: int, n: int, generator: torch.Generator) -> LinearCode:
    """Return a code whose n - k parities sum random message bits: Shannon's proof, made concrete.

    The message itself comes first, so that different messages always have different words.
    """
    if not 1 <= k <= n:
        raise ValueError(
            f"n channel bits must carry 1 to n message bits; got k = {k} and n = {n}. "
            "The rate k / n cannot exceed 1."
        )
    parities = torch.randint(0, 2, (k, n - k), generator=generator, device=generator.device)
    message = torch.eye(k, dtype=torch.long, device=generator.device)
    return LinearCode(torch.cat([message, parities], dim=1))


class ErrorRates(NamedTuple):
    """The shares of messages, and of message bits, that were decoded wrongly."""

    block: float
    bit: float


def error_rates(
    code: LinearCode, flip: float, blocks: int, generator: torch.Generator
) -> ErrorRates:
    """Return how often random messages arrive wrong, counted over a number of blocks."""
    if blocks < 1:
        raise ValueError(f"at least 1 block must be sent; got {blocks}. 1000 give a first idea.")
    shape = (blocks, code.k)
    messages = torch.randint(0, 2, shape, generator=generator, device=generator.device)
    wrong = code.decode(transmit(code.encode(messages), flip, generator)) != messages
    return ErrorRates(wrong.any(-1).double().mean().item(), wrong.double().mean().item())
