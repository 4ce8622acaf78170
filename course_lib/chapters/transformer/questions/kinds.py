"""Questions on the three families: masks, predictions, tasks, and why one of them won."""

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
    "{target}. Counting all three attentions of a layer pair (the encoder's, the decoder's own, "
    "the cross-attention), how many pairs (reader, read) are allowed?",
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
            "Within the target each token reads itself and what came before only.",
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
    prompt="{texts} texts of {tokens} tokens each go through two models once. A decoder-only model "
    "predicts every token from those before it, except each text's first. A BERT hides {share} % "
    "of all tokens and predicts those. How many times as many predictions does the decoder learn "
    "from?",
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
            "the other way round",
            lambda texts, tokens, share: 1 / _more(texts, tokens, share),
            "The decoder makes more predictions, so the quotient is larger than 1.",
        ),
        Slip(
            "those that are not hidden",
            lambda texts, tokens, share: (100 - share) / share,
            "The decoder predicts all tokens, not only those that the other one leaves visible.",
        ),
    ),
)

TASKS = OneAnswer(
    id="transformer.tasks",
    prompt="A million finished reviews are to be sorted into friendly and unfriendly ones, day by "
    "day, on small machines. Nothing is to be written. What speaks for an encoder-only model?",
    options=(
        Option(
            "One pass gives the answer, and every token reads all.",
            True,
            "nothing has to be hidden from anybody, since nothing is generated. A vector for the "
            "text comes out of one pass of a small model.",
        ),
        Option(
            "Only an encoder can classify.",
            False,
            "a decoder can too: ask it, or train a head on its last token. The question is the "
            "price.",
        ),
        Option(
            "A causal mask loses the first half of each text.",
            False,
            "the last token of a causal model reads all that comes before it.",
        ),
        Option(
            "Encoders need no attention.",
            False,
            "they use the same attention with another mask.",
        ),
    ),
)

DECODER_WON = SeveralAnswers(
    id="transformer.decoder_won",
    prompt="Why have decoder-only models become the usual ones?",
    options=(
        Option(
            "Every token of any text is a question with an answer.",
            True,
            "no pairs of texts have to be found, and nothing has to be hidden: each pass teaches "
            "at every token.",
        ),
        Option(
            "Every task can be written as a text that goes on.",
            True,
            "a question, some examples, a translation: the model that continues texts needs no new "
            "head for a new task.",
        ),
        Option(
            "What has been read need not be read again: keys and values of the past never change.",
            True,
            "no token reads a later one, so the cache stays right while text is written.",
        ),
        Option(
            "A causal mask lets a token know more about its text.",
            False,
            "it knows less: only what came before. For understanding a finished text that is a "
            "price.",
        ),
        Option(
            "Encoders cannot be made large.",
            False,
            "they can: T5 had 11 billion parameters in 2019. It was not size that stopped them.",
        ),
    ),
)
