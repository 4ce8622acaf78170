"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "training",
        "write the objective with its shift and its padding, and say what the first loss must be",
        exercises="next_token_loss bits_per_byte",
        questions="shift first_loss padding overfit",
    ),
    ability(
        "training",
        "write AdamW, the learning-rate schedule and clipping, each identical to the library that "
        "people use",
        exercises="descend adamw schedule clip",
        questions="loop first_step decoupled rate clip",
    ),
    ability(
        "training",
        "assemble a training loop that computes a large batch in parts, and train in mixed "
        "precision without changing what is learned",
        exercises="accumulate train",
        questions="added_up bug_accumulate bfloat16",
    ),
    ability(
        "training",
        "resume a killed run bit for bit",
        questions="resume",
    ),
    ability(
        "training",
        "train a model while you watch, see the moment when it learns to look things up, and "
        "predict what a larger one will reach",
        exercises="power_law",
        questions="cliff exponent budget",
    ),
)
