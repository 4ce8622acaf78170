"""The exercise on the contrastive loss."""

import math

import torch

from course_lib import retrieval
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _one_by_one(questions, passages, temperature):
    total = 0.0
    for i, question in enumerate(questions):
        scores = [(question * passage).sum() / temperature for passage in passages]
        largest = max(score.item() for score in scores)
        rest = sum(torch.exp(score - largest) for score in scores)
        total = total + torch.log(rest) + largest - scores[i]
    return total / len(questions)


def _scores(questions, passages, temperature):
    return questions @ passages.T / temperature


def _by_cross_entropy(questions, passages, temperature):
    own = torch.arange(len(questions), device=questions.device)
    return torch.nn.functional.cross_entropy(_scores(questions, passages, temperature), own)


def _by_log_softmax(questions, passages, temperature):
    return -_scores(questions, passages, temperature).log_softmax(1).diagonal().mean()


def _by_parts(questions, passages, temperature):
    scores = torch.einsum("bc,nc->bn", questions, passages) / temperature
    own = (questions * passages[: len(questions)]).sum(1) / temperature
    return torch.logsumexp(scores, 1).mean() - own.mean()


def _without_own(questions, passages, temperature):
    scores = _scores(questions, passages, temperature)
    own = torch.eye(*scores.shape, dtype=torch.bool)
    return (scores.masked_fill(own, -torch.inf).logsumexp(1) - scores.diagonal()).mean()


def _batch_only(questions, passages, temperature):
    return _by_cross_entropy(questions, passages[: len(questions)], temperature)


def _columns(questions, passages, temperature):
    return -_scores(questions, passages, temperature).log_softmax(0).diagonal().mean()


def _unstable(questions, passages, temperature):
    scores = _scores(questions, passages, temperature).exp()
    return -(scores.diagonal() / scores.sum(1)).log().mean()


def _probe(B, N, C, temperature, scale=1.0):
    def inputs():
        rng = torch.Generator().manual_seed(5)
        questions, passages = (scale * torch.randn(n, C, generator=rng) for n in (B, N))
        return call(questions, passages, temperature)

    return inputs


INFO_NCE = Exercise(
    id="retrieval.info_nce",
    title="InfoNCE",
    minutes=10,
    difficulty=2,
    statement=(
        "`questions` is (B, C), `passages` is (N, C) with N ≥ B: passage i answers question i, the "
        "passages from B on answer none. Scores are dot products divided by `temperature`. Return "
        "the mean over the questions of −log of the softmax, over all N passages, at the right "
        "one: a tensor of one number. Scores may be in the hundreds."
    ),
    solution=retrieval.info_nce,
    reference=_one_by_one,
    generator=generators.info_nce,
    tolerance=4.0,
    probes=(
        Probe(
            "by hand",
            lambda: call(torch.eye(2), torch.eye(2), 1.0),
            f"Each is log(1 + 1/e) = {math.log(1 + math.exp(-1)):.3f}.",
        ),
        Probe("one pair", _probe(1, 1, 3, 1.0), "Without negatives the loss is 0."),
        Probe("a temperature", _probe(3, 3, 4, 0.2), "Scores are divided by it."),
        Probe("hard negatives", _probe(2, 5, 3, 1.0), "All five passages are in each sum."),
        Probe("large scores", _probe(3, 4, 6, 0.01, 3.0), "exp(1000) is inf: use logsumexp."),
        Probe("the gradient", _probe(3, 4, 2, 0.5), "Both sides learn.", gradient=True),
    ),
    misconceptions=(
        Misconception(
            "temperature multiplied",
            lambda questions, passages, temperature: _by_cross_entropy(
                questions, passages, 1 / temperature
            ),
            "A low temperature makes the softmax sharper: divide the scores by it.",
        ),
        Misconception(
            "no temperature",
            lambda questions, passages, temperature: _by_cross_entropy(questions, passages, 1.0),
            "`temperature` is not used. Divide the scores by it.",
        ),
        Misconception(
            "hard negatives left out",
            _batch_only,
            "Only the first B passages are in your sum. The others are negatives too.",
        ),
        Misconception(
            "the wrong axis",
            _columns,
            "Your softmax runs over the questions. Each question chooses among passages: dim 1.",
        ),
        Misconception(
            "the right one left out of the sum",
            _without_own,
            "The sum under the fraction includes the right passage; otherwise it is no softmax.",
        ),
        Misconception(
            "a sum over the questions",
            lambda questions, passages, temperature: (
                len(questions) * _by_cross_entropy(questions, passages, temperature)
            ),
            "You add the questions up. Take the mean, so that the loss does not grow with B.",
        ),
        Misconception(
            "exp of large scores",
            _unstable,
            "exp overflows for scores of some hundreds, and inf / inf is nan. Use logsumexp, "
            "log_softmax or cross_entropy.",
        ),
        Misconception(
            "the sign",
            lambda questions, passages, temperature: (
                -_by_cross_entropy(questions, passages, temperature)
            ),
            "A loss is −log of the probability, and never negative.",
        ),
    ),
    alternatives=(
        Alternative("cross-entropy", _by_cross_entropy),
        Alternative("log_softmax", _by_log_softmax),
        Alternative("two means", _by_parts),
    ),
    hints=(
        "scores = questions @ passages.T / temperature, (B, N); the right ones are its diagonal.",
        "It is cross-entropy with the targets 0, 1, ..., B − 1.",
    ),
)
