"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "multimodal",
        "scale a tensor by a number, and say what that keeps",
        exercises="scaled",
        questions="zero one minus half double kept product steps",
    ),
)
