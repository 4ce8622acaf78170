"""Questions on what a few lines of code print."""

from course_lib.study.ask.question import PredictOutput
from course_lib.study.ask.question_parts import Mistake

MERGES = PredictOutput(
    id="self_check.prints_merges",
    prompt="Three merges are applied in the order in which they were learned.",
    code="""
word = list("banana")
merges = [("a", "n"), ("an", "a"), ("b", "an")]
for left, right in merges:
    place = 0
    while place < len(word) - 1:
        if (word[place], word[place + 1]) == (left, right):
            word[place:place + 2] = [left + right]
        place += 1
print(word)
""",
    why="After the first merge: b an an a. After the second: b an ana, since only the second `an` "
    "is followed by `a`. After the third: ban ana.",
    mistakes=(
        Mistake(
            "['b', 'ana', 'na']",
            "When the second merge is applied, no single `n` is left: the first merge made both "
            "into `an`.",
        ),
        Mistake(
            "['banana']",
            "No merge joins `ban` and `ana`. Only learned pairs are joined.",
        ),
        Mistake(
            "['ban', 'an', 'a']",
            "The second merge joins `an` and the `a` after it before the third is tried.",
        ),
    ),
)

MASKS = PredictOutput(
    id="self_check.prints_masks",
    prompt="Two ways to mask the second half of four equal scores.",
    code="""
import torch

scores = torch.zeros(4)
mask = torch.tensor([True, True, False, False])
before = scores.masked_fill(~mask, float("-inf")).softmax(0)
after = scores.softmax(0) * mask
print(before.sum().item(), after.sum().item())
""",
    why="Masked before softmax, the two remaining weights sum to 1. Masked afterwards, four "
    "weights of 0.25 were computed, and two of them are set to 0.",
    mistakes=(
        Mistake(
            "1.0 1.0",
            "The second way removes weights after softmax has made all four sum to 1.",
        ),
        Mistake(
            "0.5 0.5",
            "The exponential of -inf is 0, so the sum that softmax divides by has only two terms.",
        ),
    ),
)

SHAPES = PredictOutput(
    id="self_check.prints_shapes",
    prompt="A width of 12 is split into three heads, for 2 texts of 5 tokens.",
    code="""
import torch

x = torch.zeros(2, 5, 12)
q = x.view(2, 5, 3, 4).transpose(1, 2)
scores = q @ q.transpose(-2, -1)
print(tuple(q.shape))
print(tuple(scores.shape))
""",
    why="The head axis moves before the token axis, so each head has a matrix of tokens by "
    "features. Its scores are tokens by tokens.",
    mistakes=(
        Mistake(
            "(2, 5, 3, 4)\n(2, 5, 3, 3)",
            "That is without the transpose: each token would compare its own heads.",
        ),
        Mistake(
            "(2, 3, 5, 4)\n(2, 3, 4, 4)",
            "A matrix product sums over the last axis of the left factor: features, not tokens.",
        ),
    ),
)

DIAGONAL = PredictOutput(
    id="self_check.prints_rows",
    prompt="Two new tokens attend to five keys: three from the cache, and their own two.",
    code="""
import torch

mask = torch.ones(2, 5).tril(diagonal=3)
print(mask.sum(1).int().tolist())
""",
    why="The first new token is at position 3 and reads positions 0 to 3; the second reads all "
    "five.",
    mistakes=(
        Mistake(
            "[1, 2]",
            "That is diagonal=0, aligned to the upper left corner: the new tokens would hardly "
            "read the cache.",
        ),
        Mistake(
            "[3, 4]",
            "Each token reads itself as well: diagonal=3 includes column 3 in row 0.",
        ),
        Mistake("[5, 5]", "The first new token may not read the second one."),
    ),
)

PENALTY = PredictOutput(
    id="self_check.prints_penalty",
    prompt="A repetition penalty of 2. Three tokens were generated: token 0 once, token 1 twice.",
    code="""
import torch

logits = torch.tensor([4.0, -1.0, 3.0, -2.0])
written = torch.tensor([0, 1, 1])
seen = logits[written]
logits[written] = torch.where(seen < 0, seen * 2, seen / 2)
print(logits.tolist())
""",
    why="Positive logits are divided and negative ones multiplied, so both fall. Token 1 occurs "
    "twice, but both copies are computed from the same -1 and give the same -2.",
    mistakes=(
        Mistake(
            "[2.0, -4.0, 3.0, -2.0]",
            "Both copies of token 1 are computed from the original logit and write the same result "
            "to the same place.",
        ),
        Mistake(
            "[2.0, -0.5, 3.0, -2.0]",
            "A negative logit is multiplied. Divided, it would come closer to 0, which is a "
            "reward.",
        ),
        Mistake(
            "[2.0, -2.0, 1.5, -4.0]",
            "Only generated tokens change. Tokens 2 and 3 were not generated.",
        ),
    ),
)
