"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "multimodal",
        "build a vision transformer's tokens from a picture, and CLIP's loss and its classes made "
        "of words",
        exercises="patchify embedding clip_loss zero_shot",
        questions="patches convolution positions scale rivals duplicates bug_patchify",
    ),
    ability(
        "multimodal",
        "join a vision encoder and a language model as LLaVA does: projector, pixel shuffle, "
        "splicing, labels, stages",
        exercises="shuffle splice expand learning",
        questions="freeze labels pipeline",
    ),
    ability(
        "multimodal",
        "say what a picture costs in tokens, where its tokens stand, and test whether a model "
        "looks at it at all",
        exercises="tokens mrope",
        questions="tiles mrope_next blank word_order",
    ),
)
