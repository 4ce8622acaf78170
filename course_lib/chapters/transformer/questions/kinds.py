"""Questions on the three families: masks, predictions, tasks, and why decoders prevailed."""

import random
from typing import Any

from course_lib.families import family_mask
from course_lib.study.ask.question import Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip


def _draw_mask(rng: random.Random) -> dict[str, Any]:
    return {"source": rng.choice([30, 40, 50]), "target": rng.choice([20, 60, 70])}


def _pairs(source: int, target: int, family: str = "encoder-decoder") -> float:
    return float(family_mask(family, source, target).sum())


MASK_SIZE = Numeric(
    id="transformer.mask_size",
    prompt="An encoder-decoder reads a source of {source} tokens and is trained on a target of "
    "{target}. Count all three attentions of one encoder and one decoder layer: the encoder's, the "
    "decoder's self-attention and the cross-attention. How many pairs (reading token, read token) "
    "does the mask allow?",
    draw=_draw_mask,
    answer=_pairs,
    explain=lambda source, target: (
        f"The source reads itself, {source}² = {source**2}. The target reads the source, {target} "
        f"· {source} = {target * source}, and itself causally, {target} · {target + 1} / 2 = "
        f"{target * (target + 1) // 2}. Together {_pairs(source, target):.0f}."
    ),
    slips=(
        Slip(
            "causal everywhere",
            lambda source, target: _pairs(source, target, "decoder-only"),
            "That is a decoder-only model. An encoder reads its source in both directions.",
        ),
        Slip(
            "everything",
            lambda source, target: _pairs(source, target, "encoder-only"),
            "The source does not read the target, and the target does not read ahead.",
        ),
        Slip(
            "the target reads ahead",
            lambda source, target: source**2 + target * source + target**2,
            "Within the target each token reads only itself and earlier tokens.",
        ),
        Slip(
            "cross-attention left out",
            lambda source, target: source**2 + target * (target + 1) / 2,
            "Every target token reads all source tokens as well.",
        ),
    ),
)


def _draw_texts(rng: random.Random) -> dict[str, Any]:
    return {
        "texts": rng.choice([10, 20, 50]),
        "tokens": rng.choice([101, 201, 401]),
        "share": rng.choice([10, 15, 20, 30]),
    }


def _more(texts: int, tokens: int, share: int) -> float:
    predicted = int(family_mask("decoder-only", 1, tokens - 1).shape[0]) - 1
    return predicted / (tokens * share / 100)


PREDICTIONS = Numeric(
    id="transformer.predictions",
    prompt="Two models are trained on {texts} texts of {tokens} tokens each, once. A decoder-only "
    "model predicts every token of a text except the first. A BERT hides {share} % of all tokens "
    "and predicts those. How many times as many predictions does the decoder learn from?",
    draw=_draw_texts,
    answer=_more,
    explain=lambda texts, tokens, share: (
        f"The decoder makes {texts} · {tokens - 1} = {texts * (tokens - 1)} predictions, BERT "
        f"{texts} · {tokens} · {share / 100:g} = {texts * tokens * share / 100:g}: "
        f"{_more(texts, tokens, share):.3g} times as many."
    ),
    tolerance=0.02,
    slips=(
        Slip(
            "inverted",
            lambda texts, tokens, share: 1 / _more(texts, tokens, share),
            "The decoder makes more predictions, so the ratio is larger than 1.",
        ),
        Slip(
            "the tokens that are not hidden",
            lambda texts, tokens, share: (100 - share) / share,
            "The decoder predicts all tokens, not only those that BERT leaves visible.",
        ),
    ),
)

TASKS = OneAnswer(
    id="transformer.tasks",
    prompt="A million reviews must be classified as positive or negative every day, on small "
    "machines. No text is generated. What is the argument for an encoder-only model?",
    options=(
        Option(
            "One pass gives the answer, and every token reads the whole text.",
            True,
            "nothing is generated, so no token has to be hidden from another. One pass of a small "
            "model gives a vector for the text.",
        ),
        Option(
            "Only an encoder can classify.",
            False,
            "a decoder can too: prompt it, or train a classifier on its last token. The difference "
            "is the cost.",
        ),
        Option(
            "A causal mask loses the first half of each text.",
            False,
            "the last token of a causal model reads everything before it.",
        ),
        Option(
            "Encoders need no attention.",
            False,
            "they use the same attention with a different mask.",
        ),
    ),
)

DECODER_WON = SeveralAnswers(
    id="transformer.decoder_won",
    prompt="Why have decoder-only models become the most common ones?",
    options=(
        Option(
            "Every token of any text is a training example.",
            True,
            "no pairs of texts are needed and nothing has to be hidden: each pass trains on every "
            "token.",
        ),
        Option(
            "Every task can be written as a text to be continued.",
            True,
            "a question, some examples, a translation: the model that continues texts needs no new "
            "head for a new task.",
        ),
        Option(
            "Earlier keys and values never change, so they need not be computed again.",
            True,
            "no token reads a later one, so the cache stays valid while text is generated.",
        ),
        Option(
            "A causal mask lets a token know more about its text.",
            False,
            "it knows less: only what came before. For understanding a complete text that is a "
            "disadvantage.",
        ),
        Option(
            "Encoders cannot be made large.",
            False,
            "they can: the encoder-decoder T5 had 11 billion parameters in 2019. Size was not the "
            "obstacle.",
        ),
    ),
)
