"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "generation",
        "build every common filter of logits, top-k, top-p, min-p, the repetition penalty, and say "
        "why their order matters",
        exercises="draw top_k top_p min_p distribution penalty",
        questions="prints_ties nucleus order min_p bug_penalty",
    ),
    ability(
        "generation",
        "build a step of beam search, and say what the search optimises and what its length "
        "penalty really does",
        exercises="beam_step",
        questions="greedy length_penalty",
    ),
    ability(
        "generation",
        "write a generate loop with a KV cache, generate in a batch with padding, and say what "
        "the cache saves and what it does not",
        exercises="cache loop",
        questions="recomputed what_a_cache_saves left stop_string",
    ),
    ability(
        "generation",
        "explain why one token at a time is slow, and build a round of speculative decoding, "
        "which speeds up a large model with a small one without changing its distribution",
        exercises="accept residual speculative_round",
        questions="bandwidth round acceptance bug_residual gain",
    ),
)
