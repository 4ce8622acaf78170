"""The exercise on generalised advantage estimation."""

import torch

from course_lib import rewards
from course_lib.chapters.rewards.exercises.generators import gae_inputs, mask_of
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _gae(rewards, values, mask, gamma, lam, *, past_end=False, kept=True, keep_padding=False):
    """Return GAE by its sum over later tokens, or one of the slips that the flags stand for."""
    out = torch.zeros_like(rewards)
    for row in range(len(rewards)):
        last = rewards.shape[1] if keep_padding else int(mask[row].sum())
        value = [*values[row, :last].double().tolist(), 0.0]
        if past_end and last < rewards.shape[1]:
            value[last] = values[row, last].item()
        r = rewards[row].double().tolist()
        surprise = [r[t] + gamma * value[t + 1] - kept * value[t] for t in range(last)]
        for t in range(last):
            out[row, t] = sum((gamma * lam) ** (k - t) * surprise[k] for k in range(t, last))
    return out


def _one_step(rewards, values, mask, gamma, lam):
    return _gae(rewards, values, mask, gamma, 0.0)


def _lambda_alone(rewards, values, mask, gamma, lam):
    following, out = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards)
    later = torch.zeros_like(following)
    for t in reversed(range(rewards.shape[1])):
        surprise = rewards[:, t] + gamma * later - values[:, t]
        following = torch.where(mask[:, t], surprise + lam * following, 0.0)
        later = torch.where(mask[:, t], values[:, t], 0.0)
        out[:, t] = following
    return out


def _backwards_in_time(rewards, values, mask, gamma, lam):
    surprises = _gae(rewards, values, mask, gamma, 0.0)
    out, before = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
    for t in range(rewards.shape[1]):
        before = torch.where(mask[:, t], surprises[:, t] + gamma * lam * before, 0.0)
        out[:, t] = before
    return out


def _next_value_undiscounted(rewards, values, mask, gamma, lam):
    later = torch.cat((values[:, 1:], torch.zeros_like(values[:, :1])), 1)
    later = later * torch.cat((mask[:, 1:], torch.zeros_like(mask[:, :1])), 1)
    return _gae(rewards + (1 - gamma) * later, values, mask, gamma, lam)


def _recursive(rewards, values, mask, gamma, lam):
    masked = values.masked_fill(~mask, 0.0)
    later = torch.nn.functional.pad(masked, (0, 1))[:, 1:]
    surprises = (rewards + gamma * later - masked).masked_fill(~mask, 0.0)
    out = surprises.clone()
    for t in range(rewards.shape[1] - 2, -1, -1):
        out[:, t] = surprises[:, t] + gamma * lam * out[:, t + 1]
    return out


def _by_a_matrix(rewards, values, mask, gamma, lam):
    tokens = rewards.shape[1]
    masked = values * mask
    later = torch.cat((masked[:, 1:], torch.zeros_like(masked[:, :1])), 1)
    surprises = (rewards + gamma * later - masked) * mask
    distance = (torch.arange(tokens) - torch.arange(tokens)[:, None]).abs()
    weights = (torch.tensor(gamma * lam).double() ** distance).triu()
    return (surprises.double() @ weights.T).to(rewards.dtype)


def _row_by_row(rewards, values, mask, gamma, lam):
    out = torch.zeros_like(rewards)
    for row, length in enumerate(mask.sum(-1).tolist()):
        advantage = 0.0
        for t in range(length - 1, -1, -1):
            later = values[row, t + 1] if t + 1 < length else 0.0
            advantage = rewards[row, t] + gamma * later - values[row, t] + gamma * lam * advantage
            out[row, t] = advantage
    return out


def _answers(lengths, gamma, lam, tokens=4):
    shape = (len(lengths), tokens)
    return call(uneven(*shape), uneven(*reversed(shape)).mT + 0.5, mask_of(lengths, tokens), gamma,
                lam)  # fmt: skip


GAE = Exercise(
    id="rewards.gae",
    title="Generalised advantage estimation",
    minutes=12,
    difficulty=3,
    statement=(
        "`rewards` and `values` are (B, T), `mask` is True at the tokens of each answer (padding "
        "is on the right and may hold anything finite). Return the advantages (B, T): A[t] = "
        "δ[t] + γλ A[t+1] with δ[t] = r[t] + γ V[t+1] − V[t]. After the last token of an answer "
        "V and A are 0. At padding the result is 0."
    ),
    solution=rewards.gae,
    reference=_gae,
    generator=gae_inputs,
    tolerance=2.0,
    probes=(
        Probe(
            "one token",
            lambda: _answers([1], 0.9, 0.5, tokens=1),
            "After the last token nothing follows: A = r − V.",
        ),
        Probe(
            "λ = 0",
            lambda: _answers([4], 0.9, 0.0),
            "With λ = 0 only the next value counts: A = δ.",
        ),
        Probe(
            "γ = λ = 1",
            lambda: _answers([3], 1.0, 1.0, tokens=3),
            "Then A is the sum of all later rewards minus V.",
        ),
        Probe("γ = 0.9, λ = 0.5", lambda: _answers([4], 0.9, 0.5), "Both factors apply."),
        Probe(
            "answers of different length",
            lambda: _answers([2, 4, 1], 0.8, 0.6),
            "The value after an answer's last token is 0, not what stands at the padding.",
        ),
    ),
    misconceptions=(
        Misconception(
            "bootstrapped past the end",
            lambda *given: _gae(*given, past_end=True),
            "You read the value at the padding after an answer's last token. Nothing follows "
            "there: the next value is 0.",
        ),
        Misconception(
            "padding counted",
            lambda *given: _gae(*given, keep_padding=True),
            "You let the padding take part. Use the mask: there the advantage is 0, and so is "
            "what the token before it sees.",
        ),
        Misconception(
            "only one step",
            _one_step,
            "This is δ, the case λ = 0. Add γλ times the next advantage.",
        ),
        Misconception(
            "γ missing in the recursion",
            _lambda_alone,
            "The next advantage is multiplied by γ and by λ.",
        ),
        Misconception(
            "from the first token to the last",
            _backwards_in_time,
            "You accumulate from left to right. An advantage depends on what comes *after* its "
            "token, so walk from the last token to the first.",
        ),
        Misconception(
            "the value not subtracted",
            lambda *given: _gae(*given, kept=False),
            "δ[t] = r[t] + γ V[t+1] − V[t]: the expectation V[t] must be subtracted.",
        ),
        Misconception(
            "γ missing at the next value",
            _next_value_undiscounted,
            "The next value is discounted too: γ V[t+1].",
        ),
    ),
    alternatives=(
        Alternative("with δ first", _recursive),
        Alternative("by a matrix", _by_a_matrix),
        Alternative("row by row", _row_by_row),
    ),
    hints=(
        "Walk over t from the last token to the first, and keep A[t+1] and V[t+1] of each row.",
        "Both start at 0, and are set back to 0 wherever mask[:, t] is False (torch.where).",
        "delta = rewards[:, t] + gamma * next_value - values[:, t]; the new advantage is "
        "delta + gamma * lam * next_advantage.",
    ),
)
