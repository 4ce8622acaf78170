"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "parallel",
        "build the collectives that ranks talk with, and predict their bytes and their time",
        exercises="reduce_scatter all_gather",
        questions="ring_bytes latency deadlock",
    ),
    ability(
        "parallel",
        "spread data, gradients and optimizer state over ranks, and say what each stage of ZeRO "
        "saves and costs",
        exercises="average shard gather",
        questions="means zero_bytes zero_three norm bug_average",
    ),
    ability(
        "parallel",
        "cut a model by its layers' width, by its depth, its experts and its text, and find the "
        "mistakes that make ranks disagree or wait for ever",
        exercises="mlp loss order ring",
        questions="bias one_all_reduce bubble kept vocabulary zigzag",
    ),
    ability(
        "parallel",
        "choose a layout for a model and a cluster, and predict its memory and its step time",
        exercises="stage",
        questions="layout recompute scaler",
    ),
)
