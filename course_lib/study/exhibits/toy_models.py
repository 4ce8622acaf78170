"""What the chapters' small models share: their layers, their task, their training and their files.

Two chapters train models of attention alone on one task: to go on repeating a random text. After
the first period each next token is known, since it followed its predecessor the last time. A
model must find where the present token stood before, and read what came after it. What differs
between the chapters, such as positions and texts, stays in their own modules.

    loss = mean surprise where the next token is known + 0.3 mean surprise elsewhere

Trained weights are stored in float16, several models in one file; what longer experiments found is
stored as JSON.

Taught in:        attention, rope, mlp, training
Paper:            Olsson et al. 2022, arXiv:2209.11895 (the task)
Checked against:  torch's layers and losses, training again from the same seed
Shapes:           B batch, T tokens, C model width, L layers, H heads, V vocabulary
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.attention import MultiHeadAttention, causal_mask
from course_lib.device import one_thread, seeded_draws
from course_lib.norms import RMSNorm

RATE, WARMUP, DECAY = 5e-3, 20, 0.4  # highest rate, steps of warm-up, share of steps that slow down
Model = TypeVar("Model", bound=nn.Module)


class AttentionOnlyModel(nn.Module):
    """Layers of attention on a residual stream: no MLP, no bias, nothing else."""

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, head_dim: int | None = None
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(layers))
        self.attentions = nn.ModuleList(
            MultiHeadAttention(width, heads, head_dim=head_dim) for _ in range(layers)
        )
        self.final_norm = RMSNorm(width)
        self.unembed = nn.Linear(width, vocabulary, bias=False)

    def layers(self) -> list[tuple[RMSNorm, MultiHeadAttention]]:
        """Return the norm and the attention of each layer, from the first to the last."""
        pairs = zip(self.norms, self.attentions, strict=True)
        return cast(list[tuple[RMSNorm, MultiHeadAttention]], list(pairs))

    def run_layers(
        self,
        x: Float[Tensor, "B T C"],
        *,
        rotate: Callable[[Tensor], Tensor] | None = None,
        bias: Float[Tensor, "H T T"] | None = None,
        return_weights: bool = False,
    ) -> tuple[Float[Tensor, "B T V"], list[Float[Tensor, "B H T T"]]]:
        """Return the logits for embedded tokens, and the weights of each layer where requested."""
        mask, weights = causal_mask(x.shape[1], device=x.device), []
        for norm, attention in self.layers():
            read, read_weights = attention(
                norm(x),
                mask,
                bias=bias,
                rotate=rotate,
                return_weights=return_weights,
                causal=True,
            )
            x = x + read
            if read_weights is not None:
                weights.append(read_weights)
        return self.unembed(self.final_norm(x)), weights


class RepeatTraining:
    """AdamW on the task of repeating, for a fixed number of steps."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.steps, self.done = steps, 0
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01
        )

    def step(self, surprise: Float[Tensor, "B T"], known: Bool[Tensor, "B T"]) -> None:
        """Take a step, given the surprise at each next token and which of them could be known."""
        # What comes first cannot be known. A small share of it in the loss teaches the model to
        # spread its guesses there.
        loss = surprise[known].mean() + 0.3 * surprise[~known].mean()
        self.optimizer.param_groups[0]["lr"] = RATE * pace(self.done, self.steps)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.done += 1


def pace(step: int, steps: int) -> float:
    """Return the share of the highest rate: up over 20 steps, down over the last 40 percent."""
    return min(1.0, (step + 1) / WARMUP, (steps - step) / (DECAY * steps))


def store_weights(path: Path, models: Mapping[str, nn.Module]) -> None:
    """Write the weights of several models, by name, into one file in float16."""
    weights = {
        f"{name}.{key}": weight.detach().half().contiguous()
        for name, model in models.items()
        for key, weight in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: save_file(weights, part))


def stored_model(path: Path, name: str, make: Callable[[], Model]) -> Model:
    """Return the model that `make` builds, with the weights that were stored under this name."""
    with seeded_draws(0):  # whose numbers are overwritten
        model = make()
    prefix, stored = f"{name}.", load_file(path)
    own = {n.removeprefix(prefix): w.float() for n, w in stored.items() if n.startswith(prefix)}
    model.load_state_dict(own)
    return model.requires_grad_(False)


def store_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write what experiments found, by their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole_text(path, json.dumps(results, indent=1) + "\n")


def stored_results(path: Path) -> dict[str, Any]:
    """Return what experiments found, by their names."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results


def measure_into(
    path: Path, experiments: Mapping[str, Callable[[], Any]], names: Sequence[str]
) -> None:
    """Run the experiments that are named, or all, and store what they find beside the rest."""
    for name in names or list(experiments):
        with one_thread():
            new = {name: experiments[name]()}
        others = stored_results(path) if path.is_file() else {}
        store_results(path, others | new)
