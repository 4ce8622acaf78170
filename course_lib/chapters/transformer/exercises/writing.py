"""The exercise on generating text: the greedy loop."""

import torch
import torch.nn.functional as F

from course_lib.chapters.transformer.exercises import generators
from course_lib.model import functions
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def next_letter(ids):
    """Stand in for a model: the successor of each token scores highest, 5 tokens in a ring."""
    _require_batch(ids)
    return F.one_hot((ids + 1) % 5, 5).float() + torch.tensor([0.01, 0.02, 0.03, 0.04, 0.05]).to(
        ids.device
    )


def next_by_sum(ids):
    """Stand in for a model that depends on the whole text: the sum of all ids decides."""
    _require_batch(ids)
    return F.one_hot(ids.cumsum(-1) % 7, 7).float()


def _require_batch(ids):
    if ids.dim() != 2:
        raise ValueError(
            f"a model takes ids of shape (B, T), here (1, T); got {tuple(ids.shape)}. Add an axis: "
            "ids[None]."
        )


def _greedy_by_loop(logits_of, ids, new_tokens, stop=None):
    text = list(ids.tolist())
    start = len(text)
    for _ in range(new_tokens):
        row = torch.tensor(text, device=ids.device)
        scores = logits_of(row[None])[0][-1].tolist()
        text.append(scores.index(max(scores)))
        if text[-1] == stop:
            break
    return text[start:]


def _greedy(logits_of, ids, new_tokens, stop=None, keep=None, row=-1, fed_back=True):
    """Generate greedily with one of the steps replaced."""
    text, written = ids.tolist(), []
    for _ in range(new_tokens):
        shown = (text + written) if fed_back else text
        read = torch.tensor([shown[keep:]], device=ids.device)
        written.append(int(logits_of(read)[0, row].argmax()))
        if written[-1] == stop:
            break
    return written


def _best_of_all_rows(logits_of, ids, new_tokens, stop=None):
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
    """Append to a growing tensor, and return its end."""
    text = ids[None]
    while text.shape[1] < len(ids) + new_tokens:
        text = torch.cat([text, logits_of(text)[:, -1].topk(1).indices], dim=1)
        if stop is not None and text[0, -1] == stop:
            break
    return text[0, len(ids) :].tolist()


def _recursively(logits_of, ids, new_tokens, stop=None):
    """Generate one token and let the same function generate the rest."""
    if new_tokens == 0:
        return []
    first = logits_of(ids[None])[0, -1].argmax()
    if stop == first:
        return [int(first)]
    return [
        int(first),
        *_recursively(logits_of, torch.cat([ids, first[None]]), new_tokens - 1, stop),
    ]


def _stops_at_the_prompt(logits_of, ids, new_tokens, stop=None):
    return [] if stop in ids.tolist() else _greedy(logits_of, ids, new_tokens, stop)


def _without_stop_token(logits_of, ids, new_tokens, stop=None):
    return [each for each in _greedy(logits_of, ids, new_tokens, stop) if each != stop]


GREEDY = Exercise(
    id="transformer.greedy",
    title="Greedy decoding",
    minutes=8,
    difficulty=2,
    statement=(
        "`logits_of` takes ids (1, T) and returns logits (1, T, V). Return, as a list, the "
        "`new_tokens` ids that follow `ids` (T,) if the most likely token is taken each time. If "
        "the token `stop` is generated, it is the last one."
    ),
    solution=functions.greedy_continuation,
    reference=_greedy_by_loop,
    generator=generators.texts,
    probes=(
        Probe(
            "one token",
            lambda: call(next_letter, torch.tensor([3, 1]), 1),
            "The last row of logits predicts what follows the last token.",
        ),
        Probe(
            "four tokens",
            lambda: call(next_letter, torch.tensor([0, 3]), 4),
            "Each new token is part of the input for the next one.",
        ),
        Probe(
            "a model that reads everything",
            lambda: call(next_by_sum, torch.tensor([1, 2, 6]), 5),
            "The whole text is passed in every time, since the model has no memory.",
        ),
        Probe(
            "none",
            lambda: call(next_letter, torch.tensor([2]), 0),
            "No new tokens: an empty list.",
        ),
        Probe(
            "a stop token",
            lambda: call(next_letter, torch.tensor([1]), 6, 3),
            "The stop token ends the text and is part of it.",
        ),
        Probe(
            "token 0 stops",
            lambda: call(next_letter, torch.tensor([2]), 6, 0),
            "0 is a token like any other: only None means that nothing stops the text.",
        ),
        Probe(
            "a stop token in the prompt",
            lambda: call(next_letter, torch.tensor([4, 2, 4]), 3, 2),
            "Only a *generated* stop token ends the text.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the first row of logits",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens, stop, row=0
            ),
            "Row t predicts what follows token t. The next token is predicted by the last row: "
            "[0, -1].",
        ),
        Misconception(
            "generated tokens not passed in again",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens, stop, fed_back=False
            ),
            "Only the prompt is passed in each time, so the same token comes out each time. Append "
            "what was generated.",
        ),
        Misconception(
            "only the newest token passed in",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens, stop, keep=-1
            ),
            "The model sees a single token. That works with a cache, which holds the keys and "
            "values of the others; here there is none.",
        ),
        Misconception(
            "the prompt returned too",
            lambda logits_of, ids, new_tokens, stop=None: (
                ids.tolist() + _greedy(logits_of, ids, new_tokens, stop)
            ),
            "Return what was generated, without the prompt.",
        ),
        Misconception(
            "the last new_tokens of the text",
            _cut_from_the_end,
            "You take the end of the text. If generation stops early, that includes part of the "
            "prompt, and [-0:] is everything. Slice where the prompt ends, or keep the generated "
            "ids in a separate list.",
        ),
        Misconception(
            "a window of fixed length",
            _moving_window,
            "For every new token you drop one from the front. The text grows: pass in all of it.",
        ),
        Misconception(
            "the largest logit of all rows",
            _best_of_all_rows,
            "You took the largest logit over all positions. Only the last row, [0, -1], predicts "
            "the next token.",
        ),
        Misconception(
            "one token too many",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(
                logits_of, ids, new_tokens + 1, stop
            ),
            "You generate one too many: `range(new_tokens)` has new_tokens iterations.",
        ),
        Misconception(
            "stop ignored",
            lambda logits_of, ids, new_tokens, stop=None: _greedy(logits_of, ids, new_tokens),
            "After the stop token, generation ends.",
        ),
        Misconception(
            "token 0 never stops",
            _stop_zero_ignored,
            "`if stop and …` is also False if stop is 0, which is a token. Compare with "
            "`if token == stop`, or test `stop is not None`.",
        ),
        Misconception(
            "the stop token left out",
            _without_stop_token,
            "The stop token is returned too, so that the caller can see that the text has ended.",
        ),
        Misconception(
            "a stop token in the prompt ends the text",
            _stops_at_the_prompt,
            "A chat prompt has a stop token after every turn. Compare only generated tokens.",
        ),
    ),
    alternatives=(
        Alternative("as the hints have it", _greedy),
        Alternative("on a growing tensor", _by_topk),
        Alternative("recursively", _recursively),
    ),
    hints=(
        "Keep the text as a list and make a tensor of shape (1, T) from it in each iteration.",
        "logits_of(...)[0, -1].argmax() is the next id; int() converts it to a number.",
        "Append it to the text; stop if it is the stop token.",
    ),
)
