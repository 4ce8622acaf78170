"""Questions on the parts of a model: attention, positions, families."""

from course_lib.study.ask.question import OneAnswer, Option, SeveralAnswers

COST = OneAnswer(
    id="self_check.attention_cost",
    prompt="An attention layer of fixed width reads n tokens at once. Which part of its work grows "
    "with the square of n?",
    options=(
        Option(
            "The scores and the weighted means: each of n queries meets n keys and n values.",
            True,
            "there are n · n pairs, and each costs one dot product and one term of a weighted "
            "mean.",
        ),
        Option(
            "The projections to queries, keys and values: n vectors meet n columns.",
            False,
            "these matrices have a fixed size, whatever n is. Twice the tokens take twice the "
            "work.",
        ),
        Option(
            "Softmax alone; all products are linear in n.",
            False,
            "softmax does process n · n numbers, but so do the products before and after it, and "
            "they take one multiplication per feature of a head for each number.",
        ),
        Option(
            "Nothing, if each position may read only earlier positions.",
            False,
            "the mask forbids about half of the pairs. Half of n · n still grows with the square.",
        ),
    ),
)

ROOT = OneAnswer(
    id="self_check.root_of_d",
    prompt="Queries and keys have d independent entries of mean 0 and variance 1. Why is their dot "
    "product divided by √d?",
    options=(
        Option(
            "Otherwise softmax saturates, more so for wider heads.",
            True,
            "d products of variance 1 add up to a variance of d, a typical size of √d. A saturated "
            "softmax has almost no gradient.",
        ),
        Option(
            "So that the weights of each query add up to 1.",
            False,
            "softmax guarantees that, whatever the scores are.",
        ),
        Option(
            "So that each score is a cosine, between -1 and 1.",
            False,
            "a cosine divides by the lengths of both vectors. Scaled scores have variance 1 and "
            "often exceed 1.",
        ),
        Option(
            "So that exp does not overflow where queries and keys are long.",
            False,
            "subtracting the largest score prevents that, scaled or not.",
        ),
    ),
)

ABSOLUTE = SeveralAnswers(
    id="self_check.rope_or_absolute",
    prompt="One model adds a learned vector for each position to its embeddings; the other uses "
    "RoPE. What is true of the model with RoPE only?",
    options=(
        Option(
            "Shifting a query and a key by the same number of positions does not change their "
            "score.",
            True,
            "both are rotated by the same additional angle, and only the difference of angles "
            "enters the product. Added position vectors have no such property.",
        ),
        Option(
            "Positions enter in every layer.",
            True,
            "queries and keys are rotated in every layer; added vectors enter once, before the "
            "first layer.",
        ),
        Option(
            "No parameters are needed for positions.",
            True,
            "the angles are computed. The other model has one vector for each position.",
        ),
        Option(
            "Texts far longer than those of training are read as well as short ones.",
            False,
            "it can be run on them, since angles exist for every position. But the slow planes "
            "reach angles that did not occur in training, and quality falls.",
        ),
        Option(
            "The values carry their position into the result.",
            False,
            "values are not rotated, so the result does not contain their positions.",
        ),
    ),
)

ALIBI = OneAnswer(
    id="self_check.alibi",
    prompt="How does ALiBi give a model the positions of tokens?",
    options=(
        Option(
            "It subtracts slope · distance from each score, with a fixed slope for each head.",
            True,
            "nothing is learned, and every distance has a penalty, including distances that did "
            "not occur in training.",
        ),
        Option(
            "It adds a learned number to each score, one for each range of distances.",
            False,
            "that is T5's relative bias: learned, in buckets.",
        ),
        Option(
            "It adds sines and cosines of the position to the embeddings.",
            False,
            "that is the sinusoidal table of 2017. ALiBi does not change embeddings.",
        ),
        Option(
            "It rotates queries and keys by an angle that grows with the position.",
            False,
            "that is RoPE. ALiBi changes scores, not vectors.",
        ),
    ),
)

FAMILIES = SeveralAnswers(
    id="self_check.families",
    prompt="Which of these choices follow from what each family of models can read?",
    options=(
        Option(
            "Marking the names in a given text with an encoder: each token may attend in both "
            "directions.",
            True,
            "the text is complete, so nothing has to be masked, and the words that follow help.",
        ),
        Option(
            "Translating with an encoder and a decoder: the source is read as a whole, the target "
            "is generated token by token.",
            True,
            "the encoder has no causal mask, the decoder has one and reads the encoder's output.",
        ),
        Option(
            "Answering in a chat with a decoder: the answer continues the conversation so far.",
            True,
            "one causal text contains the questions, the answers and what comes next.",
        ),
        Option(
            "Generating long texts with an encoder: it sees more than a decoder does.",
            False,
            "it fills gaps, whose number must be known in advance, and was never trained to "
            "continue from the left context alone.",
        ),
        Option(
            "Judging whether a text is polite needs an encoder: a decoder never sees it as a "
            "whole.",
            False,
            "the last token of a decoder has read the whole text, and its hidden state can be "
            "classified.",
        ),
    ),
)

DECODERS = SeveralAnswers(
    id="self_check.why_decoders",
    prompt="Which of these are reasons to use decoder-only models for everything?",
    options=(
        Option(
            "Every token of a text is a target in one training pass.",
            True,
            "a masked model learns from the masked tokens only, often about one in seven.",
        ),
        Option(
            "Every task can be written as a text to be continued.",
            True,
            "one objective and one model serve them all, without a new head for each.",
        ),
        Option(
            "Cached keys and values stay valid while the model generates.",
            True,
            "no earlier token attends to a later one, so they never change. In a bidirectional "
            "model every new token changes all vectors.",
        ),
        Option(
            "A token that sees only earlier tokens is understood better.",
            False,
            "this is the price: where the text is complete, both sides help.",
        ),
        Option(
            "They need no position information.",
            False,
            "the causal mask reveals the order to some degree, but nearly all released models use "
            "RoPE or a similar method.",
        ),
    ),
)
