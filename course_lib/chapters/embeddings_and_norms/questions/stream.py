"""Questions on the residual stream, and on two norms with a fault."""

import torch

from course_lib.study.ask.question import (
    FindTheBug,
    OneAnswer,
    Option,
    OrderSteps,
)

STREAM = (
    OneAnswer(
        "embeddings_and_norms.why_pre_norm",
        "Why do deep models put the norm before the sublayer, x + f(norm(x))?",
        (
            Option(
                "One path from the loss to every layer consists of additions only.",
                True,
                "no norm rescales the path along `x +`. The paths through the sublayers add to it, "
                "so the whole gradient grows slowly with depth.",
            ),
            Option(
                "It halves the number of norms.",
                False,
                "there is one per sublayer in both arrangements, and pre-norm adds one at the end.",
            ),
            Option(
                "The stream keeps a constant size from the first layer to the last.",
                False,
                "that is post-norm. With pre-norm the stream grows, since each layer adds to it.",
            ),
            Option(
                "The sublayer no longer needs its own weights.",
                False,
                "a norm has one number for each feature; the sublayer still needs its matrices.",
            ),
        ),
    ),
    OrderSteps(
        "embeddings_and_norms.rms_in_half",
        "Put the steps of RMSNorm on a bfloat16 vector in the order of Llama and Qwen3.",
        (
            "Cast the vector to float32.",
            "Take the mean of the squares.",
            "Add eps and take one over the root.",
            "Multiply the vector by it.",
            "Cast back to bfloat16.",
            "Multiply by the weight.",
        ),
        "Squares are summed in float32, and the cast comes before the weight. Gemma multiplies by "
        "the weight first: the last bit of the result differs.",
    ),
    FindTheBug(
        "embeddings_and_norms.variance_bug",
        "This function should return LayerNorm without weights. Its result is slightly wrong for "
        "every input, and very wrong for short vectors.",
        code=(
            "import torch\n"
            "\n"
            "def norm(x, eps=1e-5):\n"
            "    mean = x.mean(-1, keepdim=True)\n"
            "    variance = x.var(-1, keepdim=True)\n"
            "    return (x - mean) / (variance + eps).sqrt()\n"
        ),
        line=5,
        fixed="    variance = x.var(-1, keepdim=True, correction=0)",
        why="torch.var divides by n - 1 unless told otherwise; LayerNorm divides by n.",
        why_not={
            4: "the mean over the features, kept as an axis of length 1, is right.",
            6: "eps inside the root is right, and so is the root.",
        },
        shows_bug=lambda names: (
            not torch.allclose(
                names["norm"](torch.tensor([[1.0, 2.0, 6.0]])),
                torch.nn.functional.layer_norm(torch.tensor([[1.0, 2.0, 6.0]]), (3,)),
                atol=1e-4,
            )
        ),
    ),
    FindTheBug(
        "embeddings_and_norms.residual_bug",
        "This block should be pre-norm. With zero weights in its sublayer it should return x "
        "unchanged, but it does not. Changing one line repairs it.",
        code=(
            "import torch\n"
            "\n"
            "def block(x, sublayer, norm):\n"
            "    y = norm(x)\n"
            "    z = sublayer(y)\n"
            "    return y + z\n"
        ),
        line=6,
        fixed="    return x + z",
        why="the residual must be the stream itself, x, not its normalised copy.",
        why_not={
            4: "pre-norm normalises what the sublayer reads: right.",
            5: "the sublayer reads the normalised copy: right.",
        },
        shows_bug=lambda names: (
            not torch.equal(
                names["block"](torch.tensor([3.0]), torch.zeros_like, torch.sign),
                torch.tensor([3.0]),
            )
        ),
    ),
)
