"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "generation",
        "build every common filter of scores, top-k, top-p, min-p, the repetition penalty, and say "
        "why their order matters",
        exercises="draw top_k top_p min_p distribution penalty",
        questions="prints_ties nucleus order min_p bug_penalty",
    ),
    ability(
        "generation",
        "say what beam search optimises, and what its length penalty really does",
        questions="greedy length_penalty",
    ),
    ability(
        "generation",
        "write with a KV cache, alone and in a batch with padding, and say what the cache saves "
        "and what it does not",
        exercises="cache",
        questions="recomputed what_a_cache_saves left stop_string",
    ),
    ability(
        "generation",
        "explain why one token at a time is slow, and how a small model can speed up a large one "
        "without changing a word",
        exercises="accept residual",
        questions="bandwidth round acceptance bug_residual gain",
    ),
)
