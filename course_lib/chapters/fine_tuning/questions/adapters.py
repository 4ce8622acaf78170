"""Questions on LoRA and its relatives.

Taught in:        fine_tuning
Checked against:  `course_lib.fine_tuning`, from which numeric answers are computed
"""

import random

from course_lib import fine_tuning
from course_lib.attention import kv_cache_bytes
from course_lib.study.ask.question import Numeric, OneAnswer
from course_lib.study.ask.question_parts import Option, Slip

SCALE = Numeric(
    id="fine_tuning.scale",
    prompt="LoRA with α = {alpha} and rank {rank}. By which factor is x Aᵀ Bᵀ multiplied?",
    draw=lambda rng: {"alpha": rng.choice((10, 20, 50)), "rank": rng.choice((16, 64))},
    answer=lambda alpha, rank: fine_tuning.lora_scale(float(alpha), rank),
    explain=lambda alpha, rank: f"α / r = {alpha} / {rank} = {alpha / rank:g}.",
    slips=(
        Slip(
            "α alone",
            lambda alpha, rank: float(alpha),
            "α is divided by the rank, so that a change of rank keeps the size of the update.",
        ),
        Slip(
            "r / α",
            lambda alpha, rank: rank / alpha,
            "α multiplies and r divides.",
        ),
        Slip(
            "α / √r",
            lambda alpha, rank: alpha / rank**0.5,
            "that is the rank-stabilised form.",
        ),
    ),
)

BOTH_ZERO = OneAnswer(
    id="fine_tuning.both_zero",
    prompt="“To be safe, start both factors of LoRA at zero.” What happens?",
    options=(
        Option(
            "Nothing is ever learned.",
            True,
            "the gradient of B is proportional to A and that of A to B: both are zero, forever.",
        ),
        Option(
            "Training starts from the base model, as usual.",
            False,
            "it starts there, and stays there. One factor must not be zero.",
        ),
        Option(
            "The first step is twice as large.",
            False,
            "there is no first step: both gradients are zero.",
        ),
        Option(
            "A learns, B stays at zero.",
            False,
            "the gradient of A passes through B, which is zero.",
        ),
    ),
)


def _draw_layer(rng: random.Random) -> dict[str, int]:
    return {
        "layers": rng.randint(2, 40),
        "width": rng.choice((512, 1024, 4096)),
        "hidden": rng.choice((1536, 3072, 11008)),
        "rank": rng.choice((4, 8, 16)),
    }


TRAINED = Numeric(
    id="fine_tuning.trained",
    prompt="A model of {layers} layers and width {width} gets LoRA of rank {rank} on `up_proj` "
    "({width} → {hidden}) of every layer. How many numbers are trained?",
    draw=_draw_layer,
    answer=lambda layers, width, hidden, rank: float(
        fine_tuning.lora_parameters([(hidden, width)] * layers, rank)
    ),
    explain=lambda layers, width, hidden, rank: (
        f"{layers} · {rank} · ({width} + {hidden}) = {layers * rank * (width + hidden)}."
    ),
    slips=(
        Slip(
            "the whole weight",
            lambda layers, width, hidden, rank: layers * width * hidden,
            "that is what full fine-tuning trains.",
        ),
        Slip(
            "one factor",
            lambda layers, width, hidden, rank: layers * rank * width,
            "B has rank · hidden numbers as well.",
        ),
        Slip(
            "one layer",
            lambda layers, width, hidden, rank: rank * (width + hidden),
            "every layer has factors of its own.",
        ),
    ),
)

HALF_THE_TIME = OneAnswer(
    id="fine_tuning.time",
    prompt="LoRA trains 1 % of the weights. What does a step cost in FLOPs, compared with full "
    "fine-tuning?",
    options=(
        Option(
            "About two thirds",
            True,
            "the forward pass stays, and so does the half of the backward pass that carries the "
            "gradient through the frozen weights. Only the weights' own gradients fall away.",
        ),
        Option(
            "About 1 %",
            False,
            "the frozen weights are still multiplied, forwards and backwards.",
        ),
        Option(
            "About a third",
            False,
            "that is the forward pass alone. The gradient must still flow back to the first "
            "layer's factors.",
        ),
        Option(
            "The same",
            False,
            "the gradients of the frozen weights, a third of all FLOPs, are not computed.",
        ),
    ),
)

MERGED_TWICE = OneAnswer(
    id="fine_tuning.merged_twice",
    prompt="An adapter is merged into the weights, the model is saved, loaded, and the same "
    "adapter is merged again. What does the model compute?",
    options=(
        Option(
            "With twice the change: W + 2 s B A",
            True,
            "nothing in the weights says that an adapter is inside. Keep the base and the adapter, "
            "or the merged model, never a mixture.",
        ),
        Option(
            "The same as after the first merge: W + s B A",
            False,
            "merging adds. It has no memory of what was added before.",
        ),
        Option(
            "The base model",
            False,
            "un-merging would give that, up to rounding.",
        ),
        Option(
            "An error is raised",
            False,
            "a layer in memory can know that it is merged. A file of weights cannot.",
        ),
    ),
)

NEW_ROLES = OneAnswer(
    id="fine_tuning.new_roles",
    prompt="The tokens of a chat template never occurred in pre-training. LoRA on all linear "
    "layers learns the format badly; full fine-tuning learns it well. What is missing?",
    options=(
        Option(
            "Trained rows of the embedding for these tokens",
            True,
            "LoRA changes linear layers. The rows of the new tokens are random, or copies that "
            "cannot be told from their sources, until they are trained.",
        ),
        Option(
            "A rank as large as the width of the model, in all layers",
            False,
            "no change of the linear layers gives an unknown token a meaning as directly as its "
            "own row.",
        ),
        Option(
            "A template without roles",
            False,
            "then the model could not tell who is speaking. The rows cost a few hundred numbers.",
        ),
        Option(
            "Weight decay",
            False,
            "it pulls weights to zero and adds no knowledge.",
        ),
    ),
)


def _draw_prefix(rng: random.Random) -> dict[str, int]:
    return {
        "length": rng.choice((10, 20, 50)),
        "layers": rng.choice((12, 24, 32)),
        "heads": rng.choice((2, 4, 8)),
        "width": rng.choice((64, 128)),
    }


PREFIX_MEMORY = Numeric(
    id="fine_tuning.prefix_memory",
    prompt="Prefix tuning with {length} entries, in a model of {layers} layers with {heads} "
    "key/value heads of width {width}. How many numbers are trained?",
    draw=_draw_prefix,
    answer=lambda length, layers, heads, width: float(
        kv_cache_bytes(layers, heads, width, length, bytes_per_number=1)
    ),
    explain=lambda length, layers, heads, width: (
        f"keys and values in every layer: 2 · {layers} · {heads} · {length} · {width} = "
        f"{2 * layers * heads * length * width}."
    ),
    slips=(
        Slip(
            "keys alone",
            lambda length, layers, heads, width: layers * heads * length * width,
            "every entry has a key and a value.",
        ),
        Slip(
            "one layer",
            lambda length, layers, heads, width: 2 * heads * length * width,
            "every layer has its own prefix. With one layer, at the embedding, it would be prompt "
            "tuning.",
        ),
    ),
)
