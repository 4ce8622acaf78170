"""Questions on running a model: cache, FlashAttention, prefill, sampling, drafts."""

from course_lib.study.ask.question import OneAnswer, Option, SeveralAnswers

CACHE = OneAnswer(
    id="self_check.cache_saves",
    prompt="A model writes its 1000th token with a KV cache. What does the cache spare it?",
    options=(
        Option(
            "Computing the keys and values of the 999 earlier tokens again.",
            True,
            "they were computed once and stay as they are. The new query still reads all of them, "
            "so a step gets slower as the text grows.",
        ),
        Option(
            "Reading the 999 earlier keys: the last one sums them up.",
            False,
            "a recurrent model sums up its past. Attention keeps each key, and reads each.",
        ),
        Option(
            "Reading the model's weights again.",
            False,
            "every step passes through all layers. The weights are read for each token anew, and "
            "often that is most of the work.",
        ),
        Option(
            "Sending the new token through the feed-forward layers.",
            False,
            "the cache belongs to attention. The new token takes the whole way through the model.",
        ),
    ),
)

FLASH = OneAnswer(
    id="self_check.why_flash",
    prompt="Why is FlashAttention faster on a GPU than three separate steps for scores, softmax "
    "and mean?",
    options=(
        Option(
            "It moves far fewer bytes: the table of scores never leaves fast memory.",
            True,
            "the three steps write n · n numbers to slow memory and fetch them again, twice. "
            "Moving them takes longer than computing them.",
        ),
        Option(
            "It computes fewer products.",
            False,
            "it computes no fewer, and in the backward pass even more: scores are computed again "
            "instead of being fetched.",
        ),
        Option(
            "It leaves out keys whose weight would be very small.",
            False,
            "it is exact. Only what a mask forbids may be left out.",
        ),
        Option(
            "It replaces softmax by a sum that is linear in the length.",
            False,
            "that is linear attention, another function. FlashAttention gives the weights of "
            "softmax, block by block.",
        ),
    ),
)

FLASH_FACTS = SeveralAnswers(
    id="self_check.flash_facts",
    prompt="A model is switched from standard attention to FlashAttention. What is to be expected?",
    options=(
        Option(
            "Its outputs change by rounding only.",
            True,
            "the sums are taken in another order; the function is the same.",
        ),
        Option(
            "In training, the memory of attention grows with the length, not with its square.",
            True,
            "kept are the output and one number for each query, the logarithm of its sum.",
        ),
        Option(
            "The backward pass computes the scores a second time.",
            True,
            "they were not stored. To compute them again in fast memory is cheaper than to fetch "
            "them.",
        ),
        Option(
            "The time of a prompt grows with its length, not with the square.",
            False,
            "every query still meets every key. The square stays, with a smaller factor.",
        ),
        Option(
            "Writing one token at a time gains the most from it.",
            False,
            "one query has one row of scores, which is small. There the time goes into reading "
            "weights and cache, and both are read as before.",
        ),
    ),
)

PREFILL = OneAnswer(
    id="self_check.prefill_or_decode",
    prompt="A GPU reads a prompt of 2000 tokens in the time in which it writes ten. Why is a token "
    "that is read so much cheaper than one that is written?",
    options=(
        Option(
            "All tokens of the prompt share one reading of the weights.",
            True,
            "each written token needs the one before it, so the weights travel through the chip "
            "once for each. The arithmetic is the same.",
        ),
        Option(
            "Tokens of the prompt pass through fewer layers.",
            False,
            "they pass through all, or later tokens would have nothing to read in the upper ones.",
        ),
        Option(
            "Tokens of the prompt need no keys and values.",
            False,
            "theirs are what the cache is filled with.",
        ),
        Option(
            "The prompt was seen in training.",
            False,
            "the time of a product does not depend on what its numbers mean.",
        ),
    ),
)

ORDER = OneAnswer(
    id="self_check.temperature_first",
    prompt="A temperature of 2 and top-p with 0.9 are used together. Temperature was applied "
    "first; now top-p is. What changes?",
    options=(
        Option(
            "Fewer tokens survive as a rule, because top-p now looks at the steeper distribution.",
            True,
            "before the scores are halved, fewer tokens are needed to reach 0.9, never more.",
        ),
        Option(
            "More tokens survive as a rule, because top-p now looks at the flatter distribution.",
            False,
            "a temperature of 2 flattens. Now top-p comes before that, and sees steep ones.",
        ),
        Option(
            "The same tokens survive, with other probabilities.",
            False,
            "that holds for top-k, which looks at ranks. Top-p adds up probabilities, and these "
            "depend on the temperature.",
        ),
        Option(
            "Nothing, since both divide by a sum in the end.",
            False,
            "who survives is decided before that division, and by different numbers.",
        ),
    ),
)

DRAFTS = OneAnswer(
    id="self_check.drafts",
    prompt="In speculative decoding a small model proposes a token with probability q, and the "
    "large one, which gives it p, keeps it with probability min(1, p / q). A rejected token is "
    "replaced by a draw from what p has more than q. How are the written tokens distributed?",
    options=(
        Option(
            "Exactly as if the large model had written alone.",
            True,
            "a token comes with min(p, q) as a kept one, and with the rest, p - min(p, q), as a "
            "replacement: together p.",
        ),
        Option(
            "As a mixture of both models, weighted by how often drafts are kept.",
            False,
            "the replacements are drawn so that they undo the draft's preferences exactly.",
        ),
        Option(
            "Like the small model where drafts are kept, like the large one elsewhere.",
            False,
            "a kept token is not a draw from q: which ones are kept depends on p.",
        ),
        Option(
            "Like the large model at a lower temperature.",
            False,
            "likely tokens are kept more often, but the unlikely ones come back as replacements.",
        ),
    ),
)
