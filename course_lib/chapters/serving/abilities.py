"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "serving",
        "predict how many requests a server holds and how many tokens per second it gives, from "
        "Little's law, the size of the cache and the roofline",
        exercises="rate blocks requests",
        questions="little batch blocks_of_request fit",
    ),
    ability(
        "serving",
        "build a block allocator with copy on write and attention through a block table, and say "
        "what sharing blocks saves and when it would be wrong",
        exercises="write read reusable",
        questions="paged chain saved bug_drop",
    ),
    ability(
        "serving",
        "build a step of a scheduler and preemption, and explain static, continuous and chunked "
        "batching, drafts and masks",
        exercises="shares preempted draft allowed",
        questions="static chunks preemption drafts",
    ),
)
