"""The exercise on the inner loop of the forward kernel, written in Triton."""

import inspect
import linecache
import math

import torch

from course_lib.chapters.flash_attention import answers
from course_lib.chapters.flash_attention.on_tensors import on_tensors
from course_lib.flash import kernel_trouble
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

INF = torch.inf
TO_BASE_2 = math.log2(math.e)
QUERIES = 16  # the smallest tile that a compiled product of two tiles takes


def _attention_in_double(
    acc, m, total, q, K, V, first, last, positions, scale, S, D, BLOCK_S
):  # fmt: skip
    """Return the state from all scores at once, without tiles."""
    if first >= last:
        return acc, m, total
    keys, values = K[first:S].double(), V[first:S].double()
    scores = q.double() @ keys.T * scale
    scores = scores.masked_fill(torch.arange(first, S) > positions[:, None], -INF)
    larger = torch.maximum(m.double(), scores.amax(-1))
    rescale, weights = torch.exp2(m - larger), torch.exp2(scores - larger[:, None])
    state = acc * rescale[:, None] + weights @ values, larger, total * rescale + weights.sum(-1)
    return tuple(x.float() for x in state)


def _leg(keys, width, block, first=0, last=None, start=None, state=None, size=1.0):
    """Return a call: one tile of queries, the last of the keys or from `start` on."""
    start = keys - QUERIES if start is None else start
    acc, m, total = state or (
        torch.zeros(QUERIES, width),
        torch.full((QUERIES,), -INF),
        torch.zeros(QUERIES),
    )
    return call(
        acc, m, total, size * uneven(QUERIES, width), uneven(keys, width).flip(0),
        uneven(keys, width).sin(),
        first, keys if last is None else last, torch.arange(start, start + QUERIES),
        TO_BASE_2 / math.sqrt(width), keys, width, block,
    )  # fmt: skip


def _read(width, maximum):
    """Return the state of queries that have read some keys already."""
    return (
        uneven(QUERIES, width),
        maximum + uneven(QUERIES),
        2.0 + uneven(QUERIES).sin(),
    )


def _exact_in_half():
    """Return a call in half precision in which every weight is a power of two."""
    keys, width, block = 64, 16, 16
    q = torch.zeros(QUERIES, width, dtype=torch.float16)
    q[:, 0] = 1
    K = torch.zeros(keys, width, dtype=torch.float16)
    K[:, 0] = torch.arange(keys) % 3
    V = (1001 + 2 * torch.arange(keys * width) % 64).reshape(keys, width).half()
    state = torch.zeros(QUERIES, width), torch.full((QUERIES,), -INF), torch.zeros(QUERIES)
    positions = torch.arange(keys - QUERIES, keys)
    return call(*state, q, K, V, 0, keys, positions, 1.0, keys, width, block)


def _changed(name, *changes):
    """Return the solution as a function on tensors, with pieces of its source replaced."""
    source = inspect.getsource(inspect.unwrap(answers.forward_leg))
    for old, new in changes:
        if old not in source:
            raise ValueError(f"the solution must contain what is replaced; got {old!r}")
        source = source.replace(old, new)
    file = f"<forward_leg, {name}>"
    linecache.cache[file] = len(source), None, source.splitlines(True), file  # Triton reads it
    names = {**vars(answers), "__name__": __name__}
    exec(compile(source, file, "exec"), names)
    return on_tensors(names["forward_leg"])


def _mistake(name, explanation, *changes):
    return Misconception(name, _changed(name, *changes), explanation)


def _alternative(name, *changes):
    return Alternative(name, _changed(name, *changes))


MASK = "allowed = (cols[None, :] < S) & (cols[None, :] <= positions[:, None])"
MAXIMUM = "m_new = tl.maximum(m, kernel.row_max(scores, 1) * scale)"
RESCALE = "rescale = tl.exp2(m - m_new)"
WEIGHTS = "weights = tl.exp2(scores * scale - m_new[:, None])"
ACC = "acc = acc * rescale[:, None] + added"
TOTAL = "total = total * rescale + kernel.row_sum(weights, 1)"
LOAD_K, LOAD_V = (f"kernel.load_tile({table}, cols, S, D, True)" for table in "KV")
BY_HAND = (
    "tl.load({0} + cols[:, None] * D + tl.arange(0, D)[None, :], mask=cols[:, None] < S, other=0.0)"
)

LEG = Exercise(
    id="flash_attention.leg",
    title="The inner loop of the kernel",
    minutes=20,
    difficulty=3,
    statement=(
        "Inside a Triton program: `acc` (BLOCK_T, D), `m` and `total` (BLOCK_T,) are the state of "
        "a tile of queries `q` (BLOCK_T, D) at the positions `positions` (BLOCK_T,). `K` and `V` "
        "are the addresses of tables of S rows and D columns. Read the keys from `first` to "
        "`last`, BLOCK_S at a time, and return (acc, m, total). Score times `scale` is the "
        "exponent to base 2, and m the largest of these. A query reads the keys up to its own "
        "position. Rows from S on are not read; sums are float32, and the weights are cast to the "
        "dtype of the values."
    ),
    solution=on_tensors(answers.forward_leg),
    adapter=on_tensors,
    missing=kernel_trouble,
    reference=_attention_in_double,
    probes=(
        Probe(
            "one tile, from the empty state",
            lambda: _leg(32, 16, 32, start=32),
            "Every query may read every key: the scores, their maximum, the weights, the sums.",
        ),
        Probe(
            "no tile",
            lambda: _leg(32, 16, 16, first=32, state=_read(16, 0.0)),
            "With first = last, the state comes back as it is.",
        ),
        Probe(
            "a state whose maximum stays",
            lambda: _leg(32, 32, 32, start=40, state=_read(32, 60.0)),
            "The sums so far stay as they are, and the tile adds little.",
        ),
        Probe(
            "a state whose maximum grows",
            lambda: _leg(16, 32, 16, start=20, state=_read(32, -9.0)),
            "Both sums so far were measured from a lower maximum, and shrink.",
        ),
        Probe(
            "several tiles",
            lambda: _leg(96, 16, 32, start=96),
            "The state goes from tile to tile, and so does the maximum.",
        ),
        Probe(
            "keys after the position of a query",
            lambda: _leg(64, 16, 16, start=20, last=36),
            "A query reads no key after its own position.",
        ),
        Probe(
            "a last tile that the table does not fill",
            lambda: _leg(39, 16, 32, start=50, size=0.1),
            "Rows from S on belong to something else: they are not read, and their scores masked.",
        ),
        Probe(
            "a leg that starts later",
            lambda: _leg(53, 32, 16, first=16, start=37, state=_read(32, 1.0)),
            "Keys are counted from the start of the table, not of the leg.",
        ),
        Probe(
            "half precision",
            _exact_in_half,
            "Queries, keys and values are float16. The sums must stay float32: acc and total grow "
            "past what float16 can hold exactly.",
        ),
    ),
    misconceptions=(
        _mistake(
            "nothing rescaled",
            "Both sums so far are measured from the old maximum. When it grows, multiply them by "
            "exp2(m − m_new) before you add.",
            (RESCALE, "rescale = tl.exp2(m_new - m_new)"),
        ),
        _mistake(
            "the accumulator not rescaled",
            "`total` shrinks when the maximum grows, and `acc` must shrink with it: multiply by "
            "rescale[:, None].",
            (ACC, "acc = acc + added"),
        ),
        _mistake(
            "the total not rescaled",
            "`acc` shrinks when the maximum grows, and `total` must shrink with it.",
            (TOTAL, "total = total + kernel.row_sum(weights, 1)"),
        ),
        _mistake(
            "the sign of the correction",
            "The maximum grows, so the sums so far become smaller: exp2(m − m_new) is at most 1. "
            "You multiply by exp2(m_new − m), which is infinite after the empty state.",
            (RESCALE, "rescale = tl.exp2(m_new - m)"),
        ),
        _mistake(
            "the maximum of the new tile alone",
            "Your new maximum forgets the old one, and falls when a tile holds only small scores. "
            "Take tl.maximum(m, ...) of the two.",
            (MAXIMUM, "m_new = kernel.row_max(scores, 1) * scale"),
        ),
        _mistake(
            "the maximum not carried on",
            "The next tile must start from the new maximum: m = m_new at the end of the loop.",
            ("m = m_new", "m = tl.where(start + BLOCK_S < last, m, m_new)"),
        ),
        _mistake(
            "no mask",
            "Scores of keys after a query's position, and of the rows that are not there, must be "
            "−inf: tl.where(allowed, scores, -float('inf')).",
            (MASK, "allowed = cols[None, :] >= 0 * positions[:, None]"),
        ),
        _mistake(
            "no causal mask",
            "You mask the rows that are not there, but not the keys after a query's own position: "
            "cols[None, :] <= positions[:, None].",
            (MASK, "allowed = cols[None, :] < S + 0 * positions[:, None]"),
        ),
        _mistake(
            "no mask at the end of the table",
            "Rows that were not loaded are zeros, and their score is 0, not −inf. They take part "
            "in the maximum and the total: mask cols[None, :] < S too.",
            (MASK, "allowed = cols[None, :] <= positions[:, None]"),
        ),
        _mistake(
            "a query may not read itself",
            "A token reads the keys up to and including its own position: <=, not <.",
            ("<= positions", "< positions"),
        ),
        _mistake(
            "loads without a mask",
            "Rows from S on are outside the table. Whatever is stored there is read, here nan, and "
            "0 · nan is nan. Load with mask=cols[:, None] < S, other=0.0.",
            (LOAD_K, "kernel.load_tile(K, cols, S, D, False)"),
            (LOAD_V, "kernel.load_tile(V, cols, S, D, False)"),
        ),
        _mistake(
            "a maximum without its scale",
            "m is the largest of score times scale, but you compare plain scores with it.",
            (MAXIMUM, "m_new = tl.maximum(m, kernel.row_max(scores, 1))"),
        ),
        _mistake(
            "base e",
            "`scale` contains log2(e), so the exponents are those of base 2: tl.exp2, not tl.exp.",
            ("tl.exp2", "tl.exp"),
        ),
        _mistake(
            "softmax within the tile",
            "You divide the weights by the total of this tile. The division comes once, after the "
            "last tile, and is not part of this function.",
            (WEIGHTS, f"{WEIGHTS}; weights = weights / kernel.row_sum(weights, 1)[:, None]"),
        ),
        _mistake(
            "acc in low precision",
            "`acc` is rounded to the dtype of the values after each tile. Only the factors of "
            "tl.dot have that dtype; its result, and the sum, stay float32.",
            (ACC, "acc = (acc * rescale[:, None] + added).to(v.dtype)"),
        ),
        _mistake(
            "keys counted from the start of the leg",
            "K is the address of key 0, whatever `first` is: cols = start + tl.arange(0, BLOCK_S), "
            "with start from range(first, last, BLOCK_S).",
            ("cols = start +", "cols = start - first +"),
        ),
    ),
    alternatives=(
        _alternative(
            "tl.load, tl.max and tl.sum",
            (LOAD_K, BY_HAND.format("K")),
            (LOAD_V, BY_HAND.format("V")),
            ("kernel.row_max", "tl.max"),
            ("kernel.row_sum", "tl.sum"),
        ),
        _alternative(
            "scaled scores, and acc inside tl.dot",
            ("scores = tl.dot(q, tl.trans(k), input_precision=\"ieee\")",
             "scores = tl.dot(q, tl.trans(k), input_precision=\"ieee\") * scale"),
            ("kernel.row_max(scores, 1) * scale", "kernel.row_max(scores, 1)"),
            ("scores * scale - m_new", "scores - m_new"),
            (ACC, "acc = acc"),
            ("added = tl.dot(weights.to(v.dtype), v, input_precision=\"ieee\")",
             "acc = tl.dot(weights.to(v.dtype), v, acc * rescale[:, None],"
             " input_precision=\"ieee\")"),
        ),
        _alternative(
            "two masks, one after the other",
            (MASK, "scores = tl.where(cols[None, :] < S, scores, -float('inf'));"
             " allowed = positions[:, None] >= cols[None, :]"),
        ),
        _alternative("as the hints say"),
    ),
    hints=(
        "for start in range(first, last, BLOCK_S): the keys of a tile are cols = start + "
        "tl.arange(0, BLOCK_S), and k = kernel.load_tile(K, cols, S, D, True) loads their rows.",
        "scores = tl.dot(q, tl.trans(k), input_precision=\"ieee\"). Mask them with tl.where, by "
        "(cols[None, :] < S) & (cols[None, :] <= positions[:, None]).",
        "m_new = tl.maximum(m, kernel.row_max(scores, 1) * scale); rescale = tl.exp2(m - m_new); "
        "weights = tl.exp2(scores * scale - m_new[:, None]).",
        "total = total * rescale + kernel.row_sum(weights, 1), and acc = acc * rescale[:, None] + "
        "tl.dot(weights.to(v.dtype), v, input_precision=\"ieee\"). At the end m = m_new.",
    ),
)  # fmt: skip
