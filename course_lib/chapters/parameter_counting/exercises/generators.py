"""Generated inputs for the exercises of this chapter: random sizes, equal ones included."""

from dataclasses import replace

from course_lib.model import ModelConfig
from course_lib.study.check.spec import call

# Every size is different, so that confusing two of them changes the result.
SMALL = ModelConfig(50, 12, 20, 3, 4, 2, 8, 64, tie_word_embeddings=True)
# An odd number of billions, which neither a 32-bit integer nor float32 can hold.
LARGE_AND_ODD = ModelConfig(150_001, 5119, 17_409, 40, 33, 11, 130, 64)


def _heads(rng):
    """Return a number of query heads and a number of key/value heads that divides it."""
    shared = rng.randrange(1, 5)
    return shared * rng.choice([1, 1, 2, 3, 4]), shared


def attentions(rng):
    """Make the sizes of a layer of attention."""
    heads, groups = _heads(rng)
    return call(rng.randrange(1, 40), heads, groups, rng.randrange(1, 20))


def feed_forwards(rng):
    """Make the sizes of a feed-forward layer, gated or not."""
    gated = rng.choice([(), (True,), (False,)])
    return call(rng.randrange(1, 40), rng.randrange(1, 60), *gated)


def _sizes(rng):
    heads, groups = _heads(rng)
    return {
        "vocab_size": rng.randrange(1, 300),
        "hidden_size": rng.randrange(1, 30),
        "intermediate_size": rng.randrange(1, 50),
        "num_hidden_layers": rng.randrange(1, 6),
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "head_dim": 2 * rng.randrange(1, 9),
        "tie_word_embeddings": rng.random() < 0.5,
        "qk_norm": rng.random() < 0.5,
    }


def models(rng):
    """Make the config of a small dense model."""
    return call(replace(SMALL, **_sizes(rng)))


def mixtures(rng):
    """Make the config of a small model with experts in every layer."""
    experts = rng.randrange(1, 9)
    return call(
        replace(
            SMALL,
            model_type="qwen3_moe",
            num_experts=experts,
            num_experts_per_tok=rng.randrange(1, experts + 1),
            moe_intermediate_size=rng.randrange(1, 20),
            **_sizes(rng),
        )
    )


def tokens(rng):
    """Make a model's parameters, layers and width, and the length of a text."""
    parameters = rng.choice([0, rng.randrange(1, 2000), rng.randrange(10**6, 10**12)])
    return call(parameters, rng.randrange(6), rng.randrange(1, 600), rng.randrange(1, 5000))


def trainings(rng):
    """Make the parameters of a model and the tokens of its training."""
    largest = rng.choice([20, 10**12])
    return call(rng.randrange(1, largest), rng.randrange(1, largest))


def caches(rng):
    """Make the sizes of a cache, sometimes of a batch, sometimes in a different number type."""
    more = {}
    if rng.random() < 0.6:
        more["batch"] = rng.randrange(1, 6)
    if rng.random() < 0.6:
        more["bytes_per_number"] = rng.choice([1, 2, 4, 8])
    return call(*(rng.randrange(1, 9) for _ in range(3)), rng.randrange(1, 100), **more)


def _power(rng, low, high):
    return 10 ** rng.uniform(low, high)


def rooflines(rng):
    """Make an intensity and the two speeds of a device, on both sides of the ridge."""
    peak, bandwidth = _power(rng, 1, 15), _power(rng, 1, 13)
    return call(peak / bandwidth * _power(rng, -2, 2), peak, bandwidth)


def decodes(rng):
    """Make the bytes of weights and of caches, a bandwidth, and often a batch."""
    weights = _power(rng, 1, 11)
    cache = rng.choice([0.0, weights * _power(rng, -1.5, 1.5)])
    batch = rng.choice([(), (1,), (rng.randrange(2, 65),)])
    return call(weights, cache, _power(rng, 2, 13), *batch)


def activations(rng):
    """Make a batch, a length, and the sizes of a block."""
    heads, groups = _heads(rng)
    sizes = (rng.randrange(1, 40), rng.randrange(1, 60), heads, groups, rng.randrange(1, 20))
    return call(rng.randrange(1, 5), rng.randrange(1, 30), *sizes)


def steps(rng):
    """Make the config of a small dense model, a length, often a batch and a number type."""
    more = {}
    if rng.random() < 0.7:
        more["batch"] = rng.randrange(1, 6)
    if rng.random() < 0.5:
        more["bytes_per_number"] = rng.choice([1, 2, 4])
    return call(replace(SMALL, **_sizes(rng)), rng.randrange(1, 50), **more)


def utilisations(rng):
    """Make a model and the speed and peak of a machine that trains it."""
    parameters = rng.randrange(1, 10**6)
    sizes = (rng.randrange(9), rng.randrange(1, 200), rng.randrange(1, 500))
    return call(parameters, *sizes, _power(rng, 0, 4), _power(rng, 9, 13))
