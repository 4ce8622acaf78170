"""Questions on the embedding table and the tied output head."""

import random
from typing import Any

from course_lib.embeddings import embedding_share
from course_lib.study.ask.question import (
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)


def _models(rng: random.Random) -> dict[str, Any]:
    width = rng.choice([768, 1024, 2048, 4096])
    vocabulary = rng.choice([32_000, 50_257, 128_256, 151_936])
    return {"width": width, "vocabulary": vocabulary, "total": rng.choice([2, 3, 5, 8])}


def _tied_share(width: int, vocabulary: int, total: int) -> float:
    return 100 * embedding_share(vocabulary, width, total * 10**9, tied=True)


TABLES = (
    OneAnswer(
        "embeddings_and_norms.cost_of_a_lookup",
        "A vocabulary of V tokens, a width of C. What does looking up one id cost, compared with "
        "multiplying its one-hot vector by the table?",
        (
            Option(
                "Copying C numbers, instead of V·C multiply-adds.",
                True,
                "all rows but one are multiplied by zero, so the product is a copy of one row.",
            ),
            Option(
                "Copying V numbers, instead of V·C multiply-adds.",
                False,
                "a row of the table has C numbers; V is the number of rows.",
            ),
            Option(
                "The same: both read the whole table.",
                False,
                "a lookup reads one row only.",
            ),
            Option(
                "C multiply-adds, instead of V multiply-adds.",
                False,
                "a lookup multiplies nothing, and the product has V·C multiply-adds.",
            ),
        ),
    ),
    SeveralAnswers(
        "embeddings_and_norms.gradient_of_a_table",
        "A batch holds 40 different token ids out of a vocabulary of 50 000, and nothing is tied. "
        "Which statements about the gradient of the embedding table are true?",
        (
            Option(
                "At most 40 of its rows differ from zero.",
                True,
                "only rows that were looked up affect the result.",
            ),
            Option(
                "The row of an id that occurs twice receives the sum of both gradients.",
                True,
                "the same row was used twice, and the gradients of both uses add up.",
            ),
            Option(
                "It has the shape of the table, however few ids there are.",
                True,
                "a dense gradient has one number for each parameter, most of them zero here.",
            ),
            Option(
                "Rows of ids that are numerically close receive similar gradients.",
                False,
                "an id is a name. Row 17 has nothing to do with row 18.",
            ),
        ),
    ),
    Numeric(
        "embeddings_and_norms.share_of_the_table",
        "A model with {total} billion parameters has a vocabulary of {vocabulary} tokens, a width "
        "of {width}, and one table tied to its head. What percentage of its parameters is that "
        "table?",
        _models,
        _tied_share,
        lambda width, vocabulary, total: (
            f"{vocabulary} · {width} = {vocabulary * width:,} parameters of {total * 10**9:,}: "
            f"{_tied_share(width, vocabulary, total):.4g} percent."
        ),
        unit="percent",
        slips=(
            Slip(
                "counted twice",
                lambda width, vocabulary, total: 2 * _tied_share(width, vocabulary, total),
                "A tied head is the same table: it is counted once.",
            ),
        ),
    ),
    OneAnswer(
        "embeddings_and_norms.what_tying_means",
        "Embedding and output head are tied. What does that mean?",
        (
            Option(
                "A token's score is the dot product of its embedding with the last hidden state.",
                True,
                "the head's row for a token is its row of the table.",
            ),
            Option(
                "The head is computed from the embedding by one more learned matrix.",
                False,
                "there is no matrix in between: one tensor is used twice.",
            ),
            Option(
                "Both start from the same numbers and are then trained separately.",
                False,
                "they stay one tensor; its gradient is the sum of both uses.",
            ),
            Option(
                "The model can only predict tokens that occurred in its input.",
                False,
                "the table has a row for every token of the vocabulary.",
            ),
        ),
    ),
)
