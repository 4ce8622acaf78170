"""Questions on where the parameters are."""

import random
from typing import Any

from course_lib.accounting import attention_parameters, total_parameters
from course_lib.model import ModelConfig
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)


def _draw_attention(rng: random.Random) -> dict[str, Any]:
    groups = rng.choice([2, 4, 8])
    return {
        "width": rng.choice([1536, 2048, 2560, 3072, 4096, 5120]),
        "heads": groups * rng.choice([2, 3, 4, 5]),
        "groups": groups,
        "depth": rng.choice([64, 80, 96, 128]),
    }


def _attention_million(width: int, heads: int, groups: int, depth: int) -> float:
    return attention_parameters(width, heads, groups, depth) / 1e6


ATTENTION = Numeric(
    id="parameter_counting.gqa",
    prompt="A layer of attention has model width {width}, {heads} query heads, {groups} key/value "
    "heads and a head width of {depth}. There are no biases and no norms inside. How many million "
    "parameters does it have?",
    draw=_draw_attention,
    answer=_attention_million,
    explain=lambda width, heads, groups, depth: (
        f"Queries and output: 2 · {width} · {heads} · {depth} = "
        f"{2 * width * heads * depth / 1e6:.4g} million. Keys and values: 2 · {width} · {groups} · "
        f"{depth} = {2 * width * groups * depth / 1e6:.4g} million. Together "
        f"{_attention_million(width, heads, groups, depth):.4g} million."
    ),
    unit="million",
    slips=(
        Slip(
            "key/value heads as query heads",
            lambda width, heads, groups, depth: 4 * width * heads * depth / 1e6,
            "You gave keys and values as many heads as queries. They have their own, smaller "
            "number of heads.",
        ),
        Slip(
            "no output",
            lambda width, heads, groups, depth: width * depth * (heads + 2 * groups) / 1e6,
            "The fourth matrix is missing: the output, as large as the query matrix.",
        ),
        Slip(
            "multi-query",
            lambda width, heads, groups, depth: 2 * width * depth * (heads + 1) / 1e6,
            "You counted one key/value head. There are several.",
        ),
        Slip(
            "square",
            lambda width, heads, groups, depth: 4 * width * width / 1e6,
            "4 times the width squared counts four square matrices. That is right if every head "
            "has its own key and value and all heads together are as wide as the model; here use "
            "the sizes that are given.",
        ),
    ),
)


def _draw_model(rng: random.Random) -> dict[str, Any]:
    groups = rng.choice([4, 8])
    return {
        "layers": rng.choice([24, 28, 32, 36, 40]),
        "width": rng.choice([2048, 2560, 3072, 4096]),
        "heads": groups * rng.choice([4, 5]),
        "groups": groups,
        "ffn": rng.choice([8192, 9728, 11008, 12288]),
        "vocab": rng.choice([100000, 128000, 150000]),
    }


def _config(
    tied: bool, layers: int, width: int, heads: int, groups: int, ffn: int, vocab: int
) -> ModelConfig:
    return ModelConfig(
        vocab,
        width,
        ffn,
        layers,
        heads,
        groups,
        128,
        4096,
        model_type="llama",
        tie_word_embeddings=tied,
    )


def _billion(**sizes: int) -> float:
    return total_parameters(_config(False, **sizes)) / 1e9


def _explain_model(**sizes: int) -> str:
    layers, width, vocab = sizes["layers"], sizes["width"], sizes["vocab"]
    attention = attention_parameters(width, sizes["heads"], sizes["groups"], 128)
    mlp = 3 * width * sizes["ffn"]
    return (
        f"Attention: {attention / 1e6:.4g} million in each layer. MLP: 3 · {width} · "
        f"{sizes['ffn']} = {mlp / 1e6:.4g} million. Times {layers}: "
        f"{layers * (attention + mlp) / 1e9:.4g} billion. Two tables: 2 · {vocab} · {width} = "
        f"{2 * vocab * width / 1e9:.4g} billion. Together {_billion(**sizes):.4g} billion; the "
        "norms are too few to matter."
    )


MODEL = Numeric(
    id="parameter_counting.model_size",
    prompt="A model has {layers} layers of width {width}. Each has {heads} query heads and "
    "{groups} key/value heads of width 128, and a gated feed-forward layer of width {ffn}; there "
    "are no biases. The vocabulary has {vocab} entries, and the output head is not tied to the "
    "embedding. How many billion parameters does the model have?",
    draw=_draw_model,
    answer=_billion,
    explain=_explain_model,
    unit="billion",
    slips=(
        Slip(
            "one table",
            lambda **sizes: total_parameters(_config(True, **sizes)) / 1e9,
            "You counted one table. An untied output head is a second one.",
        ),
        Slip(
            "no gate",
            lambda **sizes: (
                _billion(**sizes) - sizes["layers"] * sizes["width"] * sizes["ffn"] / 1e9
            ),
            "A gated feed-forward layer has three matrices, not two.",
        ),
        Slip(
            "key/value heads as query heads",
            lambda **sizes: _billion(**{**sizes, "groups": sizes["heads"]}),
            "You gave keys and values as many heads as queries.",
        ),
        Slip(
            "no tables",
            lambda **sizes: _billion(**sizes) - 2 * sizes["vocab"] * sizes["width"] / 1e9,
            "These are the parameters of the blocks. Embedding and output head count as well.",
        ),
    ),
)

UNTIED = OneAnswer(
    id="parameter_counting.untied",
    prompt="Two models differ only in `tie_word_embeddings`. What does the untied one have more "
    "of when both generate text?",
    options=(
        Option(
            "Parameters in memory, but no FLOPs.",
            True,
            "its output head is a separate table. Both models multiply with an output head once "
            "for each token; in the tied one it is the embedding. Looking up a row is no product.",
        ),
        Option(
            "Parameters and FLOPs, both by the size of the table.",
            False,
            "the tied model computes its logits with the embedding, with the same FLOPs. Looking "
            "up a row costs none.",
        ),
        Option(
            "FLOPs, but no parameters.",
            False,
            "an untied output head is a second table of vocabulary times width, which is stored.",
        ),
        Option(
            "Neither: the output head is counted in the embedding.",
            False,
            "this is true only of tied models. Qwen3-8B is untied: its output head has 622 million "
            "parameters of its own.",
        ),
    ),
)

WHAT_COUNTS = SeveralAnswers(
    id="parameter_counting.what_counts",
    prompt="Which changes to a Qwen3 config change the number of parameters?",
    options=(
        Option(
            "half as many `num_key_value_heads`",
            True,
            "the matrices of keys and values have half as many rows.",
        ),
        Option(
            "`head_dim` 64 instead of 128",
            True,
            "all four matrices of attention are sized by head_dim, which need not be the width "
            "divided by the heads.",
        ),
        Option(
            "twice the `max_position_embeddings`",
            False,
            "RoPE computes angles and has no parameters. GPT-2 has a table of positions; there it "
            "would count.",
        ),
        Option(
            "a different `rope_theta`",
            False,
            "the base of the angles is a number in the config, not a weight.",
        ),
        Option(
            "twice the `num_experts_per_tok` of a mixture",
            False,
            "each token uses more experts, but their number stays the same.",
        ),
    ),
)


def _miscounts(names: dict[str, Any]) -> bool:
    sizes = {"layers": 3, "width": 12, "heads": 4, "groups": 2, "ffn": 20, "vocab": 50}
    return bool(
        names["parameters"](**sizes, head_dim=128) != total_parameters(_config(False, **sizes))
    )


BUG_COUNT = FindTheBug(
    id="parameter_counting.bug_count",
    prompt="This function should count the parameters of a Llama: gated, untied, no biases, no "
    "QK-norm. For models without grouped heads it is right.",
    code="""
def parameters(layers, width, heads, groups, head_dim, ffn, vocab):
    queries = width * heads * head_dim
    keys = width * groups * head_dim
    output = heads * head_dim * width
    attention = queries + keys + queries + output
    mlp = 3 * width * ffn
    norms = 2 * width
    blocks = layers * (attention + mlp + norms)
    return vocab * width + blocks + width + vocab * width
""",
    line=5,
    fixed="attention = queries + keys + keys + output",
    why="Values have as many heads as keys, `groups`, not as many as queries. If there are as "
    "many groups as heads the two are equal, so the error shows only in grouped models.",
    why_not={
        2: "each query head has its own part of this matrix.",
        3: "keys have `groups` heads.",
        4: "every query head has an output.",
        6: "gate, up and down are three matrices of equal size.",
        7: "RMSNorm has one weight for each feature and no bias; a block has two of them.",
        8: "all blocks have the same size.",
        9: "embedding, blocks, the last norm, and an untied output head.",
    },
    shows_bug=_miscounts,
)

MORE_EXPERTS = OneAnswer(
    id="parameter_counting.more_experts",
    prompt="A mixture has 64 experts, of which a token uses 4. You double the number of experts "
    "and change nothing else. What doubles, or nearly doubles?",
    options=(
        Option(
            "The memory for the weights.",
            True,
            "nearly all parameters are in experts, and all experts have to be in memory.",
        ),
        Option(
            "The FLOPs of a token.",
            False,
            "a token still uses 4 experts. Only the router computes twice as many scores, which is "
            "little.",
        ),
        Option(
            "The KV cache.",
            False,
            "the cache belongs to attention. Feed-forward layers keep nothing between tokens.",
        ),
        Option(
            "The active parameters.",
            False,
            "4 experts are active, as before; attention has not changed.",
        ),
    ),
)
