"""What a model has learned, measured on held-out text and on its attention heads.

Bits per byte compare models with different tokenizers. For that every token must be scored, also
the first one, which comes after the document separator. A text longer than the context is read in
windows that overlap by half, so that no later token has less than half a context before it.

Whether heads look things up is measured where nothing else helps: on random ids that repeat.

Taught in:        training
Checked against:  log-probabilities of the text in one window; periods and scores by hand
Shapes:           T tokens, L layers, H heads
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.attention import induction_score, previous_token_score
from course_lib.information import bits_per_byte
from course_lib.model import DecoderLM
from course_lib.softmax import log_softmax

PROBE_PERIODS = (17, 29, 43)


@torch.no_grad()
def token_log_probabilities(
    model: DecoderLM, ids: Sequence[int], separator: int, context: int | None = None
) -> Float[Tensor, " T"]:
    """Return the log-probability in nats of each id, given those before it."""
    if not ids:
        raise ValueError("there must be tokens to score; got none. Pass the ids of a text.")
    context = context or model.config.max_position_embeddings
    device = next(model.parameters()).device
    row = torch.tensor([separator, *ids], device=device)
    scored = [_window(model, row[: context + 1])]
    stride = context // 2
    end = context + 1
    while end < len(row):
        new = min(stride, len(row) - end)
        end += new
        scored.append(_window(model, row[end - context - 1 : end])[-new:])
    return torch.cat(scored)


def _window(model: DecoderLM, row: Int[Tensor, " N"]) -> Float[Tensor, " M"]:
    """Return the log-probability of every id of the row but the first."""
    log_p = log_softmax(model(row[None, :-1]).logits[0].float())
    return log_p.gather(-1, row[1:, None]).squeeze(-1)


def text_bits_per_byte(model: DecoderLM, text: str, ids: Sequence[int], separator: int) -> float:
    """Return the bits per byte that the model needs for a text with these ids."""
    nats = -token_log_probabilities(model, ids, separator).mean().item()
    return bits_per_byte(nats, len(ids), len(text.encode()))


def pooled_bits_per_byte(
    log_probabilities: Sequence[Float[Tensor, "..."]], texts: Sequence[str]
) -> float:
    """Return the bits per byte of all texts together, from the log-probabilities of their tokens.

    Bits and bytes are added up before dividing: in a mean of the texts' own values a short text
    would count as much as a long one.
    """
    if len(log_probabilities) != len(texts) or not any(texts):
        raise ValueError(
            "each text needs the log-probabilities of its tokens, and one text must not be empty; "
            f"got {len(log_probabilities)} rows for {len(texts)} texts."
        )
    nats = -sum(row.double().sum().item() for row in log_probabilities)
    return nats / math.log(2) / sum(len(text.encode()) for text in texts)


class RepeatProbe(NamedTuple):
    """The loss of a model on random ids that repeat, and the scores of each head."""

    loss: float
    previous: Float[Tensor, "L H"]
    induction: Float[Tensor, "L H"]


@torch.no_grad()
def probe_repeats(
    model: DecoderLM, rows: int = 4, length: int = 128, seed: int = 1, choices: int | None = None
) -> RepeatProbe:
    """Measure a model on uniformly random ids that repeat with each of `PROBE_PERIODS`."""
    generator = torch.Generator().manual_seed(seed)
    losses, previous, induction = [], [], []
    for period in PROBE_PERIODS:
        text = torch.randint(
            choices or model.config.vocab_size, (rows, period), generator=generator
        )
        ids = text.repeat(1, -(-length // period))[:, :length]
        output = model(ids.to(next(model.parameters()).device), return_weights=True)
        # What follows an id that occurred before can be predicted, first at position `period`.
        log_p = log_softmax(output.logits[:, period:-1].float().cpu())
        losses.append(-log_p.gather(-1, ids[:, period + 1 :, None]).mean())
        maps = torch.stack(output.attentions, dim=1).float().cpu()  # (rows, L, H, T, T)
        previous.append(previous_token_score(maps).mean(0))
        induction += [induction_score(each, row) for each, row in zip(maps, ids, strict=True)]
    return RepeatProbe(
        torch.stack(losses).mean().item(),
        torch.stack(previous).mean(0),
        torch.stack(induction).mean(0),
    )
