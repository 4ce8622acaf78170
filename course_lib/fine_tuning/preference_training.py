"""Training on pairs: the policy and a frozen copy of it read both answers.

A batch holds each pair as two rows, the chosen answer first. The reference is the model as it was
when training began; it is never changed, and no gradient flows through it.

Taught in:        fine_tuning
Paper:            Rafailov et al. 2023, arXiv:2305.18290
Checked against:  trl's DPOTrainer; a killed run
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.fine_tuning.labels import IGNORED, Example
from course_lib.fine_tuning.packing import pad_examples
from course_lib.fine_tuning.preferences import dpo_loss, sequence_log_probability
from course_lib.model import DecoderLM
from course_lib.training.data import Batch
from course_lib.training.loop import Draw, Plan, Training


class Pair(NamedTuple):
    """Two answers to one prompt."""

    chosen: Example
    rejected: Example


class PairStatistics(NamedTuple):
    """What has become of a set of pairs: means over the pairs."""

    accuracy: float  # of the pairs, in which the chosen answer gained more than the rejected one
    chosen: float  # log-probability in nats
    rejected: float


def pair_batch(pairs: Sequence[Pair]) -> Batch:
    """Return the pairs as rows: chosen, rejected, chosen, rejected, ..."""
    return pad_examples([example for pair in pairs for example in pair])


def batch_log_probabilities(model: DecoderLM, batch: Batch) -> Float[Tensor, " B"]:
    """Return the log-probability of each row's answer."""
    device = model.lm_head.weight.device
    ids = batch.ids.to(device)
    return sequence_log_probability(model(ids).logits, _labels(ids, batch))


class PreferenceTraining(Training):
    """The training loop with DPO's loss."""

    def __init__(self, model: DecoderLM, draw: Draw, plan: Plan, beta: float = 0.1) -> None:
        super().__init__(model, draw, plan)
        self.reference = deepcopy(model).requires_grad_(False)
        self.beta = beta

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return DPO's loss of a batch of pairs."""
        assert isinstance(self.model, DecoderLM)
        policy = batch_log_probabilities(self.model, batch)
        with torch.no_grad():
            reference = batch_log_probabilities(self.reference, batch)
        return dpo_loss(policy[::2], policy[1::2], reference[::2], reference[1::2], self.beta)


@torch.no_grad()
def pair_statistics(model: DecoderLM, reference: DecoderLM, batch: Batch) -> PairStatistics:
    """Return what the policy makes of a batch of pairs, compared with the reference."""
    policy, before = (batch_log_probabilities(each, batch) for each in (model, reference))
    gain = policy - before
    return PairStatistics(
        accuracy=(gain[::2] > gain[1::2]).double().mean().item(),
        chosen=policy[::2].mean().item(),
        rejected=policy[1::2].mean().item(),
    )


def _labels(ids: Int[Tensor, "B T"], batch: Batch) -> Int[Tensor, "B T"]:
    return ids.where(batch.counted.to(ids.device), IGNORED)
