"""Mixture of experts: many feed-forward layers, of which each token uses a few.

A router scores all experts for each token, the best k run, and their outputs are summed with the
router's weights. The model holds the parameters of all experts and computes k of them per token.

    p = softmax(x @ router.T);  chosen = the k largest of p;  g = p[chosen] / sum(p[chosen])
    y = sum over chosen e of g[e] * expert_e(x)
    balancing loss = E * sum_e (choices of e / tokens) * mean(p[e])         k when all are equal

Taught in:        mlp
Paper:            Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961;
                  Dai et al. 2024, arXiv:2401.06066 (shared experts)
Checked against:  transformers' Qwen3MoeSparseMoeBlock, Qwen2MoeSparseMoeBlock and their loss
Shapes:           N tokens, E experts, k choices, C model width, F width of one expert
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.embeddings import draw_
from course_lib.mlp import Activation, GatedFFN, activation_named, silu
from course_lib.softmax import stable_softmax


def route(
    logits: Float[Tensor, "N E"], k: int, normalise: bool = True
) -> tuple[Float[Tensor, "N k"], Int[Tensor, "N k"]]:
    """Return the k experts of each token, best first, and the weight (gate) each of them gets.

    With `normalise` the k gates of a token sum to 1; without it, to their total probability.
    """
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(
            f"k must lie between 1 and the number of experts, {logits.shape[1]}; got {k}. "
            "Pass the config's num_experts_per_tok."
        )
    gates, chosen = stable_softmax(logits.float(), dim=-1).topk(k, dim=-1)  # (N, k) each
    if normalise:
        gates = gates / gates.sum(-1, keepdim=True)
    return gates.to(logits.dtype), chosen


def load_balancing_loss(
    logits: Float[Tensor, "N E"], k: int, mask: Bool[Tensor, " N"] | None = None
) -> Float[Tensor, ""]:
    """Return E * sum over experts of (choices per token) * (mean probability).

    The number of choices has no gradient; the probability has one, and is lowered most where the
    number is large. Padding (`mask` False) does not count. For several layers, concatenate their
    logits along the tokens, and repeat the mask accordingly.
    """
    if mask is not None:
        logits = logits[mask]
    num_experts = logits.shape[1]
    _, chosen = route(logits, k)
    share = expert_load(chosen, num_experts) * k  # choices of e per token
    probability = stable_softmax(logits.float(), dim=-1).mean(0)  # (E,)
    return num_experts * (share * probability).sum()


def expert_load(chosen: Int[Tensor, "N k"], num_experts: int) -> Float[Tensor, " E"]:
    """Return the fraction of all choices that each expert received; 1/E is perfect balance."""
    return torch.bincount(chosen.flatten(), minlength=num_experts).float() / chosen.numel()


class Dispatch(NamedTuple):
    """Where each pair (token, choice) goes, so that every expert finds its tokens side by side.

    Pair p is choice p // N of token p % N: in the queue of an expert all first choices come before
    all second choices, and the last in the queue are dropped if it is too long.
    """

    order: Int[Tensor, " kept"]  # the pair at each place of the list sorted by expert
    place: Int[Tensor, " pairs"]  # the inverse: the place of each pair
    counts: Int[Tensor, " E"]  # how many pairs each expert keeps
    dropped: Bool[Tensor, "N k"]  # True where the expert was full


def dispatch(chosen: Int[Tensor, "N k"], num_experts: int, capacity: int | None = None) -> Dispatch:
    """Sort all pairs by expert; an expert with more than `capacity` pairs drops its last ones."""
    if capacity is not None and capacity < 1:
        raise ValueError(
            f"capacity must be at least 1 pair per expert, or None for no limit; got {capacity}. "
            "A common choice is 1.25 * tokens * k / experts, rounded up."
        )
    experts, order = chosen.T.flatten().sort(stable=True)  # (k * N,) each
    counts = torch.bincount(experts, minlength=num_experts)
    place = torch.zeros_like(order)  # a dropped pair points to the first row, and is masked
    ranks = torch.arange(len(order), device=order.device)
    dropped = torch.zeros_like(order, dtype=torch.bool)
    if capacity is not None:
        first = counts.cumsum(0) - counts  # the start of each expert's queue
        late = ranks - first[experts] >= capacity
        dropped[order] = late
        order, counts = order[~late], counts.clamp(max=capacity)
    place[order] = ranks[: len(order)]
    return Dispatch(order, place, counts, dropped.view(chosen.T.shape).T)


def grouped_linear(
    x: Float[Tensor, "kept inputs"],
    weights: Float[Tensor, "E outputs inputs"],
    counts: Int[Tensor, " E"],
) -> Float[Tensor, "kept outputs"]:
    """Return the first counts[0] rows times the first matrix, the next times the second, ..."""
    if _grouped_kernel_pays(x, weights):
        return torch.nn.functional.grouped_mm(x, weights.mT, offs=counts.cumsum(0).int())
    sizes = counts.tolist()
    used = [e for e, size in enumerate(sizes) if size] or [0]
    # unbind has one gradient for all matrices; weights[e] would make a full-size one for each
    matrices = weights.unbind() if torch.is_grad_enabled() else weights
    queues = x.split([sizes[e] for e in used])
    return torch.cat([rows @ matrices[e].mT for rows, e in zip(queues, used, strict=True)])


def _grouped_kernel_pays(x: Tensor, weights: Tensor) -> bool:
    # PyTorch has had one since 2.10; it needs rows of whole 16-byte units and no float64. On a CPU
    # it visits idle experts too, which is slow if a single token is decoded.
    if not hasattr(torch.nn.functional, "grouped_mm") or x.dtype != weights.dtype:
        return False
    if any(width * x.element_size() % 16 for width in (x.shape[-1], weights.shape[1])):
        return False
    if x.device.type == "cpu":
        return x.dtype != torch.float64 and 8 * len(x) > len(weights)
    return x.dtype == torch.bfloat16


def run_experts(
    x: Float[Tensor, "N C"],
    gates: Float[Tensor, "N k"],
    groups: Dispatch,
    gate_up: Float[Tensor, "E two_F C"],
    down: Float[Tensor, "E C F"],
    activation: Activation = silu,
) -> Float[Tensor, "N C"]:
    """Return the gated sum of the chosen experts, each of them run once on all of its tokens.

    An expert is a `gated_ffn` whose gate and up matrices are concatenated in `gate_up`. The gate of
    the router is applied before `down`, where rows are narrow; the result is the same.
    """
    tokens, k = gates.shape
    queues = x.index_select(0, groups.order % tokens)  # (kept, C), sorted by expert
    gate, up = grouped_linear(queues, gate_up, groups.counts).chunk(2, dim=-1)  # (kept, F) each
    hidden = activation(gate) * up * gates.T.flatten()[groups.order, None]
    outputs = grouped_linear(hidden, down, groups.counts)  # (kept, C)
    pairs = outputs.index_select(0, groups.place).view(k, *x.shape)  # (k, N, C)
    if len(groups.order) < len(groups.place):
        pairs = pairs.masked_fill(groups.dropped.T[..., None], 0)
    return pairs.sum(0)


class Routing(NamedTuple):
    """The decisions of one layer's router: for the balancing loss and for figures."""

    logits: Float[Tensor, "N E"]
    gates: Float[Tensor, "N k"]
    chosen: Int[Tensor, "N k"]
    dropped: Bool[Tensor, "N k"]


class Experts(nn.Module):
    """`run_experts` with learned matrices: stacked in memory, one by one in files.

    In a state dict expert 3 is `3.gate_proj.weight`, `3.up_proj.weight`, `3.down_proj.weight`, as
    in checkpoints. Loading takes these names, or those of the stacked tensors. One expert is not a
    separate layer: hooks and replacements apply to this module as a whole, LoRA to its two
    parameters (`target_parameters` in peft).
    """

    def __init__(self, num_experts: int, width: int, hidden: int, hidden_act: str = "silu") -> None:
        super().__init__()
        self.activation = activation_named(hidden_act)
        self.gate_up_proj = nn.Parameter(draw_(torch.empty(num_experts, 2 * hidden, width)))
        self.down_proj = nn.Parameter(draw_(torch.empty(num_experts, width, hidden)))
        self.register_state_dict_post_hook(_unstack)
        self.register_load_state_dict_pre_hook(_stack)

    def forward(
        self, x: Float[Tensor, "N C"], gates: Float[Tensor, "N k"], groups: Dispatch
    ) -> Float[Tensor, "N C"]:
        """Return the gated sum of the chosen experts for each token."""
        matrices = self.gate_up_proj, self.down_proj
        return run_experts(x, gates, groups, *matrices, self.activation)

    def slices(self, gate_up: Tensor, down: Tensor) -> dict[str, Tensor]:
        """Return the part of the stacked tensors for each name in a file."""
        parts = {}
        for e, (wide, narrow) in enumerate(zip(gate_up.unbind(), down.unbind(), strict=True)):
            gate, up = wide.chunk(2)
            parts[f"{e}.gate_proj.weight"] = gate
            parts[f"{e}.up_proj.weight"] = up
            parts[f"{e}.down_proj.weight"] = narrow
        return parts


def _unstack(
    experts: Experts, state_dict: dict[str, Tensor], prefix: str, metadata: object
) -> None:
    gate_up = state_dict.pop(prefix + "gate_up_proj")
    down = state_dict.pop(prefix + "down_proj")
    state_dict.update({prefix + n: part for n, part in experts.slices(gate_up, down).items()})


def _stack(
    experts: Experts,
    state_dict: dict[str, Tensor],
    prefix: str,
    metadata: object,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    # A layer with a missing or misshapen tensor keeps its weights; the report names the tensor.
    gate_up: Tensor = experts.gate_up_proj
    down: Tensor = experts.down_proj
    if prefix + "gate_up_proj" not in state_dict:
        slots = experts.slices(gate_up, down)
        found = {n: state_dict.pop(prefix + n) for n in slots if prefix + n in state_dict}
        gaps = [prefix + n for n in slots if n not in found]
        misfits = [
            f"size mismatch for {prefix + n}: the file has {tuple(part.shape)}, "
            f"the model {tuple(slots[n].shape)}."
            for n, part in found.items()
            if part.shape != slots[n].shape
        ]
        missing.extend(gaps)
        errors.extend(misfits)
        if not gaps and not misfits:
            gate_up, down = (  # in the model's number type, so each part is copied once
                torch.empty(old.shape, dtype=old.dtype, device=found["0.up_proj.weight"].device)
                for old in (gate_up, down)
            )
            for name, slot in experts.slices(gate_up, down).items():
                slot.copy_(found[name])
        state_dict.update({prefix + "gate_up_proj": gate_up, prefix + "down_proj": down})


class SparseMoE(nn.Module):
    """A feed-forward layer of many experts, named as in Qwen3-MoE and Qwen2-MoE checkpoints.

    `shared_hidden` adds an expert that every token uses, with its own sigmoid gate (Qwen2-MoE).
    `capacity_factor` limits each expert to this multiple of its fair share of the pairs.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        num_experts: int,
        k: int,
        normalise: bool = True,
        shared_hidden: int | None = None,
        capacity_factor: float | None = None,
        hidden_act: str = "silu",
    ) -> None:
        super().__init__()
        self.k, self.normalise, self.capacity_factor = k, normalise, capacity_factor
        self.gate = nn.Linear(width, num_experts, bias=False)
        self.experts = Experts(num_experts, width, hidden, hidden_act)
        self.shared_expert = None
        if shared_hidden is not None:
            self.shared_expert = GatedFFN(width, shared_hidden, hidden_act)
            self.shared_expert_gate = nn.Linear(width, 1, bias=False)

    def forward(self, x: Float[Tensor, "*lead C"]) -> Float[Tensor, "*lead C"]:
        """Apply each vector's experts to it."""
        return self.routed(x)[0]

    def routed(self, x: Float[Tensor, "*lead C"]) -> tuple[Float[Tensor, "*lead C"], Routing]:
        """Do what `forward` does, and also return the routing."""
        tokens = x.flatten(0, -2)  # (N, C)
        logits = self.gate(tokens)  # (N, E)
        gates, chosen = route(logits, self.k, self.normalise)
        groups = dispatch(chosen, logits.shape[1], self._capacity(chosen))
        y = self.experts(tokens, gates, groups)
        if self.shared_expert is not None:
            y = y + torch.sigmoid(self.shared_expert_gate(tokens)) * self.shared_expert(tokens)
        return y.view(x.shape), Routing(logits, gates, chosen, groups.dropped)

    def _capacity(self, chosen: Tensor) -> int | None:
        if self.capacity_factor is None:
            return None
        return math.ceil(self.capacity_factor * chosen.numel() / self.gate.out_features)


class ExpertParameters(NamedTuple):
    """Parameters of a mixture: in memory, and active for one token."""

    total: int
    active: int


def expert_parameters(
    width: int, hidden: int, num_experts: int, k: int, shared_hidden: int | None = None
) -> ExpertParameters:
    """Return the parameters of one `SparseMoE`; router and shared expert count in both."""
    always = num_experts * width  # the router
    if shared_hidden is not None:
        always += 3 * width * shared_hidden + width
    expert = 3 * width * hidden
    return ExpertParameters(always + num_experts * expert, always + k * expert)
