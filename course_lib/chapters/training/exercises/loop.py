"""The exercise that assembles a training loop: parts, clipping, the schedule and the optimizer."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from course_lib.chapters.training import answers
from course_lib.chapters.training.exercises.run_inputs import given_run, training_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe
from course_lib.training import gradients, objective


def _whole_batch(model: Any, parts: Any) -> torch.Tensor:
    """Return the mean over every target of a batch, with the targets of all parts in one row."""
    found = []
    for ids, counted in parts:
        log_p = torch.log_softmax(model(ids).logits, -1)[:, :-1]
        found.append(-log_p.gather(-1, ids[:, 1:, None]).squeeze(-1)[counted[:, 1:]])
    return torch.cat(found).mean()


def _reference(model: Any, optimizer: Any, batches: Any, rates: Any, limit: float) -> Any:
    report, parameters = [], list(model.parameters())
    for parts, rate in zip(batches, rates, strict=True):
        loss = _whole_batch(model, parts)
        slopes = torch.autograd.grad(loss, parameters)
        norm = torch.cat([slope.flatten() for slope in slopes]).norm()
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope / max(1.0, (norm / limit).item())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        report.append((loss.item(), norm.item()))
    return report


def _mean(model: Any, ids: Any, counted: Any) -> torch.Tensor:
    return objective.next_token_loss(model(ids).logits, ids, counted)


def _targets(parts: Any) -> list[int]:
    return [int(counted[:, 1:].sum()) for _, counted in parts]


def _shares(parts: Any) -> list[float]:
    return [count / sum(_targets(parts)) for count in _targets(parts)]


def _clip(model: Any, limit: float) -> float:
    return gradients.clip_by_global_norm(model.parameters(), limit).item()


def _loop(
    model: Any,
    optimizer: Any,
    batches: Any,
    rates: Any,
    limit: float,
    *,
    shares: Any = _shares,
    clear: Any = lambda optimizer, step: optimizer.zero_grad(),
    clip: Any = _clip,
    loss_of: Any = _mean,
    reported: Any = sum,
    set_rate: Any = lambda group, rate: group.update(lr=rate),
    groups: slice = slice(None),
    late: bool = False,
) -> list[tuple[float, float]]:
    """Train; each keyword replaces one piece of a step."""
    report = []
    for step, (parts, rate) in enumerate(zip(batches, rates, strict=True)):
        clear(optimizer, step)
        losses = []
        for part, share in zip(parts, shares(parts), strict=True):
            loss = share * loss_of(model, *part)
            loss.backward()
            losses.append(loss.item())
        norm = clip(model, limit)
        if late:
            optimizer.step()
        for group in optimizer.param_groups[groups]:
            set_rate(group, rate)
        if not late:
            optimizer.step()
        report.append((reported(losses), norm))
    return report


def _marked_shares(parts: Any) -> list[float]:
    counts = [int(counted.sum()) for _, counted in parts]
    return [count / sum(counts) for count in counts]


def _measured_after(model: Any, limit: float) -> float:
    _clip(model, limit)
    return _only_measured(model, limit)


def _only_measured(model: Any, limit: float) -> float:
    return gradients.global_norm([p.grad for p in model.parameters()]).item()


def _each_tensor(model: Any, limit: float) -> float:
    norm = _only_measured(model, limit)
    for parameter in model.parameters():
        gradients.clip_by_global_norm(parameter, limit)
    return norm


def _step_for_each_part(
    model: Any, optimizer: Any, batches: Any, rates: Any, limit: float
) -> list[tuple[float, float]]:
    report = []
    for parts, rate in zip(batches, rates, strict=True):
        steps = [
            _loop(model, optimizer, [[part]], [rate], limit, shares=lambda _, s=share: [s])[0]
            for part, share in zip(parts, _shares(parts), strict=True)
        ]
        report.append((sum(loss for loss, _ in steps), steps[-1][1]))
    return report


def _only_the_last_part(
    model: Any, optimizer: Any, batches: Any, rates: Any, limit: float
) -> list[tuple[float, float]]:
    def cleared_each_time(model: Any, ids: Any, counted: Any) -> torch.Tensor:
        optimizer.zero_grad()
        return _mean(model, ids, counted)

    return _loop(model, optimizer, batches, rates, limit, loss_of=cleared_each_time)


def _everything_counts(model: Any, ids: Any, counted: Any) -> torch.Tensor:
    return objective.next_token_loss(model(ids).logits, ids)


def _by_torch(
    model: Any, optimizer: Any, batches: Any, rates: Any, limit: float
) -> list[tuple[float, float]]:
    """Sum the surprises of all parts, and divide their gradients by the number of targets."""
    report = []
    for parts, rate in zip(batches, rates, strict=True):
        total, targets = torch.zeros(()), sum(_targets(parts))
        for ids, counted in parts:
            labels = ids.masked_fill(~counted, -100)[:, 1:].flatten()
            logits = model(ids).logits[:, :-1].flatten(0, 1)
            total = total + F.cross_entropy(logits, labels, reduction="sum")
        model.zero_grad()
        (total / targets).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), limit)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        report.append((total.item() / targets, norm.item()))
    return report


def _cleared_at_the_end(
    model: Any, optimizer: Any, batches: Any, rates: Any, limit: float
) -> list[tuple[float, float]]:
    """Do what the hints say, with the gradients cleared after each step."""
    report = []
    for parts, rate in zip(batches, rates, strict=True):
        total = sum(int(counted[:, 1:].sum()) for _, counted in parts)
        losses = []
        for ids, counted in parts:
            mean = objective.next_token_loss(model(ids).logits, ids, counted)
            losses.append(mean * int(counted[:, 1:].sum()) / total)
            losses[-1].backward()
        norm = gradients.clip_by_global_norm(model.parameters(), limit)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        report.append((sum(loss.item() for loss in losses), norm.item()))
    return report


TRAIN = Exercise(
    id="training.train",
    title="A training loop",
    minutes=20,
    difficulty=3,
    statement=(
        "Take one step for each batch, and return a list with (loss, norm) of each step, two plain "
        "numbers. A batch is a list of parts (ids, counted), each (B, T), in which `counted` marks "
        "the prediction targets. The loss is the mean over all targets of the batch; the norm is "
        "the length of its gradient before it is clipped to `limit`. Step k uses rates[k] in every "
        "group of the optimizer. The optimizer and the model are changed in place; "
        "`model(ids).logits` has the shape (B, T, V)."
    ),
    solution=answers.train,
    reference=_reference,
    generator=training_inputs,
    probes=(
        Probe(
            "one step, one part",
            lambda: given_run([[(2, 4)]], [0.1], 100.0),
            "The loss and the norm before the first step: nothing is clipped, nothing has moved.",
        ),
        Probe(
            "two steps",
            lambda: given_run([[(2, 4)], [(3, 3)]], [0.1, 0.1], 100.0),
            "The second loss shows whether the first step moved the weights by the right amount.",
        ),
        Probe(
            "four steps, cleared in between",
            lambda: given_run([[(2, 5)]] * 4, [0.1, 0.2, 0.1, 0.05], 100.0, momentum=0.9),
            "Each step uses the gradients of its own batch, and its own rate.",
        ),
        Probe(
            "a rate of 0",
            lambda: given_run([[(2, 4)], [(2, 4)]], [0.0, 0.0], 100.0, seed=1),
            "The rate of the schedule replaces the one that the optimizer was made with.",
        ),
        Probe(
            "a long gradient",
            lambda: given_run([[(2, 4)], [(2, 4)], [(2, 4)]], [0.5, 0.5, 0.5], 0.1),
            "The gradient is clipped between backward and the step; the norm reported is the one "
            "before clipping.",
        ),
        Probe(
            "parts of different size",
            lambda: given_run(
                [[(1, 2), (3, 5)], [(2, 3), (1, 2), (1, 6)]], [0.2, 0.2], 100.0, seed=2
            ),
            "A part counts by its share of the batch's targets.",
        ),
        Probe(
            "padding in the parts",
            lambda: given_run([[(2, 5), (2, 5)]] * 2, [0.2, 0.2], 0.5, padded=0.6, seed=3),
            "The shares count targets, not tokens, and the first id is never a target.",
        ),
    ),
    misconceptions=(
        Misconception(
            "gradients not cleared",
            partial(_loop, clear=lambda optimizer, step: None),
            "backward() adds to the gradients of the step before. Call optimizer.zero_grad() once "
            "for each step, before its first backward() or after optimizer.step().",
        ),
        Misconception(
            "cleared for each part",
            _only_the_last_part,
            "You clear the gradients before each part, so the step sees the last part only. Clear "
            "them once for each step, outside the loop over the parts.",
        ),
        Misconception(
            "every part counts the same",
            partial(_loop, shares=lambda parts: [1 / len(parts)] * len(parts)),
            "A mean of means gives a target in a short part more weight. Multiply the loss of a "
            "part by its share of the targets, counted[:, 1:].sum() over the total.",
        ),
        Misconception(
            "the parts added up",
            partial(_loop, shares=lambda parts: [1.0] * len(parts)),
            "You add up the mean losses of the parts, so that three parts give three times the "
            "gradient. Multiply the loss of each part by its share of the targets.",
        ),
        Misconception(
            "shares of what is marked",
            partial(_loop, shares=_marked_shares),
            "The first id of a row may be marked, but it is never a target. Count counted[:, 1:].",
        ),
        Misconception(
            "padding counted",
            partial(_loop, loss_of=_everything_counts),
            "Your losses include the targets that `counted` excludes. Pass `counted` on to the "
            "loss.",
        ),
        Misconception(
            "not clipped before the step",
            partial(_loop, clip=_only_measured),
            "The step uses the full gradient: clip after the last backward() and before "
            "optimizer.step(). After the step it is too late.",
        ),
        Misconception(
            "each tensor clipped by itself",
            partial(_loop, clip=_each_tensor),
            "You clip each tensor by its own norm, which changes the direction of the step. Take "
            "one norm over all parameters: clip_by_global_norm(model.parameters(), limit).",
        ),
        Misconception(
            "the norm after clipping",
            partial(_loop, clip=_measured_after),
            "You report the norm after clipping, which never exceeds the limit and hides every "
            "spike. clip_by_global_norm returns the norm before.",
        ),
        Misconception(
            "the rates unused",
            partial(_loop, set_rate=lambda group, rate: None),
            "The optimizer keeps the rate that it was made with. Before each step set "
            'group["lr"] = rate for every group in optimizer.param_groups.',
        ),
        Misconception(
            "the rate set in the first group only",
            partial(_loop, groups=slice(1)),
            "You set the rate of optimizer.param_groups[0] only. An optimizer may have several "
            "groups, and the others keep the rate that they were made with: loop over all.",
        ),
        Misconception(
            "the rate set after the step",
            partial(_loop, late=True),
            "You set the rate after optimizer.step(), so each step uses the rate of the step "
            "before it. Set it first.",
        ),
        Misconception(
            "the rate multiplied in",
            partial(_loop, set_rate=lambda group, rate: group.update(lr=group["lr"] * rate)),
            "You multiply the old rate by the new one, so the rates shrink from step to step. "
            "`rates` holds the rates themselves.",
        ),
        Misconception(
            "the loss of the last part",
            partial(_loop, reported=lambda losses: losses[-1]),
            "You report the last part's share of the loss. Add up the shares of all parts.",
        ),
        Misconception(
            "a step for each part",
            _step_for_each_part,
            "You take a step after each part. The parts make up one batch: collect their "
            "gradients first, then take one step.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _cleared_at_the_end),
        Alternative("a sum over the whole batch", _by_torch),
        Alternative("in pieces", _loop),
    ),
    hints=(
        "The order of a step: clear the gradients, forward and backward for each part, clip, set "
        "the rate, optimizer.step().",
        "total = sum of counted[:, 1:].sum() over the parts. For each part: loss = "
        "next_token_loss(model(ids).logits, ids, counted) * its count / total, then "
        "loss.backward().",
        "norm = clip_by_global_norm(model.parameters(), limit) clips and returns the norm before. "
        'Then for group in optimizer.param_groups: group["lr"] = rate. Report '
        "(sum of the losses, norm.item()).",
    ),
)
