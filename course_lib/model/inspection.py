"""Looking inside a model: its stream, its heads, and the loss without them.

All blocks only add to the stream. So the stream can be read between any two blocks with the model's
own last norm and head (the logit lens), it is the sum of what each part added, and a part can be
removed to measure what it contributes (ablation).

    stream[0] = embedding,   stream[i + 1] = stream[i] + attention_i + mlp_i
    logit_lens[i] = head(last_norm(stream[i]))
    effect of a part = loss without it - loss with it

Taught in:        transformer
Paper:            nostalgebraist 2020, "interpreting GPT: the logit lens"; Elhage et al. 2021, "A
                  mathematical framework for transformer circuits"; Michel et al. 2019,
                  arXiv:1905.10650 (heads that can be removed)
Checked against:  hidden states of transformers, weights set to zero by hand
Shapes:           L layers, P = L + 1 places between them, B batch, T tokens, H heads, C model
                  width, V vocabulary
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.attention import silence_head
from course_lib.model.decoder import DecoderLM
from course_lib.softmax import surprises

PARTS = ("attention", "mlp")
_NAMES = {"attention": ("self_attn", "attn"), "mlp": ("mlp",)}


def part_of(model: DecoderLM, layer: int, part: str) -> nn.Module:
    """Return the attention or the MLP of one layer, whatever its name in the family."""
    if part not in PARTS:
        raise ValueError(f"a layer has the parts {PARTS}; got {part!r}. Name one of them.")
    _require("layer", layer, len(model.blocks))
    block = model.blocks[layer]
    return next(getattr(block, name) for name in _NAMES[part] if hasattr(block, name))


@torch.no_grad()
def attention_maps(model: DecoderLM, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L B H T T"]:
    """Return the attention weights of every head of every layer."""
    return torch.stack(model(ids, return_weights=True).attentions)


@torch.no_grad()
def stream_parts(model: DecoderLM, ids: Int[Tensor, "B T"]) -> Float[Tensor, "parts B T C"]:
    """Return what was added to the stream: the embedding, then attention and MLP of each layer.

    There are 2 L + 1 parts, and their sum is the stream after the last block.
    """
    layers = range(len(model.blocks))
    watched = [part_of(model, layer, part) for layer in layers for part in PARTS]
    with _answers([model.blocks[0], *watched]) as answers:
        model(ids)
    embedding = answers[0].given
    return torch.stack([embedding, *(answer.first for answer in answers[1:])])


@torch.no_grad()
def residual_stream(model: DecoderLM, ids: Int[Tensor, "B T"]) -> Float[Tensor, "P B T C"]:
    """Return the stream before the first block, between the blocks, and after the last one."""
    with _answers(list(model.blocks)) as answers:
        model(ids)
    return torch.stack([answers[0].given, *(answer.first for answer in answers)])


def residual_norms(model: DecoderLM, ids: Int[Tensor, "B T"]) -> Float[Tensor, "P B T"]:
    """Return the length of each token's vector at each place of the stream."""
    return residual_stream(model, ids).norm(dim=-1)


@torch.no_grad()
def logit_lens(model: DecoderLM, ids: Int[Tensor, "B T"]) -> Float[Tensor, "P B T V"]:
    """Return the logits that the model would give if it ended at each place of the stream.

    The last place holds the model's own logits.
    """
    return lens_of(model, residual_stream(model, ids))


@torch.no_grad()
def lens_of(model: DecoderLM, stream: Float[Tensor, "P B T C"]) -> Float[Tensor, "P B T V"]:
    """Return the logit lens of a stream that is known already, or of a part of it."""
    return torch.stack([model.lm_head(model.last_norm(x)) for x in stream])


@torch.no_grad()
def token_losses(model: DecoderLM, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B last"]:
    """Return -log p of each token given those before it, in nats: one fewer than there are tokens.

    The first column belongs to the second token, since nothing comes before the first.
    """
    if ids.shape[1] < 2:
        raise ValueError(
            "a token is predicted from those before it, so two are needed; "
            f"got {ids.shape[1]}. Pass a longer text."
        )
    return surprises(model(ids).logits[:, :-1].float(), ids[:, 1:])


@torch.no_grad()
def losses_from(
    model: DecoderLM, layer: int, stream: Float[Tensor, "B T C"], ids: Int[Tensor, "B T"]
) -> Float[Tensor, "B last"]:
    """Return `token_losses`, given the stream before a layer: those before it are not computed."""
    _require("layer", layer, len(model.blocks))
    rest = _sharing_weights(model)
    for before in range(layer):
        rest.blocks[before] = _Passed()
    return surprises(rest(ids, embedded=stream).logits[:, :-1].float(), ids[:, 1:])


def without_head(
    model: DecoderLM, layer: int, head: int, baseline: Float[Tensor, " D"] | None = None
) -> DecoderLM:
    """Return a model in which this head adds nothing to the stream.

    With `baseline` that constant takes the place of what it reads. The result shares its weights
    with `model`, which stays as it is. Calls may be nested.
    """
    ablated = _sharing_weights(model)
    attention = part_of(ablated, layer, "attention")
    output = next(getattr(attention, n) for n in ("o_proj", "c_proj") if hasattr(attention, n))
    silence_head(output, head, model.config.num_attention_heads, baseline)
    return ablated


def head_contributions(
    heads: Float[Tensor, "B H T D"], output: Float[Tensor, "C width"]
) -> Float[Tensor, "H B T C"]:
    """Return what each head alone adds to the stream; the sum is what attention adds.

    `heads` are the outputs of the heads, `output` the weight of the output projection. Its columns
    belong to the heads in their order, D to each.
    """
    count, head_dim = heads.shape[1], heads.shape[3]
    if output.shape[1] != count * head_dim:
        raise ValueError(
            f"the output projection needs a column for each of {count} x {head_dim} numbers; got "
            f"a weight of shape {tuple(output.shape)}. Weights are (out, in); transpose GPT-2's."
        )
    columns = output.unflatten(1, (count, head_dim))  # (C, H, D)
    return torch.einsum("bhtd,chd->hbtc", heads, columns)


def without_layer(
    model: DecoderLM, layer: int, parts: tuple[str, ...] = ("attention", "mlp")
) -> DecoderLM:
    """Return a model in which this layer, or only one part of it, adds nothing to the stream.

    It shares its weights with `model`, which stays as it is. Calls may be nested.
    """
    ablated = _sharing_weights(model)
    for part in parts:
        part_of(ablated, layer, part).register_forward_hook(_nothing)
    return ablated


def loss_without_each_head(
    model: DecoderLM,
    ids: Int[Tensor, "B T"],
    counted: Bool[Tensor, "B last"] | None = None,
    baselines: Float[Tensor, "L H D"] | None = None,
) -> Float[Tensor, "L H"]:
    """Return the mean loss with each head removed alone.

    `counted` chooses among the numbers of `token_losses`; without it all of them count. With
    `baselines` a constant takes the place of what each head reads, as in `without_head`.
    """
    layers, heads = range(len(model.blocks)), range(model.config.num_attention_heads)
    stream = residual_stream(model, ids)  # a head changes nothing before its own layer

    def loss(layer: int, head: int) -> Tensor:
        baseline = None if baselines is None else baselines[layer, head]
        ablated = without_head(model, layer, head, baseline)
        return _mean(losses_from(ablated, layer, stream[layer], ids), counted)

    return torch.stack([torch.stack([loss(layer, head) for head in heads]) for layer in layers])


def mean_loss(
    model: DecoderLM, ids: Int[Tensor, "B T"], counted: Bool[Tensor, "B last"] | None = None
) -> Float[Tensor, ""]:
    """Return the mean of `token_losses`, of all or of the counted ones."""
    return _mean(token_losses(model, ids), counted)


def _mean(losses: Tensor, counted: Tensor | None) -> Tensor:
    return losses.mean() if counted is None else losses[counted].mean()


def _nothing(_: nn.Module, given: Any, answer: Any) -> Any:
    """Replace what a part adds by zeros; the attention weights beside it stay."""
    if isinstance(answer, tuple):
        return (torch.zeros_like(answer[0]), *answer[1:])
    return torch.zeros_like(answer)


def _sharing_weights(model: DecoderLM) -> DecoderLM:
    """Return a copy of all modules on the same tensors."""
    kept: dict[int, Any] = {id(weight): weight for weight in model.parameters()}
    return copy.deepcopy(model, kept)


class _Passed(nn.Module):
    """A block that has been computed already: the stream goes on as it comes."""

    def forward(self, x: Tensor, *_: Any) -> tuple[Tensor, None]:
        return x, None


class _Answer:
    """The first input of one module, and the first value that it returned."""

    given: Tensor
    first: Tensor


@contextmanager
def _answers(modules: list[nn.Module]) -> Iterator[list[_Answer]]:
    """Record the inputs and outputs of the modules, in the order of the list."""
    answers = [_Answer() for _ in modules]

    def note(answer: _Answer) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_: nn.Module, given: Any, returned: Any) -> None:
            answer.given = given[0]
            answer.first = returned[0] if isinstance(returned, tuple) else returned

        return keep

    pairs = zip(modules, answers, strict=True)
    hooks = [module.register_forward_hook(note(answer)) for module, answer in pairs]
    try:
        yield answers
    finally:
        for hook in hooks:
            hook.remove()


def _require(what: str, number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ValueError(
            f"{what} must lie in 0 .. {count - 1}, counted from the first; got {number}. "
            f"This model has {count}."
        )
