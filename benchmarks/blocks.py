"""The parts of a block, measured: experts and norms beside transformers' and PyTorch's.

    python -m benchmarks.blocks

Times are processor time of one thread, with all contestants in turns. The milliseconds are medians;
"times ours" is the median of the ratios within a round.

`rms_norm` takes the same steps as PyTorch's does on a CPU. For one token their time is that of
calling them, six times from Python instead of once. With many tokens a model that was prepared, or
is trained, computes it in few passes.
"""

import torch
import torch.nn.functional as F
from transformers import Qwen3MoeConfig
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

from benchmarks.record import progress, record
from benchmarks.timing import Contestants, median, race, ratio, repeated
from course_lib.experts import SparseMoE
from course_lib.norms import FEW_NUMBERS, RMSNormInFewPasses, layer_norm, rms_norm

OURS = "ours"
WIDTH, HIDDEN, EXPERTS, CHOICES = 256, 128, 64, 8


def compare(contestants: Contestants, budget: float = 3.0, calls: int = 1) -> list[dict]:
    """Return one row for each contestant: the time of a call, and that as a multiple of ours."""
    rounds = race({name: repeated(run, calls) for name, run in contestants.items()}, budget)
    return [
        {
            "contestant": name,
            "processor milliseconds": round(1e3 * median(rounds, name) / calls, 4),
            **ratio("times ours", rounds, name, OURS),
        }
        for name in contestants
    ]


def expert_blocks() -> dict[str, torch.nn.Module]:
    """Return our block and transformers' with each way of dispatching, all of equal weights."""
    ours = SparseMoE(WIDTH, HIDDEN, EXPERTS, CHOICES)
    blocks: dict[str, torch.nn.Module] = {OURS: ours}
    for way in ("grouped_mm", "batched_mm", "eager"):
        config = Qwen3MoeConfig(
            hidden_size=WIDTH,
            moe_intermediate_size=HIDDEN,
            num_experts=EXPERTS,
            num_experts_per_tok=CHOICES,
            norm_topk_prob=True,
        )
        config._experts_implementation = way
        theirs = Qwen3MoeSparseMoeBlock(config)
        theirs.gate.weight.data.copy_(ours.gate.weight)
        theirs.experts.gate_up_proj.data.copy_(ours.experts.gate_up_proj)
        theirs.experts.down_proj.data.copy_(ours.experts.down_proj)
        blocks[f"transformers, {way}"] = theirs
    return blocks


def expert_rows(tokens: int) -> list[dict]:
    """One forward pass; and a backward pass too for as many tokens as a training step may have."""
    progress("experts", f"{tokens} tokens")
    x = torch.randn(1, tokens, WIDTH)
    blocks = {
        name: block
        for name, block in expert_blocks().items()
        if tokens <= 16 or "batched" not in name  # it copies the matrices of every choice
    }
    with torch.inference_mode():
        outputs = [block(x) for block in blocks.values()]
        difference = max((output - outputs[0]).abs().max().item() for output in outputs)
        rows = compare({name: lambda b=block: b(x) for name, block in blocks.items()})
    about = {"measured": "experts, forward", "tokens": tokens, "largest difference": difference}
    rows = [about | row for row in rows]
    if tokens == 256:
        training = compare({n: lambda b=b: b(x).sum().backward() for n, b in blocks.items()})
        about = {"measured": "experts, forward and backward", "tokens": tokens}
        rows += [about | row for row in training]
    return rows


def norm_rows(tokens: int, width: int, dtype: torch.dtype) -> list[dict]:
    progress("norms", f"{tokens} tokens", dtype)
    x, weight = torch.randn(tokens, width).to(dtype), torch.ones(width, dtype=dtype)
    bias = torch.zeros_like(weight)
    qwens = Qwen3RMSNorm(width, eps=1e-6).to(dtype)
    kinds: dict[str, Contestants] = {
        "layer_norm": {
            OURS: lambda: layer_norm(x, weight, bias),
            "torch": lambda: F.layer_norm(x, (width,), weight, bias),
        },
        "rms_norm": {
            OURS: lambda: rms_norm(x, weight),
            "torch": lambda: F.rms_norm(x, (width,), weight, 1e-6),
            "transformers": lambda: qwens(x),
            "torch's layer_norm": lambda: F.layer_norm(x, (width,), weight, bias),
        },
    }
    if dtype is torch.float32 and x.numel() >= FEW_NUMBERS:
        kinds["rms_norm"] = {
            **kinds["rms_norm"],
            "ours, in few passes": lambda: RMSNormInFewPasses.apply(x, weight, 1e-6),
        }
    about = {"tokens": tokens, "width": width, "type": str(dtype).removeprefix("torch.")}
    with torch.inference_mode():
        return [
            {"measured": kind} | about | row
            for kind, contestants in kinds.items()
            for row in compare(contestants, budget=1.5, calls=max(1, 64 // tokens))
        ]


def norm_gradient_rows(tokens: int, width: int) -> list[dict]:
    x, weight = torch.randn(tokens, width).requires_grad_(), torch.ones(width).requires_grad_()
    upstream = torch.randn(tokens, width)
    kinds = {
        OURS: lambda: RMSNormInFewPasses.apply(x, weight, 1e-6),
        "ours, by autograd": lambda: rms_norm(x, weight),
        "torch": lambda: F.rms_norm(x, (width,), weight, 1e-6),
    }
    runs = {
        name: lambda norm=norm: torch.autograd.grad(norm(), (x, weight), upstream)
        for name, norm in kinds.items()
    }
    about = {"measured": "rms_norm, forward and backward", "tokens": tokens, "width": width}
    return [about | row for row in compare(runs, budget=1.5)]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    experts = [row for tokens in (1, 16, 64, 256, 1024) for row in expert_rows(tokens)]
    norms = [
        row
        for tokens in (1, 512)
        for dtype in (torch.float32, torch.bfloat16)
        for row in norm_rows(tokens, 1024, dtype)
    ]
    record("blocks", experts + norms + norm_gradient_rows(512, 1024))


if __name__ == "__main__":
    main()
