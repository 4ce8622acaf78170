"""Rollouts: several answers to each prompt, with the log-probability of every token.

Sampling is most of the cost of learning from rewards. Three things make it cheap: all answers are
generated as one batch on one cache; each prompt is read once, and its keys and values are copied
for the answers of its group; the log-probabilities come from the logits that were needed anyway.

    prompts (P) → read once (P, S) → copied for each answer (P·G, S) → one token at a time

Taught in:        rewards
Paper:            none
Checked against:  `generate` with the same random numbers; a pass over prompt and answer together
Shapes:           P prompts, G answers to each, B = P·G answers, S prompt tokens, T answer tokens,
                  V vocabulary
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.generation import FusedDecoder, LanguageModel, Reader, Sampling, choose, left_pad
from course_lib.generation.cached_reader import without_padding
from course_lib.model import DecoderLM, token_positions
from course_lib.softmax import log_softmax


class Rollouts(NamedTuple):
    """Answers to prompts; those of one prompt are neighbours."""

    prompts: Int[Tensor, "B S"]  # padded on the left
    prompt_mask: Bool[Tensor, "B S"]  # True at real tokens
    answers: Int[Tensor, "B T"]  # padded on the right
    mask: Bool[Tensor, "B T"]  # True at the tokens of an answer, the one that ends it included
    log_probabilities: Float[Tensor, "B T"]  # of each token when it was sampled; 0 at padding

    def rows(self) -> list[list[int]]:
        """Return the ids of each answer, without padding."""
        pairs = zip(self.answers.tolist(), self.mask.sum(-1).tolist(), strict=True)
        return [row[:length] for row, length in pairs]


@torch.no_grad()
def sample_answers(
    model: DecoderLM,
    prompts: Sequence[Sequence[int]],
    group: int,
    max_new_tokens: int,
    stop_id: int,
    *,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Rollouts:
    """Return `group` sampled answers to each prompt, each of at most `max_new_tokens` tokens.

    An answer ends with `stop_id`, which belongs to it; one that is cut off has none. Padding is
    filled with `stop_id` as well: read `mask`, not the ids.
    """
    _check(model, prompts, group, max_new_tokens, temperature)
    device = model.lm_head.weight.device
    ids, padding = (each.to(device) for each in left_pad(prompts))
    reader, logits = _read_prompts(FusedDecoder(model), ids, padding, group, max_new_tokens)
    ids, padding = (each.repeat_interleave(group, 0) for each in (ids, padding))
    text = without_padding(ids, padding)
    sampling = Sampling(temperature=temperature)
    running = torch.ones(len(ids), dtype=torch.bool, device=device)
    masks, chosen = [], []
    for _ in range(max_new_tokens):
        token = choose(logits, text, sampling, generator).masked_fill(~running, stop_id)
        text = torch.cat((text, token[:, None]), 1)
        masks.append(running)
        chosen.append(_log_p(logits, token, temperature).masked_fill(~running, 0.0))
        running = running & (token != stop_id)
        if not running.any() or len(masks) == max_new_tokens:
            break
        logits = reader.read(token[:, None])
    answers = text[:, ids.shape[1] :]
    return Rollouts(ids, padding, answers, torch.stack(masks, 1), torch.stack(chosen, 1))


def _read_prompts(
    model: LanguageModel,
    ids: Int[Tensor, "P S"],
    padding: Bool[Tensor, "P S"],
    group: int,
    new_tokens: int,
) -> tuple[Reader, Float[Tensor, "B V"]]:
    """Read each prompt once; return a reader for all answers, and the logits after the prompts."""
    once = Reader(model, *ids.shape)
    logits = once.read(ids, padding)
    reader = Reader(model, len(ids) * group, ids.shape[1] + new_tokens - 1)
    for layer, read in zip(reader.cache, once.cache, strict=True):
        layer.append(*(each.repeat_interleave(group, 0) for each in (read.keys, read.values)))
    reader.padding = padding.repeat_interleave(group, 0)
    return reader, logits.repeat_interleave(group, 0)


def answer_log_probabilities(
    model: DecoderLM, rollouts: Rollouts, temperature: float = 1.0
) -> Float[Tensor, "B T"]:
    """Return log p of each token of the answers under a model, with gradient; 0 at padding."""
    ids = torch.cat((rollouts.prompts, rollouts.answers), 1)  # (B, S + T)
    real = torch.cat((rollouts.prompt_mask, rollouts.mask), 1)
    ids, real = ids[:, :-1], real[:, :-1]  # the last token predicts nothing
    logits = model(ids, real, positions=token_positions(real, ids.shape[1])).logits
    logits = logits[:, rollouts.prompts.shape[1] - 1 :]  # (B, T, V)
    return _log_p(logits, rollouts.answers, temperature).masked_fill(~rollouts.mask, 0.0)


def _log_p(
    logits: Float[Tensor, "*rows V"], ids: Int[Tensor, "*rows"], temperature: float
) -> Float[Tensor, "*rows"]:
    log_p = log_softmax(logits.float() / temperature)
    return log_p.gather(-1, ids.unsqueeze(-1)).squeeze(-1)


def _check(
    model: DecoderLM,
    prompts: Sequence[Sequence[int]],
    group: int,
    max_new_tokens: int,
    temperature: float,
) -> None:
    if group < 1 or max_new_tokens < 1:
        raise ValueError(
            "there must be at least one answer to each prompt, of at least one token; got "
            f"group={group}, max_new_tokens={max_new_tokens}."
        )
    if not temperature > 0:
        raise ValueError(
            "answers to learn from are sampled, so the temperature must be greater than 0; got "
            f"{temperature}. For greedy answers use generation.generate."
        )
    limit, longest = model.config.max_position_embeddings, max(map(len, prompts), default=0)
    if longest + max_new_tokens > limit:
        raise ValueError(
            f"prompt and answer must fit into the context of {limit} tokens; got a prompt of "
            f"{longest} and an answer of {max_new_tokens}. Shorten one of them."
        )
