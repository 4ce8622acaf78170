"""What chapter 12 leaves you able to do."""

from course_lib.study.ability import ability

ABILITIES = (
    ability(
        "generation",
        "write every step from logits to a drawn token, and say in which order the steps come",
        exercises="draw top_k top_p min_p distribution penalty",
        questions="prints_ties nucleus order min_p bug_penalty",
    ),
    ability(
        "generation",
        "say what greedy decoding and beam search look for, and what they miss",
        questions="greedy length_penalty",
    ),
    ability(
        "generation",
        "decode with a cache, in batches, up to a stop, and tell what that saves",
        exercises="cache positions",
        questions="recomputed what_a_cache_saves bandwidth left stop_string",
    ),
    ability(
        "generation",
        "draft tokens with a small model without changing the distribution",
        exercises="accept residual",
        questions="round acceptance bug_residual gain",
    ),
)
