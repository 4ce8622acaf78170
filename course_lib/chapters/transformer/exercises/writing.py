"""Exercises on writing text: which positions new tokens have, and the greedy loop."""

import torch
import torch.nn.functional as F

from course_lib.chapters.transformer.exercises import generators
from course_lib.model import functions
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _positions_by_loop(padding, new_tokens):
    rows = []
    for row in padding.tolist():
        seen, places = 0, []
        for real in row:
            places.append(seen)
            seen += real
        rows.append(places[len(row) - new_tokens :])
    return torch.tensor(rows, dtype=torch.long)


def _row(*real):
    return torch.tensor([real], dtype=torch.bool)


POSITIONS = Exercise(
    id="transformer.positions",
    title="Where do the new tokens stand?",
    minutes=8,
    difficulty=2,
    statement=(
        "`padding` (B, S) is True at real tokens, over all tokens so far. The last `new_tokens` of "
        "each row are new, those before them are in the cache. Return the positions (B, T) of the "
        "new ones, counted from 0 at the first real token of the row; padding gets 0. All padding "
        "stands on the left."
    ),
    solution=functions.token_positions,
    reference=_positions_by_loop,
    generator=generators.paddings,
    probes=(
        Probe(
            "a whole text",
            lambda: call(torch.ones(1, 4, dtype=torch.bool), 4),
            "Without cache and padding: 0, 1, 2, 3.",
        ),
        Probe(
            "one token behind a cache",
            lambda: call(torch.ones(2, 6, dtype=torch.bool), 1),
            "Five tokens are cached, so the new one has position 5.",
        ),
        Probe(
            "two texts of different length",
            lambda: call(torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]).bool(), 5),
            "The shorter text begins behind its padding, and there at 0.",
        ),
        Probe(
            "padding and a cache",
            lambda: call(torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]]).bool(), 2),
            "The positions go on where the cached real tokens of each row have ended.",
        ),
        Probe(
            "new tokens that are padding",
            lambda: call(_row(0, 0, 0, 1), 3),
            "Padding has a place too, though nobody reads it: 0, and never a negative number.",
        ),
        Probe(
            "no new tokens",
            lambda: call(_row(0, 1, 1), 0),
            "No new tokens have no positions: shape (1, 0).",
        ),
    ),
    misconceptions=(
        Misconception(
            "positions not offset by the cache",
            lambda padding, new_tokens: torch.arange(new_tokens).expand(len(padding), -1),
            "You count the new tokens from 0. The cached ones come first: with five of them the "
            "next token has position 5. Text written so repeats itself or falls apart.",
        ),
        Misconception(
            "padding skipped, the cache forgotten",
            lambda padding, new_tokens: (
                padding[:, padding.shape[1] - new_tokens :].cumsum(-1) - 1
            ).clamp(min=0),
            "You count real tokens among the new ones only. Count over the whole row, then keep "
            "the last columns.",
        ),
        Misconception(
            "padding counted",
            lambda padding, new_tokens: torch.arange(padding.shape[1])[
                padding.shape[1] - new_tokens :
            ].expand(len(padding), -1),
            "You count padding as text. In a batch a short text would then begin at a position at "
            "which no text began in training.",
        ),
        Misconception(
            "counted from 1",
            lambda padding, new_tokens: padding.cumsum(-1)[:, padding.shape[1] - new_tokens :],
            "The running count at a token includes the token itself. Subtract 1.",
        ),
        Misconception(
            "negative positions at padding",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1)[
                :, padding.shape[1] - new_tokens :
            ],
            "Padding gets −1. A learned table would read its *last* row there, or refuse. Use 0.",
        ),
        Misconception(
            "padding at position 1",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).masked_fill(~padding, 1)[
                :, padding.shape[1] - new_tokens :
            ],
            "Real tokens are right. Some programs put 1 at padding, and since nobody reads padding "
            "that does no harm; here it is to be 0.",
        ),
        Misconception(
            "counted back from the end",
            lambda padding, new_tokens: (
                padding.sum(-1, keepdim=True) - new_tokens + torch.arange(new_tokens)
            ),
            "Right where all new tokens are real. Where some are padding you count below 0; a "
            "learned table would read its *last* rows there, or refuse. Use 0: clamp(min=0).",
        ),
        Misconception(
            "the first instead of the last",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).clamp(min=0)[:, :new_tokens],
            "New tokens stand at the end of the row: keep the last columns.",
        ),
        Misconception(
            "[:, -0:] taken for nothing",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).clamp(min=0)[:, -new_tokens:],
            "With no new tokens you return all positions: −0 is 0, and [:, 0:] is everything. "
            "Count from the front: [:, S - new_tokens:].",
        ),
    ),
    alternatives=(
        Alternative(
            "from the number of padding tokens",
            lambda padding, new_tokens: (
                torch.arange(padding.shape[1] - new_tokens, padding.shape[1])
                - (~padding).sum(-1, keepdim=True)
            ).clamp(min=0),
        ),
        Alternative("token by token", _positions_by_loop),
        Alternative(
            "as the hints have it",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).clamp(min=0)[
                :, padding.shape[1] - new_tokens :
            ],
        ),
    ),
    hints=(
        "A running count of True along each row: padding.cumsum(-1).",
        "Subtract 1, since the first real token has position 0; clamp(min=0) for the padding.",
        "Keep the last new_tokens columns: [:, padding.shape[1] - new_tokens:].",
    ),
)


def next_letter(ids):
    """Stand in for a model: the successor of each token scores highest, 5 tokens in a ring."""
    _require_batch(ids)
    return F.one_hot((ids + 1) % 5, 5).float() + torch.tensor([0.01, 0.02, 0.03, 0.04, 0.05])


def next_by_sum(ids):
    """Stand in for a model that reads the whole text: the sum of all ids decides."""
    _require_batch(ids)
    return F.one_hot(ids.cumsum(-1) % 7, 7).float()


def _require_batch(ids):
    if ids.dim() != 2:
        raise ValueError(
            f"a model takes ids of shape (B, T), here (1, T); got {tuple(ids.shape)}. Put an axis "
            "in front: ids[None]."
        )


def _greedy_by_loop(logits_of, ids, new_tokens, stop=None):
    text = list(ids.tolist())
    start = len(text)
    for _ in range(new_tokens):
        scores = logits_of(torch.tensor(text).reshape(1, -1))[0][-1].tolist()
        text.append(scores.index(max(scores)))
        if text[-1] == stop:
            break
    return text[start:]


def _greedy(logits_of, ids, new_tokens, stop=None, keep=None, row=-1, fed_back=True):
    """Write greedily with one of the steps replaced."""
    text, written = ids.tolist(), []
    for _ in range(new_tokens):
        shown = (text + written) if fed_back else text
        written.append(int(logits_of(torch.tensor([shown[keep:]]))[0, row].argmax()))
        if written[-1] == stop:
            break
    return written


def _likeliest_of_all_rows(logits_of, ids, new_tokens, stop=None):
    def last_row_only(text):
        return logits_of(text).amax(1, keepdim=True)

    return _greedy(last_row_only, ids, new_tokens, stop)


def _cut_from_the_end(logits_of, ids, new_tokens, stop=None):
    text = ids.tolist() + _greedy(logits_of, ids, new_tokens, stop)
    return text[-new_tokens:]


def _moving_window(logits_of, ids, new_tokens, stop=None):
    return _greedy(logits_of, ids, new_tokens, stop, keep=-len(ids))


def _stop_zero_ignored(logits_of, ids, new_tokens, stop=None):
    return _greedy(logits_of, ids, new_tokens, stop or None)


def _by_topk(logits_of, ids, new_tokens, stop=None):
    """Write on a tensor that grows, and return its end."""
    text = ids[None]
    while text.shape[1] < len(ids) + new_tokens:
        text = torch.cat([text, logits_of(text)[:, -1].topk(1).indices], dim=1)
        if stop is not None and text[0, -1] == stop:
            break
    return text[0, len(ids) :].tolist()


def _again_and_again(logits_of, ids, new_tokens, stop=None):
    """Write one token and let the same function write the rest."""
    if new_tokens == 0:
        return []
    first = logits_of(ids[None])[0, -1].argmax()
    if stop == first:
        return [int(first)]
    return [
        int(first),
        *_again_and_again(logits_of, torch.cat([ids, first[None]]), new_tokens - 1, stop),
    ]


def _stops_at_the_prompt(logits_of, ids, new_tokens, stop=None):
    return [] if stop in ids.tolist() else _greedy(logits_of, ids, new_tokens, stop)


def _without_stop_token(logits_of, ids, new_tokens, stop=None):
    return [each for each in _greedy(logits_of, ids, new_tokens, stop) if each != stop]


GREEDY = Exercise(
    id="transformer.greedy",
    title="Write, always the likeliest token",
    minutes=8,
    difficulty=2,
    statement=(
        "`logits_of` takes ids (1, T) and returns logits (1, T, V). Return, as a list, the "
        "`new_tokens` ids that follow `ids` (T,) when the likeliest is taken each time. If `stop` "
        "is written, it is the last one."
    ),
    solution=functions.greedy_continuation,
    reference=_greedy_by_loop,
    generator=generators.texts,
    probes=(
        Probe(
            "one token",
            lambda: call(next_letter, torch.tensor([3, 1]), 1),
            "What follows the last token is decided by the last row of scores.",
        ),
        Probe(
            "four tokens",
            lambda: call(next_letter, torch.tensor([0, 3]), 4),
            "Each new token is read before the next one is chosen.",
        ),
        Probe(
            "a model that reads everything",
            lambda: call(next_by_sum, torch.tensor([1, 2, 6]), 5),
            "The whole text goes in every time, since the model itself remembers nothing.",
        ),
        Probe(
            "none",
            lambda: call(next_letter, torch.tensor([2]), 0),
            "No new tokens: an empty list.",
        ),
        Probe(
            "a stop token",
            lambda: call(next_letter, torch.tensor([1]), 6, 3),
            "The stop token ends the text and belongs to it.",
        ),
        Probe(
            "token 0 stops",
            lambda: call(next_letter, torch.tensor([2]), 6, 0),
            "0 is a token like any other: only None means that nothing stops the text.",
        ),
        Probe(
            "a stop token in the prompt",
            lambda: call(next_letter, torch.tensor([4, 2, 4]), 3, 2),
            "Only a stop token that is *written* ends the text.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the first row of scores",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens, stop, row=0
            ),
            "Row t scores what follows token t. What comes next is in the last row: [0, -1].",
        ),
        Misconception(
            "what is written is not read",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens, stop, fed_back=False
            ),
            "The prompt alone goes in each time, so the same token comes out each time. Put what "
            "is written behind it.",
        ),
        Misconception(
            "only the newest token is read",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens, stop, keep=-1
            ),
            "One token alone is all the model gets to see. That works with a cache, which holds "
            "the keys and values of the others; here there is none.",
        ),
        Misconception(
            "the prompt returned too",
            lambda logits_of, ids, new_tokens, stop=None: (
                ids.tolist() + _greedy(logits_of, ids, new_tokens, stop)
            ),
            "Return what was written, without the prompt.",
        ),
        Misconception(
            "the last new_tokens of the text",
            _cut_from_the_end,
            "You cut the text from its end. If it stops early, part of the prompt comes along, and "
            "[-0:] is everything. Cut where the prompt ends, or keep what is written in a list of "
            "its own.",
        ),
        Misconception(
            "a window that moves on",
            _moving_window,
            "For every token that comes, you drop one from the front. The text grows: all of it "
            "goes in.",
        ),
        Misconception(
            "the largest score of all rows",
            _likeliest_of_all_rows,
            "You looked for the largest score of all tokens. Only the last row, [0, -1], is about "
            "what comes next.",
        ),
        Misconception(
            "one token too many",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens + 1, stop
            ),
            "You write one more than was asked for: `range(new_tokens)` has new_tokens turns.",
        ),
        Misconception(
            "stop ignored",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(logits_of, ids, new_tokens),
            "After the stop token nothing more is written.",
        ),
        Misconception(
            "token 0 never stops",
            _stop_zero_ignored,
            "`if stop and …` is also False when stop is 0, which is a token. Compare: "
            "`if token == stop`, or ask `stop is not None`.",
        ),
        Misconception(
            "the stop token left out",
            _without_stop_token,
            "The stop token is written too; the caller may want to see that the text has ended.",
        ),
        Misconception(
            "a stop token in the prompt ends it",
            _stops_at_the_prompt,
            "A chat prompt is full of stop tokens, one behind each turn. Look at what is written.",
        ),
    ),
    alternatives=(
        Alternative("as the hints have it", _greedy),
        Alternative("on a tensor that grows", _by_topk),
        Alternative("by calling itself", _again_and_again),
    ),
    hints=(
        "Keep the text as a list and make a tensor of shape (1, T) of it in each turn.",
        "logits_of(...)[0, -1].argmax() is the next id; int() makes a number of it.",
        "Append it to the text; stop if it is the stop token.",
    ),
)
