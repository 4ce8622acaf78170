"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "softmax",
        "write softmax, its logarithm and its masked form so that no finite score breaks them, "
        "and say why each line is there",
        exercises="stable log masked",
        questions="shift overflow after_the_shift float16 bfloat16 bug_maximum masked_row",
    ),
    ability(
        "softmax",
        "turn the temperature knob and predict what happens to the distribution and to its entropy",
        exercises="temperature",
        questions="temperature cold",
    ),
    ability(
        "softmax",
        "derive what the loss tells each score, and why a saturated row learns nothing while a "
        "wrong prediction does",
        exercises="cross_entropy gradient",
        questions="saturated gradient",
    ),
    ability(
        "softmax",
        "compute softmax in one pass over blocks that never meet, which is the seed of "
        "FlashAttention",
        exercises="online merge",
        questions="online_step merge associative bug_online",
    ),
)
