"""The exercise on the training loop: compute a gradient, take a step, clear the gradient."""

import torch

from course_lib.chapters.training import answers
from course_lib.chapters.training.exercises.generators import descent_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _batches(*sizes, features=3):
    rows = uneven(sum(sizes), features + 1)
    parts = rows.split(sizes)
    return [(part[:, :-1].clone(), part[:, -1].clone()) for part in parts]


def _error(x, y, weight):
    return x @ weight - y


def _descended(weight, batches, rate, gradient):
    """Take one step per batch with the gradient written as a formula."""
    weight = weight.double()
    for x, y in batches:
        weight = weight - rate * gradient(x.double(), y.double(), weight)
    return weight.float()


def _of_mean(x, y, weight):
    return 2 * x.mT @ _error(x, y, weight) / len(y)


def _not_zeroed(weight, batches, rate):
    total = torch.zeros_like(weight)
    for x, y in batches:
        total = total + _of_mean(x, y, weight)
        weight = weight - rate * total
    return weight


def _made_anew(weight, batches, rate):
    weight = weight.clone().requires_grad_()
    for place, (x, y) in enumerate(batches):
        if place:
            raise TypeError("the .grad of a tensor that is not a leaf is None")
        weight = weight - rate * _of_mean(x, y, weight)
    return weight


def _by_optimizer(weight, batches, rate):
    leaf = weight.clone().requires_grad_()
    steps = torch.optim.SGD([leaf], lr=rate)
    for x, y in batches:
        steps.zero_grad()
        _error(x, y, leaf).square().mean().backward()
        steps.step()
    return leaf.detach()


def _all_at_the_start(weight, batches, rate):
    return weight - rate * sum(_of_mean(x, y, weight) for x, y in batches)


def _by_autograd(weight, batches, rate):
    for x, y in batches:
        leaf = weight.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(_error(x, y, leaf).square().mean(), leaf)
        weight = weight - rate * gradient
    return weight


def _by_formula(weight, batches, rate):
    for x, y in batches:
        weight = weight - rate * _of_mean(x, y, weight)
    return weight


DESCEND = Exercise(
    id="training.descend",
    title="Gradient descent",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the weights (C,) after one step of gradient descent for each batch (x, y), in "
        "order. A prediction is x @ weight, the loss of a batch is its mean squared error, and "
        "backward() computes the gradient. Leave the given weights unchanged."
    ),
    solution=answers.descend,
    reference=lambda weight, batches, rate: _descended(weight, batches, rate, _of_mean),
    generator=descent_inputs,
    probes=(
        Probe(
            "one example",
            lambda: call(
                torch.tensor([2.0]), [(torch.tensor([[3.0]]), torch.tensor([1.0]))], rate=0.1
            ),
            "The error is 5, the gradient 2 · 5 · 3 = 30, and the weight goes from 2 to −1.",
        ),
        Probe(
            "one batch",
            lambda: call(uneven(3), _batches(4), rate=0.1),
            "The loss is the mean over the rows of the batch.",
        ),
        Probe(
            "two batches",
            lambda: call(uneven(3), _batches(4, 4), rate=0.1),
            "The second gradient is computed at the new weights, from its own batch only.",
        ),
        Probe(
            "three batches of different size",
            lambda: call(uneven(3), _batches(5, 2, 4), rate=0.05),
            "One step per batch, whatever its size.",
        ),
    ),
    misconceptions=(
        Misconception(
            "gradients not cleared",
            _not_zeroed,
            "backward() adds to .grad. Without weight.grad = None (or optimizer.zero_grad()) the "
            "second step uses the first batch's gradient again, and so on: the steps grow.",
        ),
        Misconception(
            "a new tensor at each step",
            _made_anew,
            "weight = weight - rate * weight.grad creates a new tensor that is not a leaf. "
            "backward() fills .grad for leaves only, so it is None at the second batch. Change the "
            "weight in place, under torch.no_grad(): weight -= rate * weight.grad.",
        ),
        Misconception(
            "the factor 2 left out",
            lambda w, b, rate: _descended(w, b, rate / 2, _of_mean),
            "Your steps are half as long: the derivative of a square has a factor of 2.",
        ),
        Misconception(
            "uphill",
            lambda w, b, rate: _descended(w, b, -rate, _of_mean),
            "The gradient points in the direction in which the loss grows. Subtract it.",
        ),
        Misconception(
            "cleared before the step",
            lambda weight, batches, rate: weight.clone(),
            "The weights did not move: the gradient had been cleared before the step. The order is "
            "backward, step, clear (or clear, backward, step).",
        ),
        Misconception(
            "the sum over the batch",
            lambda w, b, rate: _descended(
                w, b, rate, lambda x, y, weight: 2 * x.mT @ _error(x, y, weight)
            ),
            "You used the sum of the squared errors, so a larger batch takes larger steps. The "
            "loss is their mean.",
        ),
        Misconception(
            "all gradients at the start",
            _all_at_the_start,
            "You took one step with the gradients of all batches at the first weights. Take one "
            "step per batch, each from the weights that the previous one left.",
        ),
        Misconception(
            "only the last batch",
            lambda w, b, rate: _descended(w, b[-1:], rate, _of_mean),
            "Only the last batch changed the weights. Start each step from the weights of the "
            "previous one.",
        ),
        Misconception(
            "divided by the number of batches",
            lambda weight, batches, rate: _descended(
                weight, batches, rate / len(batches), _of_mean
            ),
            "Each batch is a full step. Only the rows within a batch are averaged.",
        ),
    ),
    alternatives=(
        Alternative("a new leaf for each step", _by_autograd),
        Alternative("torch.optim.SGD", _by_optimizer),
        Alternative("a formula in float32", _by_formula),
    ),
    hints=(
        "Start with weight = weight.clone().requires_grad_(), so that the given tensor is "
        "unchanged.",
        "In the loop: loss = (x @ weight - y).square().mean(), then loss.backward().",
        "Autograd must not record the step: with torch.no_grad(): weight -= rate * weight.grad. "
        "Then weight.grad = None. At the end return weight.detach().",
    ),
)
