"""The exercise on writing text: the greedy loop."""

import torch
import torch.nn.functional as F

from course_lib.chapters.transformer.exercises import generators
from course_lib.model import functions
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


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
