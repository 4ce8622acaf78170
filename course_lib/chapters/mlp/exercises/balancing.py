"""The exercise on the loss that balances the load of the experts."""

import torch
import torch.nn.functional as F

from course_lib import experts
from course_lib.chapters.mlp.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _balance(logits, k, share=None, probability=None, factor=None):
    """Compute the loss with one of its parts replaced."""
    count = logits.shape[1]
    p = torch.softmax(logits, -1)
    chosen = F.one_hot(p.topk(k).indices, count).float()  # (N, k, E)
    share = chosen.sum(1).mean(0) if share is None else share(chosen)
    probability = p.mean(0) if probability is None else probability(p, chosen)
    return (count if factor is None else factor) * (share * probability).sum()


def _balance_slowly(logits, k):
    rows = [row.softmax(0).tolist() for row in logits.double()]
    count, total = logits.shape[1], 0.0
    for e in range(count):
        choices = sum(e in sorted(range(count), key=lambda i: -row[i])[:k] for row in rows)
        total += choices / len(rows) * sum(row[e] for row in rows) / len(rows)
    return logits.new_tensor(count * total)


def _balance_by_loop(logits, k):
    """Compute it expert by expert, in torch, so that a gradient flows."""
    p = torch.softmax(logits, -1)
    places = p.topk(k).indices
    total = logits.new_zeros(())
    for e in range(logits.shape[1]):
        total = total + (places == e).sum() / len(logits) * p[:, e].mean()
    return logits.shape[1] * total


def _balance_by_bincount(logits, k):
    p = torch.softmax(logits, -1)
    counts = torch.bincount(p.topk(k).indices.flatten(), minlength=logits.shape[1])
    return logits.shape[1] * (counts / len(logits) * p.mean(0)).sum()


def _balance_by_mask(logits, k):
    p = torch.softmax(logits, -1)
    load = torch.zeros_like(p).scatter(-1, p.topk(k).indices, 1.0).mean(0)
    return logits.shape[1] * torch.dot(load, p.mean(0))


def _gates_alone(p, chosen):
    gates = p * chosen.sum(1)
    return (gates / gates.sum(-1, keepdim=True)).mean(0)


def _balanced_loss(name, parts, explanation):
    def loss(logits, k):
        return _balance(logits, k, **parts(logits, k))

    return Misconception(name, loss, explanation)


def _overflowing(logits, k):
    e = logits.exp()
    p = e / e.sum(-1, keepdim=True)
    return _balance(logits, k, probability=lambda *_: p.mean(0))


def _over_tokens(logits, k):
    return _balance(logits, k, probability=lambda *_: torch.softmax(logits, 0).mean(0))


def _constant_probability(logits, k):
    loss = _balance(logits, k, probability=lambda p, chosen: p.detach().mean(0))
    return loss + 0.0 * logits.sum()


def _all_in_a_tie(logits, k):
    p = torch.softmax(logits, -1)
    share = (p >= p.topk(k).values[:, -1:]).to(p.dtype).mean(0)
    return _balance(logits, k, share=lambda chosen: share)


BALANCING = Exercise(
    id="mlp.balancing",
    title="The load-balancing loss",
    minutes=10,
    difficulty=3,
    statement=(
        "From logits (N, E) of a router with k choices per token, return the scalar "
        "E · Σₑ (choices of e per token) · (mean probability of e). Gradients flow through the "
        "probabilities."
    ),
    solution=experts.load_balancing_loss,
    reference=_balance_slowly,
    generator=generators.balances,
    probes=(
        Probe(
            "all to one expert",
            lambda: call(torch.tensor([[9.0, 0.0, 0.0], [9.0, 0.0, 0.0]]), 1),
            "One expert gets all tokens, so the loss is near its maximum, E = 3.",
        ),
        Probe(
            "two experts each",
            lambda: call(uneven(5, 4), 2),
            "With k = 2 there are two choices per token: in balance the loss is 2.",
            gradient=True,
        ),
        Probe(
            "more experts than tokens",
            lambda: call(uneven(2, 7) / 2, 3),
            "Both factors are means over tokens; the sum runs over all experts.",
        ),
        Probe(
            "logits far from 0",
            lambda: call(torch.tensor([[200.0, 100.0, 199.0], [-202.0, -201.0, -300.0]]), 2),
            "exp(200) is infinite and exp(−200) is 0 in float32. Use a stable softmax.",
        ),
        Probe(
            "all logits equal",
            lambda: call(torch.zeros(3, 4), 1),
            "In a tie a token still uses k experts, whichever they are: the loss is k.",
        ),
    ),
    misconceptions=(
        _balanced_loss(
            "without the factor E",
            lambda logits, k: {"factor": 1},
            "Without E the loss in balance is k / E, so its weight would depend on the number of "
            "experts. Multiply the sum by E. (A mean over experts would cancel the E again.)",
        ),
        _balanced_loss(
            "divided by all choices",
            lambda logits, k: {"share": lambda chosen: chosen.mean((0, 1))},
            "You divide by tokens · k, so that balance is 1. Here, as in `transformers`, choices "
            "are counted per token: balance is k.",
        ),
        _balanced_loss(
            "counts times counts",
            lambda logits, k: {"probability": lambda p, chosen: chosen.sum(1).mean(0)},
            "Counts have no gradient, so the router could not be trained. One factor must be the "
            "mean probability.",
        ),
        _balanced_loss(
            "probability times probability",
            lambda logits, k: {"share": lambda chosen: torch.softmax(logits, -1).mean(0) * k},
            "Probabilities may be even while choices are not. One factor must count the choices.",
        ),
        _balanced_loss(
            "only the first choice counted",
            lambda logits, k: {"share": lambda chosen: chosen[:, 0].mean(0)},
            "A token uses k experts, and each of them has to process it. Count every choice.",
        ),
        _balanced_loss(
            "gates instead of probabilities",
            lambda logits, k: {"probability": _gates_alone},
            "The second factor is the mean of the whole softmax. Experts that were not chosen "
            "need a gradient too.",
        ),
        Misconception(
            "the gradient cut off",
            lambda logits, k: _balance(logits.detach(), k),
            "The value is right, but the router could not be trained with it. Counts have no "
            "gradient, so it must flow through the mean probability: no detach() there.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _overflowing,
            "exp overflows above about 88 (float32) and is 0 below about −104, and the "
            "probabilities become nan. Use torch.softmax.",
        ),
        Misconception(
            "softmax over the tokens",
            _over_tokens,
            "Your probabilities sum to 1 over the tokens. The router distributes each token over "
            "the experts: softmax along the last axis.",
        ),
        Misconception(
            "the probabilities detached",
            _constant_probability,
            "The value is right, but the gradient at the logits is 0: the probabilities were "
            "detached. They are the factor through which it must flow.",
        ),
        Misconception(
            "more than k choices in a tie",
            _all_in_a_tie,
            "Comparing with the k-th largest value keeps all that are equal to it. Count the "
            "indices that topk returns: k for each token.",
        ),
    ),
    alternatives=(
        Alternative("expert by expert", _balance_by_loop),
        Alternative("as the hints have it", _balance_by_bincount),
        Alternative("by a mask of choices", _balance_by_mask),
    ),
    hints=(
        "p = softmax over the experts; its mean over the tokens is one factor, p.mean(0).",
        "chosen = p.topk(k).indices; torch.bincount(chosen.flatten(), minlength=E) counts the "
        "choices of each expert. Divide by the number of tokens.",
        "E * (share * p.mean(0)).sum()",
    ),
)
