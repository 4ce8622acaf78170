"""The exercise on the loss of a large vocabulary, whose logits never exist all at once."""

import torch
import torch.nn.functional as F

from course_lib import softmax
from course_lib.chapters.softmax.exercises.generators import states_of_a_model
from course_lib.chapters.softmax.exercises.size_limit import SizeLimit
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _in_double(hidden, table, targets, chunk):
    scores = (hidden.double() @ row for row in table.double())  # one token of the vocabulary each
    total = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float64)
    for score in scores:
        total = torch.logaddexp(total, score)
    at_target = torch.stack(
        [h.double() @ table[t].double() for h, t in zip(hidden, targets.tolist(), strict=True)]
    )
    return (total - at_target).mean().to(hidden.dtype)


def _no_table_of_logits(given):
    hidden, table, _, chunk = given.args
    copies = max(table.numel(), hidden.numel(), len(hidden) * chunk)
    table_of_logits = len(hidden) * len(table)
    return SizeLimit(table_of_logits if copies < table_of_logits else None)


def _walk(rescale=True, add_back=True, drop=False, mean=True, start=-torch.inf):
    """Return the whole method with one of its parts changed."""

    def loss(hidden, table, targets, chunk):
        maximum = hidden.new_full((len(hidden),), start)
        total = torch.zeros_like(maximum)
        end = len(table) // chunk * chunk if drop and len(table) >= chunk else len(table)
        for rows in table[:end].split(chunk):
            logits = hidden @ rows.T
            larger = torch.maximum(maximum, logits.amax(-1))
            total = total * (maximum - larger).exp() if rescale else total
            total = total + (logits - larger[:, None]).exp().sum(-1)
            maximum = larger
        at_target = (hidden * table[targets]).sum(-1)
        losses = total.log() + (maximum if add_back else 0.0) - at_target
        return losses.mean() if mean else losses.sum()

    return loss


def _all_logits(hidden, table, targets, chunk):
    return F.cross_entropy(hidden @ table.T, targets)


def _unshifted(hidden, table, targets, chunk):
    total = hidden.new_full((len(hidden),), -torch.inf)
    for rows in table.split(chunk):
        total = torch.logaddexp(total, (hidden @ rows.T).exp().sum(-1).log())
    return (total - (hidden * table[targets]).sum(-1)).mean()


def _logsumexps_added(hidden, table, targets, chunk):
    total = sum((hidden @ rows.T).logsumexp(-1) for rows in table.split(chunk))
    return (total - (hidden * table[targets]).sum(-1)).mean()


def _a_loss_for_each_chunk(hidden, table, targets, chunk):
    """Take the softmax inside the chunk that holds the target."""
    losses = []
    for h, target in zip(hidden, targets.tolist(), strict=True):
        start = target // chunk * chunk
        logits = table[start : start + chunk] @ h
        losses.append(logits.logsumexp(-1) - logits[target - start])
    return torch.stack(losses).mean()


def _target_not_shifted(hidden, table, targets, chunk):
    total = hidden.new_full((len(hidden),), -torch.inf)
    at_target = torch.zeros_like(total)
    for start in range(0, len(table), chunk):
        logits = hidden @ table[start : start + chunk].T
        total = torch.logaddexp(total, logits.logsumexp(-1))
        inside = (targets >= start) & (targets < start + chunk)
        at_target[inside] = logits[inside, targets[inside]]
    return (total - at_target).mean()


def _picked_in_its_chunk(hidden, table, targets, chunk):
    total = hidden.new_full((len(hidden),), -torch.inf)
    at_target = torch.zeros_like(total)
    for start in range(0, len(table), chunk):
        logits = hidden @ table[start : start + chunk].T
        total = torch.logaddexp(total, logits.logsumexp(-1))
        inside = (targets >= start) & (targets < start + chunk)
        at_target[inside] = logits[inside, targets[inside] - start]
    return (total - at_target).mean()


def _as_the_hints_say(hidden, table, targets, chunk):
    n = len(hidden)
    state = softmax.SoftmaxState(hidden.new_full((n,), -torch.inf), hidden.new_zeros(n))
    for rows in table.split(chunk):
        logits = hidden @ rows.T
        state = softmax.merge_states(state, softmax.online_state(logits))
    at_target = (hidden * table[targets]).sum(-1)
    return (state.maximum + state.total.log() - at_target).mean()


def _model(tokens, vocabulary, width, scale=1.0):
    hidden, table = uneven(tokens, width), uneven(vocabulary, width).cos() * scale
    targets = (torch.arange(tokens) * 7 + vocabulary - 1) % vocabulary
    return hidden, table, targets


CHUNKED = Exercise(
    id="softmax.chunked_loss",
    title="The loss without the logits",
    minutes=15,
    difficulty=3,
    statement=(
        "Return the mean cross-entropy, in nats, of the logits hidden @ table.T, from hidden "
        "(N, C), table (V, C) and N target ids, for `chunk` tokens of the vocabulary at a time. "
        "V need not be a multiple of chunk. No tensor may hold all N·V logits."
    ),
    solution=softmax.chunked_cross_entropy,
    reference=_in_double,
    generator=states_of_a_model,
    tolerance=10.0,  # a small loss is the difference of two scores of several units in float32
    watch=_no_table_of_logits,
    probes=(
        Probe(
            "one chunk holds all",
            lambda: call(*_model(5, 7, 2), 7),
            "With a single chunk this is the cross-entropy of section 7.",
        ),
        Probe(
            "two full chunks",
            lambda: call(*_model(5, 8, 2), 4),
            "The state of the first chunk is merged with that of the second.",
        ),
        Probe(
            "one token at a time",
            lambda: call(*_model(6, 5, 2), 1),
            "A chunk may be a single token.",
        ),
        Probe(
            "a smaller last chunk",
            lambda: call(*_model(7, 11, 3), 4),
            "11 is not a multiple of 4: the last chunk has three tokens.",
        ),
        Probe(
            "a chunk larger than the vocabulary",
            lambda: call(*_model(5, 6, 2), 100),
            "Then there is one chunk, the whole vocabulary.",
        ),
        Probe(
            "large logits",
            lambda: call(*_model(9, 10, 3, scale=200.0), 3),
            "No exponential may overflow: measure each total from its maximum.",
            tolerance=10.0,
        ),
        Probe(
            "negative logits only",
            lambda: call(uneven(6, 2).abs() + 20, -uneven(9, 2).abs() - 9, torch.arange(6) + 3, 4),
            "The maximum starts at −inf, not at 0.",
            tolerance=10.0,
        ),
    ),
    misconceptions=(
        Misconception(
            "all logits at once",
            _all_logits,
            "The number is right, but hidden @ table.T is the N × V table that must not exist. "
            "Multiply with a few rows of `table` at a time, and do not join the chunks: keep a "
            "maximum and a total for each row, and forget the logits.",
        ),
        Misconception(
            "the total not rescaled",
            _walk(rescale=False),
            "When a chunk raises the maximum, the old total must shrink by exp(old − new), as in "
            "softmax.merge_states.",
        ),
        Misconception(
            "the maximum not added back",
            _walk(add_back=False),
            "log(total) is measured from the maximum: logsumexp = maximum + log(total).",
        ),
        Misconception(
            "the last chunk left out",
            _walk(drop=True),
            "Tokens after the last full chunk are never read. table.split(chunk) includes a "
            "smaller last piece, and so does range(0, V, chunk).",
        ),
        Misconception(
            "a softmax in the target's chunk alone",
            _a_loss_for_each_chunk,
            "You normalise over the chunk that holds the target. The sum runs over the whole "
            "vocabulary: merge the state of every chunk.",
        ),
        Misconception(
            "logsumexps added",
            _logsumexps_added,
            "The exponentials add, not their logarithms. Merge with torch.logaddexp, or with "
            "softmax.merge_states.",
        ),
        Misconception(
            "the target not counted from the start of its chunk",
            _target_not_shifted,
            "Within a chunk the target is at place target − start. Or take its score directly: "
            "(hidden * table[targets]).sum(-1).",
        ),
        Misconception(
            "exponentials not shifted",
            _unshifted,
            "exp overflows above about 88 (float32). Subtract the largest logit of each row first.",
        ),
        Misconception(
            "summed over the rows",
            _walk(mean=False),
            "The loss is the mean over the N rows, not their sum.",
        ),
        Misconception(
            "the maximum starts at 0",
            _walk(start=0.0),
            "With logits far below 0 the exponentials measured from 0 are all 0. Start at −inf.",
        ),
    ),
    alternatives=(
        Alternative("without the library", _walk()),
        Alternative("the target picked in its chunk", _picked_in_its_chunk),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("token by token in float64", _in_double),
    ),
    hints=(
        "Start with state = softmax.SoftmaxState(hidden.new_full((N,), -torch.inf), "
        "hidden.new_zeros(N)), and loop over table.split(chunk).",
        "Inside: logits = hidden @ rows.T, then "
        "state = softmax.merge_states(state, softmax.online_state(logits)).",
        "The target's score needs no chunk: (hidden * table[targets]).sum(-1). The loss of a row "
        "is state.maximum + state.total.log() minus that score.",
    ),
)
