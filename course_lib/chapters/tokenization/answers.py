"""Answers that only the exercises of this chapter need.

`train_bpe` recounts all pairs for every merge; the library keeps the counts up to date.
`stream_decode` lists what a chat window shows after each token. `render_chatml` writes turns in any
order; the library's also describes tools, and accepts a system message in first place only.

Taught in:        tokenization
Checked against:  `train_merges` and `chat.render_chatml` of `course_lib.tokenization`
Shapes:           none; strings, bytes and lists of ids
"""

import codecs
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from course_lib.tokenization.bpe_training import Pair, count_pairs, merge


def train_bpe(words: Sequence[tuple[Sequence[int], int]], num_merges: int) -> list[Pair]:
    """Return the merges in the order learned, by counting all pairs anew for each of them."""
    words, merges = list(words), []
    for rank in range(num_merges):
        counts = count_pairs(words)
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(merge(ids, best, 256 + rank), count) for ids, count in words]
        merges.append(best)
    return merges


def count_changes(ids: Sequence[int], pair: Pair, new_id: int) -> dict[Pair, int]:
    """Return by how much the count of each pair of one word changes when `pair` is merged."""
    changes = Counter(pairwise(merge(ids, pair, new_id)))
    changes.subtract(pairwise(ids))
    return {changed: difference for changed, difference in changes.items() if difference}


def stream_decode(tokens: Sequence[bytes]) -> list[str]:
    """Return the text to show after each token, and the rest at the end."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [*(decoder.decode(token) for token in tokens), decoder.decode(b"", final=True)]


def render_chatml(
    messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = False
) -> str:
    """Return the conversation as text: each turn in its frame, and an open turn if requested.

    The open turn has a role and a line break, but no content and no end: the model writes these.
    """
    turns = [f"<|im_start|>{each['role']}\n{each['content']}<|im_end|>\n" for each in messages]
    if add_generation_prompt:
        turns.append("<|im_start|>assistant\n")
    return "".join(turns)
