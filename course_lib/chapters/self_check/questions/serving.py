"""Questions on running a model: cache, FlashAttention, prefill, sampling, drafts."""

from course_lib.study.ask.question import OneAnswer, Option, SeveralAnswers

CACHE = OneAnswer(
    id="self_check.cache_saves",
    prompt="A model generates its 1000th token with a KV cache. What work does the cache save?",
    options=(
        Option(
            "Computing the keys and values of the 999 earlier tokens again.",
            True,
            "they were computed once and do not change. The new query still reads all of them, so "
            "a step gets slower as the text grows.",
        ),
        Option(
            "Reading the 999 earlier keys: the last one sums them up.",
            False,
            "a recurrent model sums up its past. Attention keeps every key, and reads all of them.",
        ),
        Option(
            "Reading the model's weights again.",
            False,
            "every step passes through all layers. A dense model reads all its weights again for "
            "each token, and often that takes most of the time.",
        ),
        Option(
            "Sending the new token through the feed-forward layers.",
            False,
            "the cache is part of attention. The new token passes through the whole model.",
        ),
    ),
)

FLASH = OneAnswer(
    id="self_check.why_flash",
    prompt="Why is FlashAttention faster on a GPU than separate steps for scores, softmax and "
    "weighted mean?",
    options=(
        Option(
            "It moves far fewer bytes: the table of scores never leaves fast memory.",
            True,
            "the separate steps write n · n numbers to slow memory and read them again, twice. "
            "Moving them takes longer than computing them.",
        ),
        Option(
            "It computes fewer products.",
            False,
            "it computes as many, and more in the backward pass, where scores are computed again "
            "instead of being read.",
        ),
        Option(
            "It leaves out keys whose weight would be very small.",
            False,
            "it is exact. Only masked blocks may be skipped.",
        ),
        Option(
            "It replaces softmax by a sum that is linear in the length.",
            False,
            "that is linear attention, a different function. FlashAttention computes softmax "
            "exactly, block by block.",
        ),
    ),
)

FLASH_FACTS = SeveralAnswers(
    id="self_check.flash_facts",
    prompt="A model is switched from standard attention to FlashAttention. What do you expect?",
    options=(
        Option(
            "Its outputs change by rounding only.",
            True,
            "the sums are computed in a different order; the function is the same.",
        ),
        Option(
            "In training, the memory of attention grows with the length, not with its square.",
            True,
            "only the output and one number per query are stored, the logarithm of its sum.",
        ),
        Option(
            "The backward pass computes the scores a second time.",
            True,
            "they were not stored. Computing them again in fast memory is cheaper than reading "
            "them.",
        ),
        Option(
            "The time for a prompt grows linearly with its length.",
            False,
            "every query is still compared with every key. It grows with the square, with a "
            "smaller factor.",
        ),
        Option(
            "Generating one token at a time gains the most from it.",
            False,
            "one query has one row of scores, which is small. There the time is spent on reading "
            "weights and cache, which does not change.",
        ),
    ),
)

PREFILL = OneAnswer(
    id="self_check.prefill_or_decode",
    prompt="A GPU processes a prompt of 2000 tokens in the time in which it generates ten. Why is "
    "a token of the prompt so much cheaper than a generated one?",
    options=(
        Option(
            "All tokens of the prompt share one reading of the weights.",
            True,
            "each generated token needs the one before it, so the weights are read once for each. "
            "The arithmetic per token is the same.",
        ),
        Option(
            "Tokens of the prompt pass through fewer layers.",
            False,
            "they pass through all layers, since later tokens read their keys and values in each.",
        ),
        Option(
            "Tokens of the prompt need no keys and values.",
            False,
            "their keys and values fill the cache.",
        ),
        Option(
            "The prompt was seen in training.",
            False,
            "the time of a matrix product does not depend on its values.",
        ),
    ),
)

ORDER = OneAnswer(
    id="self_check.temperature_first",
    prompt="A temperature of 2 and top-p of 0.9 are used together. Temperature was applied first; "
    "now top-p comes first. What changes?",
    options=(
        Option(
            "Usually fewer tokens are kept, because top-p now sees the steeper distribution.",
            True,
            "before the logits are halved, fewer tokens are needed to reach 0.9, never more.",
        ),
        Option(
            "Usually more tokens are kept, because top-p now sees the flatter distribution.",
            False,
            "a temperature of 2 flattens the distribution. Now top-p comes before that.",
        ),
        Option(
            "The same tokens are kept, with different probabilities.",
            False,
            "that holds for top-k, which uses ranks. Top-p adds up probabilities, and these depend "
            "on the temperature.",
        ),
        Option(
            "Nothing, since both divide by a sum in the end.",
            False,
            "which tokens are kept is decided before that division, from different probabilities.",
        ),
    ),
)

DRAFTS = OneAnswer(
    id="self_check.drafts",
    prompt="In speculative decoding a small model proposes a token, to which it gives probability "
    "q and the large model p. It is kept with probability min(1, p / q). A rejected token is "
    "replaced by a sample from the normalized excess max(0, p - q). How are the generated tokens "
    "distributed?",
    options=(
        Option(
            "Exactly as if the large model had generated them alone.",
            True,
            "a token is kept with total probability min(p, q), and appears as a replacement with "
            "the rest, p - min(p, q): together p.",
        ),
        Option(
            "As a mixture of both models, weighted by how often drafts are kept.",
            False,
            "the replacements are sampled so that they cancel the draft model's preferences "
            "exactly.",
        ),
        Option(
            "Like the small model where drafts are kept, like the large one elsewhere.",
            False,
            "a kept token is not a sample from q: which ones are kept depends on p.",
        ),
        Option(
            "Like the large model at a lower temperature.",
            False,
            "likely tokens are kept more often, but the others come back as replacements.",
        ),
    ),
)
