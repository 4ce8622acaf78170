"""Feed-forward layers: each token is processed alone, after attention.

Two thirds of a block's weights act on one token at a time: a wide matrix, an activation, a narrow
matrix. In a gated layer one projection decides how much of a second one passes.

    feed_forward(x) = act(x @ up.T) @ down.T
    gated_ffn(x)    = (act(x @ gate.T) * (x @ up.T)) @ down.T
    gelu(x)         = x * P(standard normal < x)
    silu(x)         = x * sigmoid(x)

Taught in:        mlp
Paper:            Shazeer 2020, arXiv:2002.05202; Hendrycks & Gimpel 2016, arXiv:1606.08415;
                  Geva et al. 2021, arXiv:2012.14913 (key-value memory)
Checked against:  torch.nn.functional's gelu, silu, glu; transformers' Qwen3MLP and GPT2MLP
Shapes:           C model width, F width of the hidden layer; weights are (out, in)
"""

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.embeddings import draw_

Activation = Callable[[Tensor], Tensor]


def gelu_exact(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return x times the probability that a standard normal number is below x."""
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the approximation of GELU by a tanh, which GPT-2 was trained with."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return x times its sigmoid (also called Swish)."""
    return x * torch.sigmoid(x)


def identity(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return x: the activation of a bilinear gate."""
    return x


ACTIVATIONS: Mapping[str, Activation] = {  # the names that `hidden_act` of a config uses
    "relu": torch.relu,
    "gelu": gelu_exact,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "silu": silu,
}
KERNELS: Mapping[Activation, Activation] = {  # the same in one pass over memory, by PyTorch
    gelu_exact: F.gelu,
    gelu_tanh: partial(F.gelu, approximate="tanh"),
    silu: F.silu,
}

GATES: Mapping[str, Activation] = {  # Shazeer's names for `gated_ffn` with this activation
    "swiglu": silu,
    "geglu": gelu_exact,
    "reglu": torch.relu,
    "glu": torch.sigmoid,
    "bilinear": identity,
}


def activation_named(name: str) -> Activation:
    """Return the activation that a checkpoint's config calls `name`."""
    if name not in ACTIVATIONS:
        raise ValueError(
            f"hidden_act must be one of {', '.join(sorted(ACTIVATIONS))}; got {name!r}. "
            "Add the function to course_lib.mlp.ACTIVATIONS to use a different one."
        )
    return ACTIVATIONS[name]


def _chosen(activation: Activation, fused: bool) -> Activation:
    return KERNELS.get(activation, activation) if fused else activation


def feed_forward(
    x: Float[Tensor, "*lead C"],
    up: Float[Tensor, "F C"],
    down: Float[Tensor, "C F"],
    activation: Activation = torch.relu,
) -> Float[Tensor, "*lead C"]:
    """Return the plain layer's output for each vector: to width F, activation, back to C."""
    return activation(x @ up.mT) @ down.mT


def gated_ffn(
    x: Float[Tensor, "*lead C"],
    gate: Float[Tensor, "F C"],
    up: Float[Tensor, "F C"],
    down: Float[Tensor, "C F"],
    activation: Activation = silu,
) -> Float[Tensor, "*lead C"]:
    """Return a gated layer's output for each vector: SwiGLU, or any of `GATES` by activation."""
    return (activation(x @ gate.mT) * (x @ up.mT)) @ down.mT


def matched_hidden_width(width: int, multiple_of: int = 1, expansion: int = 4) -> int:
    """Return the F that gives a gated layer the parameters of a plain one of F = expansion * C.

    Three matrices instead of two, so each has 2/3 of the width: 8/3 * C, rounded up to a multiple.
    """
    if width < 1 or multiple_of < 1:
        raise ValueError(
            f"width and multiple_of must be at least 1; got {width} and {multiple_of}. "
            "Pass the model's hidden_size, and 1 for no rounding."
        )
    multiples = -(-2 * expansion * width // (3 * multiple_of))  # rounded up, without a fraction
    return multiples * multiple_of


def dead_unit_fraction(pre_activations: Float[Tensor, "*lead F"]) -> float:
    """Return the fraction of hidden units whose ReLU is 0 for every token given.

    Such a unit passes no gradient for these tokens, neither to its own weights nor through them.
    """
    tokens = pre_activations.flatten(0, -2)  # (N, F)
    if len(tokens) == 0:
        raise ValueError(
            "a unit is dead if it is 0 for all given tokens; got 0 tokens. "
            "Pass pre-activations of shape (tokens, F) with at least one token."
        )
    return (tokens <= 0).all(0).double().mean().item()


def memory_contributions(
    x: Float[Tensor, " C"],
    up: Float[Tensor, "F C"],
    down: Float[Tensor, "C F"],
    activation: Activation = torch.relu,
) -> Float[Tensor, "F C"]:
    """Return what each hidden unit adds to the output of `feed_forward`; the rows sum to it.

    Row i of `up` is a key, column i of `down` its value: the better x matches the key, the more of
    the value is added to the stream. A lookup in a memory, with soft matches.
    """
    match = activation(up @ x)  # (F,)
    return match[:, None] * down.mT


class GatedFFN(nn.Module):
    """`gated_ffn` with learned weights, named as in Llama, Mistral and Qwen checkpoints."""

    def __init__(self, width: int, hidden: int, hidden_act: str = "silu") -> None:
        super().__init__()
        self.activation = activation_named(hidden_act)
        self.fused = False  # True: PyTorch's own kernel computes the activation
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*lead C"]) -> Float[Tensor, "*lead C"]:
        """Apply the layer to each vector.

        The steps are those of `gated_ffn`, but each product is a call of its layer: a hook on the
        layer sees it, and a layer that replaces it (LoRA, quantisation) computes it.
        """
        gate = _chosen(self.activation, self.fused)(self.gate_proj(x))  # (..., F)
        narrowed: Tensor = self.down_proj(gate * self.up_proj(x))
        return narrowed


class InOutLinear(nn.Module):
    """A linear layer whose weight is stored (in, out), as GPT-2's checkpoints do ("Conv1D")."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(draw_(torch.empty(inputs, outputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "*lead inputs"]) -> Float[Tensor, "*lead outputs"]:
        """Multiply by the weight and add the bias."""
        return x @ self.weight + self.bias


class FeedForward(nn.Module):
    """The plain layer with biases, named as in GPT-2 checkpoints."""

    def __init__(self, width: int, hidden: int, hidden_act: str = "gelu_new") -> None:
        super().__init__()
        self.activation = activation_named(hidden_act)
        self.fused = False  # True: PyTorch's own kernel computes the activation
        self.c_fc = InOutLinear(width, hidden)
        self.c_proj = InOutLinear(hidden, width)

    def forward(self, x: Float[Tensor, "*lead C"]) -> Float[Tensor, "*lead C"]:
        """Apply the layer to each vector."""
        return self.c_proj(_chosen(self.activation, self.fused)(self.c_fc(x)))
