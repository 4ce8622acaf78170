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
        "change the temperature and predict what happens to the distribution and to its entropy",
        exercises="temperature",
        questions="temperature cold",
    ),
    ability(
        "softmax",
        "derive the gradients of softmax and of the loss, and say why saturated softmax blocks "
        "gradient, yet a confidently wrong prediction gets all of it",
        exercises="backward cross_entropy gradient",
        questions="saturated gradient",
    ),
    ability(
        "softmax",
        "compute the maximum and the sum in one pass over blocks, and merge blocks that were "
        "computed apart",
        exercises="online merge",
        questions="online_step merge associative bug_online",
    ),
    ability(
        "softmax",
        "predict what softmax costs in bytes and FLOPs, and compute the loss of a large "
        "vocabulary in chunks",
        exercises="chunked_loss",
        questions="logits_memory",
    ),
)
