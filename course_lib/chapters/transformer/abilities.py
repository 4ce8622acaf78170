"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "transformer",
        "write a decoder as modules, from the block to the logits, and say what goes wrong when a "
        "norm or a residual connection is in the wrong place",
        exercises="block forward positions greedy modules",
        questions="pass_steps block_by_hand bug_block last_norm position work",
    ),
    ability(
        "transformer",
        "load a checkpoint strictly, and know which mistakes strict loading does not notice",
        exercises="head misfits fused",
        questions="tensors tied_bytes noticed extra column",
    ),
    ability(
        "transformer",
        "find the module where your model and a reference start to differ",
        exercises="faults",
        questions="report",
    ),
    ability(
        "transformer",
        "read the residual stream between two layers, and remove a head or a layer to measure what "
        "it contributes",
        exercises="contributions patch",
        questions="lens contribution silent_head",
    ),
    ability(
        "transformer",
        "tell the three families of transformers apart by who reads whom and by what is predicted",
        exercises="family_mask",
        questions="mask_size predictions tasks decoder_won",
    ),
)
