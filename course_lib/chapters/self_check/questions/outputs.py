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
    why="First b an an a, then b an ana, since only the second `an` is followed by `a`, then "
    "ban ana.",
    mistakes=(
        Mistake(
            "['b', 'ana', 'na']",
            "When the second merge is applied, there is no single `n` left: the first one has "
            "made both `an`.",
        ),
        Mistake(
            "['banana']",
            "No merge joins `ban` and `ana`. Only learned pairs are joined.",
        ),
        Mistake(
            "['ban', 'an', 'a']",
            "The second merge joins `an` and the `a` behind it before the third one is tried.",
        ),
    ),
)

MASKS = PredictOutput(
    id="self_check.prints_masks",
    prompt="Two ways to hide the second half of four equal scores.",
    code="""
import torch

scores = torch.zeros(4)
mask = torch.tensor([True, True, False, False])
before = scores.masked_fill(~mask, float("-inf")).softmax(0)
after = scores.softmax(0) * mask
print(before.sum().item(), after.sum().item())
""",
    why="Hidden before softmax, two scores share the whole of 1. Hidden afterwards, four have "
    "shared it, and two of the shares are thrown away.",
    mistakes=(
        Mistake(
            "1.0 1.0",
            "The second way throws weights away after they were made to sum to 1.",
        ),
        Mistake(
            "0.5 0.5",
            "Where a score is -inf, its exponential is 0, and the sum that softmax divides by has "
            "only two parts.",
        ),
    ),
)

SHAPES = PredictOutput(
    id="self_check.prints_shapes",
    prompt="Three heads are cut out of a width of 12, for 2 texts of 5 tokens.",
    code="""
import torch

x = torch.zeros(2, 5, 12)
q = x.view(2, 5, 3, 4).transpose(1, 2)
scores = q @ q.transpose(-2, -1)
print(tuple(q.shape))
print(tuple(scores.shape))
""",
    why="The heads move in front of the tokens, so that each head has a matrix of tokens by "
    "features. Its scores are tokens by tokens.",
    mistakes=(
        Mistake(
            "(2, 5, 3, 4)\n(2, 5, 3, 3)",
            "That is without the transposition: each token would compare its own heads.",
        ),
        Mistake(
            "(2, 3, 5, 4)\n(2, 3, 4, 4)",
            "A product sums over the last axis of the left side: over features, not over tokens.",
        ),
    ),
)

DIAGONAL = PredictOutput(
    id="self_check.prints_rows",
    prompt="Two new tokens meet five keys: three from the cache, and their own.",
    code="""
import torch

mask = torch.ones(2, 5).tril(diagonal=3)
print(mask.sum(1).int().tolist())
""",
    why="The first new token stands at position 3 and reads positions 0 to 3, the second one reads "
    "all five.",
    mistakes=(
        Mistake(
            "[1, 2]",
            "That is diagonal=0, the mask in the upper left corner: the new tokens would not read "
            "the cache.",
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
    prompt="A repetition penalty of 2. Three tokens were written: token 0 once, token 1 twice.",
    code="""
import torch

logits = torch.tensor([4.0, -1.0, 3.0, -2.0])
written = torch.tensor([0, 1, 1])
seen = logits[written]
logits[written] = torch.where(seen < 0, seen * 2, seen / 2)
print(logits.tolist())
""",
    why="A positive score is divided, a negative one multiplied, so that both fall. Token 1 stands "
    "twice among the written ones, and both times the same -1 becomes the same -2.",
    mistakes=(
        Mistake(
            "[2.0, -4.0, 3.0, -2.0]",
            "Both copies of token 1 are computed from the score as it was, and write the same "
            "result into one place.",
        ),
        Mistake(
            "[2.0, -0.5, 3.0, -2.0]",
            "A negative score is multiplied. Divided, it would come closer to 0: a reward.",
        ),
        Mistake(
            "[2.0, -2.0, 1.5, -4.0]",
            "Only written tokens change. Tokens 2 and 3 were not written.",
        ),
    ),
)
