"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "attention",
        "write attention with any mask, cut it into heads, let heads share their keys, and say "
        "what each line is for",
        exercises="scaled_dot_product causal_mask padding_mask split_heads merge_heads "
        "grouped_query multi_head cached_step",
        questions="roles steps bug_mask new_query bug_split group",
    ),
    ability(
        "attention",
        "predict what the scale, the mask and the order of the tokens do to the result",
        questions="scaled by_width symmetry empty_row shuffled",
    ),
    ability(
        "attention",
        "say what attention costs in operations and in bytes, with a cache and without",
        questions="count cache bytes",
    ),
    ability(
        "attention",
        "look at the maps of a trained model, find the heads that copy, and test whether they do "
        "what they seem to do",
        exercises="induction_score ablated_output",
        questions="induction ablation mean_ablation",
    ),
)
