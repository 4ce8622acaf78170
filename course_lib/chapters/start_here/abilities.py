"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "start_here",
        "work with this course: run cells, solve exercises, and follow a text through a model",
        exercises="text_to_ids",
        questions="bytes untouched stages",
    ),
)
