"""Questions on the parts of a model: attention, positions, families."""

from course_lib.study.ask.question import OneAnswer, Option, SeveralAnswers

COST = OneAnswer(
    id="self_check.attention_cost",
    prompt="A layer of attention reads n tokens at once; its width is fixed. Which of its work "
    "grows with the square of n?",
    options=(
        Option(
            "The scores and the weighted means: each of n queries meets n keys and n values.",
            True,
            "there are n · n pairs, and each pair costs one dot product and one share of a mean.",
        ),
        Option(
            "The projections to queries, keys and values: n vectors meet n columns.",
            False,
            "their matrices have the model's width on both sides, whatever n is. Twice the tokens "
            "take twice the work.",
        ),
        Option(
            "Softmax alone; all products are linear in n.",
            False,
            "softmax does touch n · n numbers, but so do the products before and behind it, with "
            "as many multiplications per number as the heads are wide.",
        ),
        Option(
            "Nothing, if each position may read only what stands before it.",
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
            "So that softmax does not saturate, the more the wider the head.",
            True,
            "d products of variance 1 add up to variance d, so their size is √d. A saturated "
            "softmax passes almost no gradient on.",
        ),
        Option(
            "So that the weights of each query add up to 1.",
            False,
            "softmax sees to that, whatever the scores are.",
        ),
        Option(
            "So that each score is a cosine, between -1 and 1.",
            False,
            "for a cosine one divides by the lengths of both vectors. Scaled scores have variance "
            "1 and go beyond 1 quite often.",
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
    prompt="One model adds a learned vector for each position to its embeddings, another uses "
    "RoPE. What holds for the one with RoPE, and not for the other?",
    options=(
        Option(
            "Moving a query and a key on by the same distance leaves their score as it is.",
            True,
            "both are turned further by the same angle, and only the difference of angles enters "
            "the product. Two added vectors promise nothing of the kind.",
        ),
        Option(
            "Positions enter in every layer.",
            True,
            "queries and keys are turned in each layer anew; added vectors enter once, below the "
            "first one.",
        ),
        Option(
            "No parameter is spent on positions.",
            True,
            "the angles are computed. The other model has one vector for each position it knows.",
        ),
        Option(
            "Texts far longer than those of training are read as well as short ones.",
            False,
            "it can be run on them, for angles exist for every position. But the slow planes reach "
            "angles that training never showed, and quality falls.",
        ),
        Option(
            "The values carry their position into the result.",
            False,
            "values are not turned. What is read does not say where it was read.",
        ),
    ),
)

ALIBI = OneAnswer(
    id="self_check.alibi",
    prompt="How does ALiBi tell a model where tokens stand?",
    options=(
        Option(
            "It takes slope · distance off each score, with a fixed slope for each head.",
            True,
            "nothing is learned and nothing ends: every distance has its penalty, also one that "
            "training never showed.",
        ),
        Option(
            "It adds a learned number to each score, one for each range of distances.",
            False,
            "that is T5's relative bias: learned, in buckets.",
        ),
        Option(
            "It adds sines and cosines of the position to the embeddings.",
            False,
            "that is the table of 2017. ALiBi leaves embeddings alone.",
        ),
        Option(
            "It turns queries and keys by an angle that grows with the position.",
            False,
            "that is RoPE. ALiBi changes scores, not vectors.",
        ),
    ),
)

FAMILIES = SeveralAnswers(
    id="self_check.families",
    prompt="Which of these choices follow from what each family of models can see?",
    options=(
        Option(
            "Marking the names in a given text with an encoder: each token may look both ways.",
            True,
            "the text is complete, so nothing has to be hidden, and what follows a word helps.",
        ),
        Option(
            "Translating with an encoder and a decoder: the source is read whole, the target is "
            "written step by step.",
            True,
            "the encoder has no causal mask, the decoder has one and reads the encoder's output.",
        ),
        Option(
            "Answering in a chat with a decoder: the answer continues what stands there.",
            True,
            "one causal text holds the questions, the answers and what comes next.",
        ),
        Option(
            "Writing long texts with an encoder: it sees more than a decoder does.",
            False,
            "it fills holes, whose number must be known beforehand, and was never trained to go "
            "on from the left alone.",
        ),
        Option(
            "Judging whether a text is polite needs an encoder: a decoder never sees it whole.",
            False,
            "the last token of a decoder has read the whole text, and can be asked for a verdict.",
        ),
    ),
)

DECODERS = SeveralAnswers(
    id="self_check.why_decoders",
    prompt="Which of these speak for decoder-only models as models for everything?",
    options=(
        Option(
            "Every token of a text is a target in one pass of training.",
            True,
            "a masked model learns from the hidden tokens only, often about one in seven.",
        ),
        Option(
            "Every task can be put as a text that is to be continued.",
            True,
            "one objective and one model serve them all, without a new head for each.",
        ),
        Option(
            "The keys and values of what was read stay valid while the model writes.",
            True,
            "no earlier token ever looks at a later one, so a cache can be kept. In a model that "
            "looks both ways every new token changes all vectors.",
        ),
        Option(
            "A token that sees only what is before it is understood better.",
            False,
            "it is the price, not the gain: where the text is complete, both sides help.",
        ),
        Option(
            "They need nothing that tells positions.",
            False,
            "the mask gives order away to some degree, but released models rely on RoPE and its "
            "like all the same.",
        ),
    ),
)
