"""Questions on norms, MLPs, mixtures of experts, and whole blocks."""

import random
from typing import Any

from course_lib import accounting
from course_lib.study.ask.question import (
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    PredictOutput,
    Slip,
)
from course_lib.study.ask.question_parts import Mistake

NORM = OneAnswer(
    id="self_check.layer_or_rms",
    prompt="What does RMSNorm leave out that LayerNorm does?",
    options=(
        Option(
            "It does not subtract the mean, and it has no bias.",
            True,
            "it divides by the root mean square and multiplies by a gain. That is cheaper, and "
            "models trained with it are as good.",
        ),
        Option(
            "It has no learned parameters.",
            False,
            "it has a gain for each feature, as LayerNorm has.",
        ),
        Option(
            "It normalizes over the batch, not over the features.",
            False,
            "that is batch normalization. RMSNorm treats each token separately, over its features.",
        ),
        Option(
            "It works in the number type of its input, without float32.",
            False,
            "the mean of the squares is computed in float32 in both, since squares of bfloat16 "
            "numbers add up inaccurately.",
        ),
    ),
)

PRINTS_NORM = PredictOutput(
    id="self_check.prints_norm",
    prompt="An RMSNorm without gain and epsilon, for a vector and for one a hundred times as long.",
    code="""
import torch

x = torch.tensor([10.0, 0.0, 0.0, 0.0])
for scale in (1, 100):
    y = scale * x
    print((y / y.pow(2).mean().sqrt()).tolist())
""",
    why="The mean of the squares is 100 / 4 = 25, so x is divided by 5. The scale cancels.",
    mistakes=(
        Mistake(
            "[1.0, 0.0, 0.0, 0.0]\n[1.0, 0.0, 0.0, 0.0]",
            "You divided by the length of the vector, the root of the sum of squares. RMSNorm "
            "divides by the root of their mean.",
        ),
        Mistake(
            "[2.0, 0.0, 0.0, 0.0]\n[200.0, 0.0, 0.0, 0.0]",
            "The root mean square grows with the vector, so the quotient does not.",
        ),
    ),
)

DEAD = OneAnswer(
    id="self_check.dead_unit",
    prompt="A hidden unit of a ReLU MLP gets a negative input for every token of the data. What "
    "gradient do its incoming weights get, and what would change with SiLU?",
    options=(
        Option(
            "None; with SiLU they get a small one and may recover.",
            True,
            "ReLU is flat below 0, so nothing flows through the unit. SiLU has a slope there, "
            "except at one point.",
        ),
        Option(
            "None; with SiLU none either, since both are about 0 for negative inputs.",
            False,
            "the value of SiLU is small below 0, but it changes with the input, so there is a "
            "gradient.",
        ),
        Option(
            "A negative one, which drives them further down.",
            False,
            "the slope of ReLU is exactly 0 for negative inputs, so there is no gradient at all.",
        ),
        Option(
            "The same as active units, scaled by the outgoing weight.",
            False,
            "the gradient is also multiplied by the slope of ReLU, which is 0 here.",
        ),
    ),
)

BALANCE = OneAnswer(
    id="self_check.expert_balance",
    prompt="Why is a mixture of experts trained with a term that balances the load of the experts?",
    options=(
        Option(
            "An expert that gets more tokens learns more and is then chosen even more often.",
            True,
            "without a counterweight a few experts get nearly all tokens, and the parameters of "
            "the others are wasted.",
        ),
        Option(
            "Otherwise the weights of the chosen experts would not sum to 1.",
            False,
            "they are normalized for each token, whatever the load.",
        ),
        Option(
            "So that every token uses every expert equally.",
            False,
            "a token uses k of them. The load is balanced over the tokens of a batch.",
        ),
        Option(
            "So that all experts learn the same function.",
            False,
            "they should differ. Balance concerns the number of tokens, not what is learned.",
        ),
    ),
)


def _draw_experts(rng: random.Random) -> dict[str, Any]:
    return {
        "experts": rng.choice((8, 32, 64, 128)),
        "chosen": rng.choice((2, 4, 6)),
        "width": rng.choice((1024, 2048, 4096)),
        "hidden": rng.choice((512, 768, 1024)),
    }


def _expert(width: int, hidden: int) -> float:
    return accounting.mlp_parameters(width, hidden) / 1e6


ACTIVE = Numeric(
    id="self_check.active_parameters",
    prompt="A layer has {experts} experts and sends each token to {chosen} of them. An expert is a "
    "SwiGLU MLP without biases, from width {width} to {hidden} and back. How many million "
    "parameters of experts does one token use in this layer?",
    draw=_draw_experts,
    answer=lambda experts, chosen, width, hidden: chosen * _expert(width, hidden),
    explain=lambda experts, chosen, width, hidden: (
        f"An expert has three matrices of {width} · {hidden}, {_expert(width, hidden):.4g} million "
        f"parameters. A token uses {chosen} experts: {chosen * _expert(width, hidden):.4g} "
        f"million. All {experts} have to be stored."
    ),
    unit="million",
    slips=(
        Slip(
            "all experts",
            lambda experts, chosen, width, hidden: experts * _expert(width, hidden),
            "That is what the layer stores. A token uses only the experts chosen for it.",
        ),
        Slip(
            "two matrices",
            lambda experts, chosen, width, hidden: chosen * _expert(width, hidden) * 2 / 3,
            "SwiGLU has three matrices: gate, up and down.",
        ),
    ),
)

BLOCK = OrderSteps(
    id="self_check.block_order",
    prompt="A pre-norm decoder such as Qwen3 has one layer. Put its forward pass in order.",
    steps=(
        "Look up the embedding of each id.",
        "Norm the hidden states, and compute queries, keys and values from them.",
        "Rotate queries and keys to their positions.",
        "Compute attention, project its output, and add it to the hidden states.",
        "Norm the sum, and pass it through the MLP.",
        "Add the output of the MLP to the hidden states.",
        "Norm the final hidden states.",
        "Multiply by the output head, which gives the logits.",
    ),
    explanation="Each sublayer reads a normed copy of the residual stream and adds its output to "
    "the stream itself. One more norm comes before the head.",
)

RESIDUAL = OneAnswer(
    id="self_check.residual_stream",
    prompt="In a pre-norm block the output projections of attention and MLP are set to zero. What "
    "does the block compute?",
    options=(
        Option(
            "Its input, unchanged.",
            True,
            "both sublayers add zero to the residual stream. This is why deep models can start "
            "near the identity and train well.",
        ),
        Option(
            "Its input, normed.",
            False,
            "the norms act on what the sublayers read, not on the residual stream.",
        ),
        Option(
            "Zero.",
            False,
            "the outputs are added to the input, which is still there.",
        ),
        Option(
            "The mean over the tokens.",
            False,
            "that would be attention with equal weights, but its projected output is zero.",
        ),
    ),
)


def _draw_training(rng: random.Random) -> dict[str, Any]:
    return {"billions": rng.choice((0.6, 1.7, 8.2, 14.8, 32.8))}


def _training_gigabytes(billions: float, numbers: int) -> float:
    return numbers * accounting.bytes_per_number("float32") * billions


TRAINING = Numeric(
    id="self_check.training_bytes",
    prompt="A model of {billions} billion parameters is trained with AdamW. Weights, gradients and "
    "both moments are stored in float32. How many GB (10⁹ bytes) do they take, without "
    "activations?",
    draw=_draw_training,
    answer=lambda billions: _training_gigabytes(billions, 4),
    explain=lambda billions: (
        f"Four numbers of 4 bytes for each parameter: 16 · {billions} = "
        f"{_training_gigabytes(billions, 4):.4g} GB."
    ),
    unit="GB",
    slips=(
        Slip(
            "weights alone",
            lambda billions: _training_gigabytes(billions, 1),
            "That is the weights. Gradients, m and v take as much each.",
        ),
        Slip(
            "three numbers",
            lambda billions: _training_gigabytes(billions, 3),
            "There are four numbers for each parameter: the weight, its gradient, m and v.",
        ),
    ),
)


def _draw_decode(rng: random.Random) -> dict[str, Any]:
    return {
        "weights": rng.choice((3.4, 8.0, 16.4, 29.6)),
        "cache": rng.choice((0.5, 1.0, 2.0)),
        "batch": rng.choice((4, 8, 16)),
        "bandwidth": rng.choice((1.0, 2.0, 3.35)),
    }


def _decode(weights: float, cache: float, batch: int, bandwidth: float) -> float:
    return accounting.decode_tokens_per_second(
        weights * 1e9, batch * cache * 1e9, bandwidth * 1e12, batch
    )


DECODE = Numeric(
    id="self_check.decode_speed",
    prompt="A dense model has {weights} GB of weights. It generates {batch} texts in one batch, "
    "each with a cache of {cache} GB, on a device with a bandwidth of {bandwidth} TB per second. "
    "If reading memory is the only limit, how many tokens per second do all texts get together?",
    draw=_draw_decode,
    answer=_decode,
    explain=lambda weights, cache, batch, bandwidth: (
        f"A step reads {weights} GB of weights once and {batch} caches, "
        f"{weights + batch * cache:.4g} GB together. At {1000 * bandwidth:g} GB per second that is "
        f"{1000 * bandwidth / (weights + batch * cache):.4g} steps, each with {batch} tokens: "
        f"{_decode(weights, cache, batch, bandwidth):.4g}."
    ),
    unit="tokens per second",
    slips=(
        Slip(
            "weights for each text",
            lambda weights, cache, batch, bandwidth: 1000 * bandwidth / (weights + cache),
            "All texts of a batch share one reading of the weights.",
        ),
        Slip(
            "one cache",
            lambda weights, cache, batch, bandwidth: 1000 * batch * bandwidth / (weights + cache),
            "Each text reads its own cache; only the weights are shared.",
        ),
        Slip(
            "steps per second",
            lambda weights, cache, batch, bandwidth: 1000 * bandwidth / (weights + batch * cache),
            "That is the number of steps. Each step gives one token for every text.",
        ),
    ),
)
