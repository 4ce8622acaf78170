"""The questions of the closing self-check, over the whole course.

Taught in:        self_check
Checked against:  the library, which computes every numeric answer; code that is run by the tests
"""

from course_lib.chapters.self_check.questions import (
    blocks,
    bugs,
    design,
    numbers,
    outputs,
    parts,
    serving,
    text,
)
from course_lib.study.ask.question import Question

PARTS: dict[str, tuple[Question, ...]] = {
    "text and tokens": (
        text.PIECES,
        outputs.MERGES,
        text.ENCODING,
        text.PADDING,
        text.PERPLEXITY,
        bugs.BYTES,
    ),
    "attention and positions": (
        parts.COST,
        parts.ROOT,
        outputs.MASKS,
        outputs.SHAPES,
        bugs.SHARED,
        bugs.LEAK,
        parts.ABSOLUTE,
        numbers.ANGLE,
        parts.ALIBI,
    ),
    "norms, MLPs and blocks": (
        blocks.NORM,
        blocks.PRINTS_NORM,
        blocks.DEAD,
        blocks.BALANCE,
        blocks.ACTIVE,
        blocks.BLOCK,
        blocks.RESIDUAL,
        bugs.NORM,
    ),
    "models and their cost": (
        parts.FAMILIES,
        parts.DECODERS,
        numbers.GROUPS,
        numbers.PROMPT,
        blocks.TRAINING,
        blocks.DECODE,
        serving.FLASH,
        numbers.TABLE,
        serving.FLASH_FACTS,
    ),
    "training and generation": (
        bugs.LOSS,
        bugs.NAN,
        text.STEP,
        numbers.RATE,
        bugs.ADAMW,
        serving.CACHE,
        outputs.DIAGONAL,
        bugs.POSITION,
        serving.PREFILL,
        outputs.PENALTY,
        numbers.NUCLEUS,
        serving.ORDER,
        serving.DRAFTS,
        text.CHAT,
    ),
    "design": (design.LONG, design.FASTER, design.IMAGES),
}

QUESTIONS: tuple[Question, ...] = tuple(each for part in PARTS.values() for each in part)
