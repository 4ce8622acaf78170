"""The assistant of part two: a small decoder that adds numbers, in stages, stored with the course.

    load_stage("arithmetic-base")   has read pages about sums; continues text
    load_stage("assistant")         fine-tuned on conversations; answers in three ways
    load_stage("assistant-dpo")     has learned from pairs to prefer a plain answer to chatter

Small files: `arithmetic` (questions, ways of answering, the held-out split), `tokenizer`,
`base_text` (what the base reads), `recipes` (the stages), `runs` (training a stage in a folder),
`evaluation` (exact answers, by way), `stages` (the stored checkpoints), `card` (their model cards).

Taught in:        fine_tuning
"""

from course_lib.assistant.arithmetic import (
    WAYS,
    Question,
    answer,
    conversation,
    draw_question,
    final_number,
    held_out_questions,
    is_held_out,
    is_right,
    way_of,
)
from course_lib.assistant.evaluation import (
    SAMPLED,
    Score,
    answers,
    chat_prompts,
    completions,
    score,
    text_prompts,
)
from course_lib.assistant.stages import load_stage, stage_folder, stage_log
from course_lib.assistant.tokenizer import END_OF_TEXT, role_tokenizer

__all__ = [
    "END_OF_TEXT",
    "SAMPLED",
    "WAYS",
    "Question",
    "Score",
    "answer",
    "answers",
    "chat_prompts",
    "completions",
    "conversation",
    "draw_question",
    "final_number",
    "held_out_questions",
    "is_held_out",
    "is_right",
    "load_stage",
    "role_tokenizer",
    "score",
    "stage_folder",
    "stage_log",
    "text_prompts",
    "way_of",
]
