"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "transformer",
        "write a decoder block and a whole decoder, and say what goes wrong when a norm or a "
        "residual stands in the wrong place",
        exercises="block forward positions greedy",
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
        "find the module at which your model and a reference part",
        questions="report",
    ),
    ability(
        "transformer",
        "read the residual stream between two layers, and take a head or a layer away to see what "
        "it was good for",
        exercises="contributions",
        questions="lens contribution silent_head",
    ),
    ability(
        "transformer",
        "tell the three families of transformers apart by who reads whom and by what is predicted",
        exercises="family_mask",
        questions="mask_size predictions tasks decoder_won",
    ),
)
