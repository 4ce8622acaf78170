"""The course model with some heads ablated: its loss when a constant replaces their output.

    zero ablation   the constant is zero
    mean ablation   the constant is the head's mean output over the texts that are measured

Taught in:        attention
Paper:            Michel et al. 2019, arXiv:1905.10650
Checked against:  hooks written by hand, `course_model_probes.loss`
Shapes:           L layers, H heads, D head width
"""

from collections.abc import Sequence
from functools import cache

from jaxtyping import Float
from torch import Tensor

from course_lib.attention import mean_head_outputs
from course_lib.device import one_thread
from course_lib.model.inspection import loss_without_each_head, mean_loss, part_of, without_head
from course_lib.study.exhibits.course_model_probes import (
    model_on_device,
    texts_on_device,
)

ABLATIONS = ("zero", "mean")


@cache
def head_means(kind: str = "repeats") -> Float[Tensor, "L H D"]:
    """Return what each head reads, averaged over all tokens of a kind of text."""
    model = model_on_device()
    layers = [part_of(model, layer, "attention") for layer in range(len(model.blocks))]
    outputs = [layer.get_submodule("o_proj") for layer in layers]
    heads = model.config.num_attention_heads
    with one_thread():
        means = mean_head_outputs(outputs, heads, lambda: model(texts_on_device(kind).ids))
    return means.cpu()


def loss(kind: str, silent: Sequence[Sequence[int]] = (), ablation: str = "zero") -> float:
    """Return the mean loss in nats on a kind of text, with the heads (layer, head) ablated."""
    _check(ablation)
    model, texts = model_on_device(), texts_on_device(kind)
    for layer, head in silent:
        mean = head_means(kind)[layer, head].to(texts.ids.device)
        baseline = mean if ablation == "mean" else None
        model = without_head(model, layer, head, baseline)
    with one_thread():
        return mean_loss(model, *texts).item()


@cache
def rises(kind: str = "repeats", ablation: str = "zero") -> Float[Tensor, "L H"]:
    """Return the rise of the loss, in nats, without each head."""
    _check(ablation)
    texts = texts_on_device(kind)
    means = head_means(kind).to(texts.ids.device) if ablation == "mean" else None
    with one_thread():
        losses = loss_without_each_head(model_on_device(), *texts, means)
    return losses.cpu() - loss(kind)


def _check(ablation: str) -> None:
    if ablation not in ABLATIONS:
        raise ValueError(f"the ablation must be one of {', '.join(ABLATIONS)}; got {ablation!r}.")
