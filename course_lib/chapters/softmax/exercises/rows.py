"""Exercises on softmax over whole rows: stable, logarithmic, masked, with a temperature."""

import torch

from course_lib import softmax
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

SMALL = [2.0, 1.0, 0.1]


def _in_double(x, dim=-1):
    return torch.softmax(x.double(), dim).to(x.dtype)


def _maximum_of_everything(x, dim=-1):
    e = (x - x.max()).exp()
    return e / e.sum(dim, keepdim=True)


def _sum_of_everything(x, dim=-1):
    e = (x - x.amax(dim, keepdim=True)).exp()
    return e / e.sum()


def _no_axis_at_all(x, dim=-1):
    e = (x - x.max()).exp()
    return e / e.sum()


def _keepdim_forgotten(x, dim=-1):
    e = (x - x.amax(dim)).exp()
    return e / e.sum(dim)


def _mean_subtracted(x, dim=-1):
    e = (x - x.mean(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


_AXIS = "The sum must run along `dim` and along nothing else."

STABLE = Exercise(
    id="softmax.stable",
    title="A softmax that survives",
    minutes=6,
    difficulty=1,
    statement="Return probabilities along `dim`, for a tensor of any shape and any finite scores.",
    solution=softmax.stable_softmax,
    reference=_in_double,
    same_dtype=True,
    probes=(
        Probe("three small scores", lambda: call(torch.tensor(SMALL)), "The formula as it stands."),
        Probe("rows of a matrix", lambda: call(uneven(2, 3)), "Each row is a case of its own."),
        Probe("columns of a matrix", lambda: call(uneven(2, 3), dim=0), _AXIS),
        Probe("square, along dim 0", lambda: call(uneven(3, 3), dim=0), _AXIS),
        Probe("the middle axis of three", lambda: call(uneven(2, 3, 4), dim=1), _AXIS),
        Probe(
            "scores around 1000",
            lambda: call(torch.tensor([1000.0, 1001.0, 1002.0])),
            "exp(1000) is infinite in float32, and infinity over infinity is nan.",
        ),
        Probe(
            "scores around -1000",
            lambda: call(torch.tensor([-1000.0, -1001.0, -1002.0])),
            "exp(-1000) is 0 in float32, and 0 over 0 is nan.",
        ),
        Probe(
            "one row far below the other",
            lambda: call(torch.tensor([[500.0, 499.0], [-500.0, -501.0]])),
            "What keeps one row safe may sink another: each row needs its own shift.",
        ),
        Probe(
            "scores far apart within a row",
            lambda: call(torch.tensor([400.0, 0.0, -400.0])),
            "Only shifting by the largest score bounds every exponential by 1.",
        ),
        Probe(
            "half precision",
            lambda: call(torch.tensor([12.0, 11.0, -3.0], dtype=torch.float16)),
            "float16 ends at 65504, so exp(12) overflows; the result keeps its dtype.",
        ),
    ),
    misconceptions=(
        Misconception(
            "nothing subtracted before exp",
            lambda x, dim=-1: x.exp() / x.exp().sum(dim, keepdim=True),
            "The formula is right on paper. In floating point exp overflows above about 88 "
            "(float32). Subtract the largest score of each row first: the result is the same.",
        ),
        Misconception(
            "dim ignored",
            lambda x, dim=-1: torch.softmax(x, -1),
            "You always normalise along the last axis. Use `dim` in the maximum and in the sum.",
        ),
        Misconception(
            "the maximum of everything",
            _maximum_of_everything,
            "You subtract the largest score of the whole tensor. A row far below it underflows "
            "to 0/0. Take the maximum along `dim`, with keepdim=True.",
        ),
        Misconception(
            "the sum of everything",
            _sum_of_everything,
            "You divide by the sum over the whole tensor, so that the rows share one unit of "
            "probability. Sum along `dim`, with keepdim=True.",
        ),
        Misconception(
            "no axis at all",
            _no_axis_at_all,
            "Maximum and sum run over the whole tensor, so a matrix becomes one distribution. Give "
            "both of them `dim`, and keepdim=True.",
        ),
        Misconception(
            "keepdim forgotten",
            _keepdim_forgotten,
            "Without keepdim=True the axis disappears, and broadcasting lines the rest up with "
            "the wrong axis, or fails. Keep it with length 1.",
        ),
        Misconception(
            "the mean subtracted",
            _mean_subtracted,
            "Any shift is right on paper, but only the largest score makes every exponent zero "
            "or negative. With the mean, a score far above it still overflows.",
        ),
        Misconception(
            "divided by the largest",
            lambda x, dim=-1: (x - x.amax(dim, keepdim=True)).exp(),
            "Your exponentials are safe, but they do not sum to 1 yet: divide by their sum.",
        ),
    ),
    alternatives=(
        Alternative("by torch.softmax", lambda x, dim=-1: torch.softmax(x, dim)),
        Alternative(
            "through logsumexp", lambda x, dim=-1: (x - x.logsumexp(dim, keepdim=True)).exp()
        ),
    ),
    hints=(
        "Adding the same number to every score of a row changes nothing. Which number makes the "
        "largest exponent 0?",
        "x.amax(dim, keepdim=True) is the largest score along `dim`, shaped so that it subtracts.",
        "Shift, then e = shifted.exp(), then e / e.sum(dim, keepdim=True).",
    ),
)


def _log_unshifted(x, dim=-1):
    return x - x.exp().sum(dim, keepdim=True).log()


def _shift_lost(x, dim=-1):
    largest = x.amax(dim, keepdim=True)
    return x - (x - largest).exp().sum(dim, keepdim=True).log()


LOG = Exercise(
    id="softmax.log",
    title="The logarithm of softmax",
    minutes=6,
    difficulty=2,
    statement="Return log(softmax(x)) along `dim`, finite wherever the scores are finite.",
    solution=softmax.log_softmax,
    reference=lambda x, dim=-1: torch.log_softmax(x.double(), dim).to(x.dtype),
    same_dtype=True,
    probes=(
        Probe(
            "three small scores", lambda: call(torch.tensor(SMALL)), "The formula: z − log Σ eᶻ."
        ),
        Probe("columns of a matrix", lambda: call(uneven(2, 3), dim=0), _AXIS),
        Probe(
            "two scores 200 apart",
            lambda: call(torch.tensor([0.0, 200.0])),
            "The smaller probability is e⁻²⁰⁰, which float32 rounds to 0; its logarithm is −200.",
        ),
        Probe(
            "scores around 1000",
            lambda: call(torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]])),
            "The sum of exponentials overflows or vanishes unless the scores are shifted.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the log of a softmax",
            lambda x, dim=-1: torch.softmax(x, dim).log(),
            "A probability below about 1e-45 is 0 in float32 and its logarithm −inf: the score "
            "itself was fine. Never form the probability: log p = z − logsumexp(z).",
        ),
        Misconception(
            "nothing subtracted before exp",
            _log_unshifted,
            "log Σ exp(z) overflows for large z. Shift by the largest score, and add it back "
            "outside the logarithm.",
        ),
        Misconception(
            "the shift not added back",
            _shift_lost,
            "log Σ exp(z − c) is smaller than log Σ exp(z) by c. Add c again, or subtract c "
            "from z as well.",
        ),
        Misconception(
            "the sign turned",
            lambda x, dim=-1: -torch.log_softmax(x, dim),
            "These are the surprises −log p. A logarithm of a probability is never positive.",
        ),
        Misconception(
            "in bits",
            lambda x, dim=-1: torch.log_softmax(x, dim) / torch.log(torch.tensor(2.0)),
            "You took logarithms to base 2. Losses in deep learning use the natural logarithm.",
        ),
        Misconception(
            "dim ignored",
            lambda x, dim=-1: torch.log_softmax(x, -1),
            "You always normalise along the last axis. Use `dim`.",
        ),
    ),
    alternatives=(Alternative("by torch", lambda x, dim=-1: torch.log_softmax(x, dim)),),
    hints=(
        "log(a / b) = log a − log b. What is log of exp(z)?",
        "log Σ exp(z) = c + log Σ exp(z − c). Choose c as in the stable softmax.",
        "shifted = x − maximum, then shifted − shifted.exp().sum(dim, keepdim=True).log().",
    ),
)


def _masked_in_double(x, mask, dim=-1):
    e = x.double().exp() * mask
    total = e.sum(dim, keepdim=True)
    return (e / total.masked_fill(total == 0, 1.0)).to(x.dtype)


def _uniform_over_nothing(x, mask, dim=-1):
    return torch.softmax(x.masked_fill(~mask, -1e9), dim)


def _with_inverted(mask_of_rows):
    mask = torch.tensor(mask_of_rows)
    return call(uneven(*mask.shape), mask)


MASKED = Exercise(
    id="softmax.masked",
    title="Softmax under a mask",
    minutes=8,
    difficulty=2,
    statement=(
        "Return probabilities over the entries where `mask` is True, zero elsewhere. "
        "A row in which nothing is allowed is all zeros."
    ),
    solution=softmax.masked_softmax,
    reference=_masked_in_double,
    same_dtype=True,
    probes=(
        Probe(
            "everything allowed",
            lambda: _with_inverted([[True, True, True]]),
            "With nothing hidden this is softmax.",
        ),
        Probe(
            "one entry hidden",
            lambda: _with_inverted([[True, False, True], [True, True, False]]),
            "A hidden entry gets 0, and the others share the whole of 1.",
        ),
        Probe(
            "along dim 0",
            lambda: call(uneven(3, 2), torch.tensor([[True], [False], [True]]), dim=0),
            "The mask broadcasts, and the sum runs along `dim`.",
        ),
        Probe(
            "a row with nothing allowed",
            lambda: _with_inverted([[True, True, False], [False, False, False]]),
            "−inf minus −inf is nan. A row that may look at nothing takes nothing.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the mask inverted",
            lambda x, mask, dim=-1: _masked_in_double(x, ~mask, dim),
            'In this course True means "may attend", as in F.scaled_dot_product_attention.',
        ),
        Misconception(
            "hidden scores set to zero",
            lambda x, mask, dim=-1: torch.softmax(x * mask, dim),
            'A score of 0 is not "no weight": exp(0) = 1. A hidden score must be −inf.',
        ),
        Misconception(
            "masked after softmax",
            lambda x, mask, dim=-1: torch.softmax(x, dim) * mask,
            "The hidden entries took part in the sum, so what is left does not add up to 1. Mask "
            "the scores, before softmax.",
        ),
        Misconception(
            "nan for an empty row",
            lambda x, mask, dim=-1: torch.softmax(x.masked_fill(~mask, -torch.inf), dim),
            "With everything hidden, the maximum is −inf and the row becomes 0/0. Treat that row "
            "by itself.",
        ),
        Misconception(
            "uniform over nothing",
            _uniform_over_nothing,
            "With a large negative number in place of −inf, a row in which everything is hidden "
            "becomes uniform: it reads exactly what it must not.",
        ),
    ),
    hints=(
        "x.masked_fill(~mask, -torch.inf) hides an entry: exp(−inf) is 0.",
        "In an empty row the maximum is −inf. Subtract 0 there instead (torch.where).",
        "In an empty row the sum is 0. Divide by 1 there instead.",
    ),
)


def _after_softmax(x, temperature, dim=-1):
    p = torch.softmax(x, dim) / temperature
    return p / p.sum(dim, keepdim=True)


def _undivided_maximum(x, temperature, dim=-1):
    e = (x / temperature - x.amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


def _not_normalised(x, temperature, dim=-1):
    return torch.softmax(x, dim) / temperature


TEMPERATURE = Exercise(
    id="softmax.temperature",
    title="A knob on softmax",
    minutes=4,
    difficulty=1,
    statement="Return softmax(x / temperature) along `dim`, for any temperature above 0.",
    solution=softmax.softmax_with_temperature,
    reference=lambda x, temperature, dim=-1: torch.softmax(x.double() / temperature, dim).to(
        x.dtype
    ),
    probes=(
        Probe(
            "temperature 1",
            lambda: call(torch.tensor(SMALL), 1.0),
            "At 1 nothing changes: this is softmax.",
        ),
        Probe(
            "temperature 0.5",
            lambda: call(torch.tensor([2.0, 1.0, 0.0]), 0.5),
            "Below 1 the largest score gains: 0.867, 0.117, 0.016.",
        ),
        Probe(
            "temperature 4",
            lambda: call(torch.tensor([2.0, 1.0, 0.0]), 4.0),
            "Above 1 the distribution becomes flatter.",
        ),
        Probe("columns of a matrix", lambda: call(uneven(2, 3), 0.7, dim=0), _AXIS),
        Probe(
            "temperature 0.01",
            lambda: call(torch.tensor([5.0, 4.99, 1.0]), 0.01),
            "A low temperature makes small scores large: 5 becomes 500.",
        ),
        Probe(
            "large scores, temperature 4",
            lambda: call(torch.tensor([300.0, 296.0]), 4.0),
            "What must not overflow or vanish is the exponential of the divided scores.",
        ),
    ),
    misconceptions=(
        Misconception(
            "multiplied instead of divided",
            lambda x, temperature, dim=-1: torch.softmax(x * temperature, dim),
            "Your knob turns the wrong way: raising the temperature must flatten. Divide by it.",
        ),
        Misconception(
            "applied to the probabilities",
            _after_softmax,
            "Dividing probabilities by a constant and normalising again changes nothing. The "
            "temperature divides the scores, before exp.",
        ),
        Misconception(
            "probabilities divided, not normalised",
            _not_normalised,
            "Your result does not add up to 1. The temperature divides the scores, before softmax.",
        ),
        Misconception(
            "nothing subtracted before exp",
            lambda x, temperature, dim=-1: softmax.naive_softmax(x / temperature, dim),
            "At a low temperature x / temperature is large, and exp overflows: shift first.",
        ),
        Misconception(
            "the maximum of the undivided scores",
            _undivided_maximum,
            "You subtract max(x), but what you exponentiate is x / temperature. Divide first.",
        ),
    ),
    hints=(
        "Divide the scores, then do what you did before.",
        "The shift must be the largest of the divided scores.",
    ),
)
