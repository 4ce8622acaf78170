"""Expert parallelism: each rank has some of the experts, and tokens travel to them.

Every rank routes its own tokens. An all-to-all sends each pair (token, choice) to the rank of its
expert, the experts run there, and a second all-to-all brings the results back.

    bytes sent by a rank = 2 * pairs * C * bytes of a number * (share of pairs that leave the rank)

Taught in:        parallel
Paper:            Lepikhin et al. 2020, arXiv:2006.16668 (GShard)
Checked against:  the layer on one process, with gradients
Shapes:           N own tokens, E experts, k choices, C model width
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.experts import Dispatch, SparseMoE, dispatch, route, run_experts
from course_lib.parallel.communicator import Communicator
from course_lib.parallel.differentiable import exchange_rows


class ExpertParallel(nn.Module):
    """A `SparseMoE` without shared expert and capacity, of which each rank has E / n experts."""

    def __init__(self, whole: SparseMoE, comm: Communicator) -> None:
        super().__init__()
        count = whole.gate.out_features
        if count % comm.size:
            raise ValueError(
                f"the number of experts must be a multiple of the number of ranks; got {count} and "
                f"{comm.size}."
            )
        if whole.shared_expert is not None or whole.capacity_factor is not None:
            raise ValueError("a shared expert or a capacity cannot be cut by experts; got one.")
        self.comm, self.k, self.normalise = comm, whole.k, whole.normalise
        self.gate, self.activation = whole.gate, whole.experts.activation
        stacks = (whole.experts.gate_up_proj, whole.experts.down_proj)
        own = (stack.detach().chunk(comm.size)[comm.rank].clone() for stack in stacks)
        self.gate_up_proj, self.down_proj = map(nn.Parameter, own)

    def forward(self, x: Float[Tensor, "*lead C"]) -> Float[Tensor, "*lead C"]:
        """Apply each token's experts to it, wherever they are."""
        tokens = x.flatten(0, -2)
        logits = self.gate(tokens)
        gates, chosen = route(logits, self.k, self.normalise)
        groups = dispatch(chosen, logits.shape[1])
        queues = tokens.index_select(0, groups.order % len(tokens))  # sorted by expert
        outputs = self._on_experts(queues, groups.counts)
        pairs = outputs.index_select(0, groups.place).view(self.k, *tokens.shape)
        return (pairs * gates.T[..., None]).sum(0).view(x.shape)

    def _on_experts(self, queues: Tensor, counts: Tensor) -> Tensor:
        """Send rows to the ranks of their experts, run these, and bring the results back."""
        n = self.comm.size
        arriving = torch.stack(self.comm.all_to_all(list(counts.chunk(n))))  # (ranks, own experts)
        gone = counts.view(n, -1).sum(1).tolist()
        coming = arriving.sum(1).tolist()
        rows = exchange_rows(self.comm, queues, gone, coming)
        own = torch.arange(arriving.shape[1], device=rows.device).repeat(n)
        expert = own.repeat_interleave(arriving.flatten())  # of each row
        order = expert.argsort(stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        found = Dispatch(order, place, arriving.sum(0), torch.zeros_like(order, dtype=torch.bool))
        ones = rows.new_ones(len(rows), 1)
        found = found._replace(dropped=found.dropped[:, None])
        done = run_experts(rows, ones, found, self.gate_up_proj, self.down_proj, self.activation)
        return exchange_rows(self.comm, done, coming, gone)
