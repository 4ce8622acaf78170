"""Exercises on the roofline, and on the speed limit of decoding."""

from course_lib import accounting
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _slower_of_two(intensity, peak_flops, bandwidth):
    """Compare the times of moving one byte and of its work, which overlap."""
    moving, computing = 1 / bandwidth, intensity / peak_flops
    return intensity / max(moving, computing)


def _roofline(name, formula, explanation):
    def function(intensity, peak_flops, bandwidth):
        return formula(intensity, peak_flops, bandwidth)

    return Misconception(name, function, explanation)


ROOFLINE = Exercise(
    id="parameter_counting.roofline",
    title="The roofline",
    minutes=5,
    difficulty=2,
    statement=(
        "Return the FLOPs per second that a device can reach at best. It computes at most "
        "peak_flops per second and at the same time moves at most `bandwidth` bytes per second; "
        "the work has `intensity` FLOPs for each byte."
    ),
    solution=accounting.roofline,
    reference=_slower_of_two,
    generator=generators.rooflines,
    probes=(
        Probe(
            "few FLOPs for a byte",
            lambda: call(5.0, 100.0, 10.0),
            "10 bytes per second are work for 50 FLOPs per second; the arithmetic waits.",
        ),
        Probe(
            "many FLOPs for a byte",
            lambda: call(20.0, 100.0, 10.0),
            "The memory could feed 200, but only 100 can be computed.",
        ),
        Probe("at the ridge", lambda: call(10.0, 100.0, 10.0), "Both speeds are fully used."),
        Probe(
            "less than one FLOP for a byte",
            lambda: call(0.25, 100.0, 10.0),
            "10 bytes per second are work for 2.5 FLOPs per second.",
        ),
        Probe(
            "decode on an H100",
            lambda: call(1.0, 989e12, 3.35e12),
            "One FLOP for each byte: 0.3 % of the peak.",
        ),
        Probe(
            "prefill on an H100",
            lambda: call(3000.0, 989e12, 3.35e12),
            "Far beyond the ridge: the peak.",
        ),
    ),
    misconceptions=(
        _roofline(
            "always the peak",
            lambda i, peak, bandwidth: peak,
            "The peak is reached only if the memory delivers data fast enough. Below the ridge it "
            "allows intensity · bandwidth.",
        ),
        _roofline(
            "intensity times the peak",
            lambda i, peak, bandwidth: min(peak, i * peak),
            "The slope is intensity · *bandwidth*: that many FLOPs per second the memory can feed.",
        ),
        _roofline(
            "no roof",
            lambda i, peak, bandwidth: i * bandwidth,
            "No intensity makes the arithmetic faster than its peak: take the minimum.",
        ),
        _roofline(
            "the fraction of the peak",
            lambda i, peak, bandwidth: min(1, i * bandwidth / peak),
            "This is the fraction of the peak that can be reached. Multiply by peak_flops.",
        ),
        _roofline(
            "intensities compared",
            lambda i, peak, bandwidth: min(i, peak / bandwidth),
            "You compared the intensity with the ridge, which tells which limit applies. The "
            "result should be FLOPs per second: the smaller of the two times the bandwidth.",
        ),
        _roofline(
            "the larger of the two",
            lambda i, peak, bandwidth: max(peak, i * bandwidth),
            "The slower of the two is the limit: min, not max.",
        ),
        _roofline(
            "one after the other",
            lambda i, peak, bandwidth: 1 / (1 / peak + 1 / (i * bandwidth)),
            "You added the two times. A device moves and computes at the same time, so the longer "
            "of the two counts.",
        ),
        _roofline(
            "bandwidth in bits",
            lambda i, peak, bandwidth: min(peak, i * bandwidth / 8),
            "The bandwidth is in bytes already: no factor 8.",
        ),
        _roofline(
            "intensity inverted",
            lambda i, peak, bandwidth: min(peak, bandwidth / i),
            "Intensity is FLOPs for each byte, so the memory can feed intensity · bandwidth.",
        ),
    ),
    alternatives=(
        Alternative(
            "by the ridge",
            lambda intensity, peak_flops, bandwidth: (
                peak_flops if intensity > peak_flops / bandwidth else intensity * bandwidth
            ),
        ),
        Alternative(
            "as the hints say",
            lambda intensity, peak_flops, bandwidth: min(peak_flops, intensity * bandwidth),
        ),
        Alternative("by times", _slower_of_two),
    ),
    hints=(
        "How many FLOPs per second could the memory feed, if the arithmetic were free?",
        "intensity · bandwidth. And how many can be computed, if the memory were free?",
        "The smaller of the two.",
    ),
)


def _tokens_by_time(weight_bytes, cache_bytes, bandwidth, batch=1):
    seconds = weight_bytes / bandwidth + cache_bytes / bandwidth
    return batch / seconds


def _decode(name, formula, explanation):
    """Declare a mistake as a formula in w (weights), c (cache), s (bandwidth), b (batch)."""

    def function(weight_bytes, cache_bytes, bandwidth, batch=1):
        return formula(weight_bytes, cache_bytes, bandwidth, batch)

    return Misconception(name, function, explanation)


DECODE = Exercise(
    id="parameter_counting.decode",
    title="The speed limit of decoding",
    minutes=6,
    difficulty=2,
    statement=(
        "In every decode step each text of a batch gets one new token. A step reads weight_bytes "
        "once, and cache_bytes, the caches of the whole batch. Return the most tokens per second "
        "of all texts together, at `bandwidth` bytes per second."
    ),
    solution=accounting.decode_tokens_per_second,
    reference=_tokens_by_time,
    generator=generators.decodes,
    probes=(
        Probe("no cache", lambda: call(8.0, 0.0, 100.0), "100 bytes per second, 8 for each token."),
        Probe("with a cache", lambda: call(8.0, 2.0, 100.0), "The cache is read as well."),
        Probe(
            "a batch of four",
            lambda: call(8.0, 8.0, 100.0, batch=4),
            "The weights are read once for four tokens; the cache is that of all four texts.",
        ),
        Probe(
            "Qwen3-8B on an H100",
            lambda: call(15.14e9, 0.3e9, 3.35e12),
            "About 217 tokens per second, however fast the arithmetic is.",
        ),
        Probe(
            "the same, 32 texts",
            lambda: call(15.14e9, 9.66e9, 3.35e12, batch=32),
            "All texts share the weights, but each reads its own cache.",
        ),
    ),
    misconceptions=(
        _decode(
            "batch forgotten",
            lambda w, c, s, b: s / (w + c),
            "A step gives every text of the batch a token, and the weights are read once for all "
            "of them: multiply by the batch.",
        ),
        _decode(
            "cache forgotten",
            lambda w, c, s, b: b * s / w,
            "Every step also reads the keys and values of all texts.",
        ),
        _decode(
            "the cache multiplied by the batch",
            lambda w, c, s, b: b * s / (w + b * c),
            "cache_bytes is already the cache of the whole batch.",
        ),
        _decode(
            "the cache of one text",
            lambda w, c, s, b: b * s / (w + c / b),
            "A step reads the cache of every text, which is all of cache_bytes.",
        ),
        _decode(
            "weights read for each text",
            lambda w, c, s, b: b * s / (b * w + c),
            "You read the weights once for each text. A step reads them once for the whole batch, "
            "which is why a batch raises the throughput.",
        ),
        _decode(
            "weights and caches at the same time",
            lambda w, c, s, b: b * s / max(w, c),
            "Weights and caches share one bandwidth: add their bytes.",
        ),
        _decode(
            "seconds for a token",
            lambda w, c, s, b: (w + c) / (b * s),
            "This is the time of one token. Tokens per second are its inverse.",
        ),
        _decode(
            "bits for bytes",
            lambda w, c, s, b: b * s / (8 * (w + c)),
            "Weights, cache and bandwidth are all in bytes: no factor 8.",
        ),
    ),
    alternatives=(
        Alternative(
            "as the hints say",
            lambda weight_bytes, cache_bytes, bandwidth, batch=1: (
                batch / ((weight_bytes + cache_bytes) / bandwidth)
            ),
        ),
        Alternative(
            "bytes for a token",
            lambda weight_bytes, cache_bytes, bandwidth, batch=1: (
                bandwidth / (weight_bytes / batch + cache_bytes / batch)
            ),
        ),
        Alternative("by times", _tokens_by_time),
    ),
    hints=(
        "How many bytes does one step read?",
        "weight_bytes + cache_bytes. Divided by the bandwidth, this is the time of a step.",
        "A step gives `batch` tokens.",
    ),
)
