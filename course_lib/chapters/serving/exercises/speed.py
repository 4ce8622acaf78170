"""The exercise on the roofline of a batch."""

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _two_rates(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    memory = batch * bandwidth / (weight_bytes + batch * cache_bytes)
    return min(memory, peak / flops)


def _slower(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    memory = (weight_bytes + batch * cache_bytes) / bandwidth
    compute = batch * flops / peak
    return batch / max(memory, compute)


def _by_intensity(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    moved = weight_bytes + batch * cache_bytes
    attainable = min(peak, batch * flops / moved * bandwidth)
    return attainable / flops


def _compared(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    memory = (weight_bytes + batch * cache_bytes) / bandwidth
    compute = batch * flops / peak
    if memory > compute:
        return batch / memory
    return batch / compute


def _mistake(name, rate, explanation):
    """Declare a mistake as a formula in the batch and the times of memory and arithmetic."""

    def function(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
        memory = (weight_bytes + batch * cache_bytes) / bandwidth
        return rate(batch, memory, batch * flops / peak)

    return Misconception(name, function, explanation)


def _weights_for_each(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    return _slower(batch, batch * weight_bytes, cache_bytes, flops, bandwidth, peak)


def _one_cache(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    return _slower(batch, weight_bytes, cache_bytes / batch, flops, bandwidth, peak)


def _no_cache(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    return _slower(batch, weight_bytes, 0, flops, bandwidth, peak)


def _one_token(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    return _slower(batch, weight_bytes, cache_bytes, flops / batch, bandwidth, peak)


RATE = Exercise(
    id="serving.rate",
    title="Tokens per second of a batch",
    minutes=6,
    difficulty=1,
    statement=(
        "Each step generates one token for each of `batch` requests. It reads all `weight_bytes` "
        "once and `cache_bytes` for each request, at `bandwidth` bytes per second, and computes "
        "`flops` for each request, at `peak` FLOPs per second. Reading and computing go on at the "
        "same time, so a step takes as long as the slower of the two. Return the tokens per second "
        "of the whole batch."
    ),
    solution=answers.decode_rate,
    reference=_two_rates,
    generator=generators.rate,
    probes=(
        Probe(
            "one request",
            lambda: call(1, 90.0, 10.0, 6.0, 10.0, 60.0),
            "Reading takes 10 seconds, computing 0.1: a tenth of a token per second.",
        ),
        Probe(
            "ten requests",
            lambda: call(10, 90.0, 1.0, 6.0, 10.0, 60.0),
            "100 bytes still take 10 seconds, for ten tokens.",
        ),
        Probe(
            "a large cache",
            lambda: call(8, 10.0, 50.0, 2.0, 5.0, 90.0),
            "Each request brings its own 50 bytes.",
        ),
        Probe(
            "limited by arithmetic",
            lambda: call(50, 10.0, 0.5, 30.0, 40.0, 60.0),
            "Computing takes 25 seconds, reading less than one.",
        ),
        Probe(
            "arithmetic even for one",
            lambda: call(3, 1.0, 0.25, 60.0, 10.0, 60.0),
            "Each token takes a second to compute, and there are three.",
        ),
        Probe(
            "no cache yet",
            lambda: call(4, 20.0, 0.0, 3.0, 10.0, 100.0),
            "Only the weights are read, once.",
        ),
        Probe(
            "a real model",
            lambda: call(32, 16e9, 1e8, 16e9, 3e12, 1e15),
            "8 billion parameters in bfloat16 on a large GPU: memory is the limit.",
        ),
    ),
    misconceptions=(
        _mistake(
            "times added",
            lambda batch, memory, compute: batch / (memory + compute),
            "Reading and computing overlap: the slower one decides, not the sum.",
        ),
        _mistake(
            "the faster one",
            lambda batch, memory, compute: batch / min(memory, compute),
            "A step is ready when both are: take the larger time.",
        ),
        _mistake(
            "steps, not tokens",
            lambda batch, memory, compute: 1 / max(memory, compute),
            "That is the number of steps per second. Each step gives `batch` tokens.",
        ),
        Misconception(
            "weights for each request",
            _weights_for_each,
            "The weights are read once per step, for all requests together. That is the point of "
            "a batch.",
        ),
        Misconception(
            "one cache for all",
            _one_cache,
            "Each request has a cache of its own: batch * cache_bytes.",
        ),
        Misconception(
            "no cache",
            _no_cache,
            "The keys and values of every request are read in each step too.",
        ),
        Misconception(
            "the FLOPs of one token",
            _one_token,
            "Each request needs its own FLOPs: batch * flops per step.",
        ),
        _mistake(
            "memory only",
            lambda batch, memory, compute: batch / memory,
            "With enough requests arithmetic takes longer than reading.",
        ),
    ),
    alternatives=(
        Alternative("the slower time", _slower),
        Alternative("attainable FLOPs", _by_intensity),
        Alternative("compared", _compared),
    ),
    hints=(
        "Two times: (weight_bytes + batch * cache_bytes) / bandwidth and batch * flops / peak.",
        "batch / max(the two).",
    ),
)
