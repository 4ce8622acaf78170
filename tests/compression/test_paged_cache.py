"""The paged cache in few bits, beside the contiguous one: the same tokens, and the bytes."""

import copy
import random

import jaxtyping
import pytest
import torch

from course_lib import compression
from course_lib.compression import QuantisedPool, quantised_pool
from course_lib.device import seeded
from course_lib.generation import generate
from course_lib.model import ModelConfig, build_model
from course_lib.serving import Engine, PagedRunner, Request, Row, empty_pool, generate_all

SHAPE = 6, 4, 2, 10  # blocks, places, keys and values, width
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def opinionated():
    """Return a model in which no token wins by rounding alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(ModelConfig(61, 24, 40, 2, 4, 2, 6, 64)).double()
        for weight in model.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
    return model.eval().requires_grad_(False)


@pytest.fixture
def without_type_checks():
    """Leave out the checks of every call: here the tokens are checked, one by one."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def any_request(rng):
    start = rng.choice([(7, 3, 9, 1) * 4, (5, 8, 2) * 3, ()])
    return Request((*start, *rng.choices(range(61), k=rng.randint(1, 9))), rng.randint(1, 9))


@pytest.mark.parametrize(
    ("bits", "settings"),
    [
        (8, {"num_blocks": 60, "block_size": 4}),
        (8, {"num_blocks": 14, "block_size": 3, "token_budget": 9, "draft_tokens": 2}),
        (4, {"num_blocks": 16, "block_size": 4, "token_budget": 13}),
        (3, {"num_blocks": 90, "block_size": 1}),
    ],
)
def test_paged_and_contiguous_give_the_same_tokens(
    opinionated, bits, settings, without_type_checks
):
    rng = random.Random(bits)
    requests = [any_request(rng) for _ in range(16)]
    engine = Engine(opinionated, make_pool=quantised_pool(bits), **settings)
    found = generate_all(engine, requests)
    contiguous = compression.use_quantised_cache(copy.deepcopy(opinionated), bits)
    plain = []
    for request, tokens in zip(requests, found, strict=True):
        ids = torch.tensor([request.prompt])
        assert tokens == generate(contiguous, ids, request.max_new_tokens)[0].tolist()
        plain.append(generate(opinionated, ids, request.max_new_tokens)[0].tolist())
    assert (found != plain) == (bits < 8)  # few bits are felt, so the codes were read
    assert engine.blocks.free == engine.blocks.num_blocks
    assert not any(engine.blocks.references)
    assert (engine.statistics.preemptions > 0) == (settings["num_blocks"] < 60)


def test_samples_copy_the_codes_of_a_shared_block(opinionated):
    engine = Engine(opinionated, num_blocks=20, block_size=4, make_pool=quantised_pool(4))
    parent = engine.add(Request(tuple(range(10)), 5))
    child = engine.add(Request(tuple(range(10)), 5), parent)
    engine.run()
    assert parent.new == child.new
    contiguous = compression.use_quantised_cache(copy.deepcopy(opinionated), 4)
    assert child.new == generate(contiguous, torch.arange(10)[None], 5)[0].tolist()


@pytest.mark.parametrize("bits", [8, 4, 3])
def test_a_pool_returns_rounded_rows_where_they_were_written(bits):
    pool = QuantisedPool(SHAPE, torch.float64, CPU, bits=bits)
    everything = torch.arange(6)[None]
    before = pool.gather(everything)
    sizes = torch.tensor([1.0, 50.0, 0.1])[:, None, None]
    new = torch.randn(3, 2, 10, generator=seeded(1)).double() * sizes
    pool.write(torch.tensor([5, 22, 9]), new)
    pool.copy_blocks(torch.tensor([1, 5]), torch.tensor([0, 3]))
    read = pool.gather(torch.tensor([[1, 2], [0, 3]]))
    assert read.dtype == torch.float64
    step = new.abs().amax(-1, keepdim=True) / compression.largest_code(bits)
    limit = step * max(0.51, compression.largest_code(bits) / 256)
    for found, given, most in zip(
        (read[0, 0, 1], read[0, 1, 1], read[1, 0, 1], read[1, 1, 2]),
        (new[0], new[2], new[0], new[1]),
        (limit[0], limit[2], limit[0], limit[1]),
        strict=True,
    ):
        assert bool(((found - given).abs() <= most).all())
        assert not torch.equal(found, given)
    changed = (pool.gather(everything) != before).flatten(-2).any(-1)
    assert int(changed.sum()) == 3 + 2


@pytest.mark.parametrize(("bits", "row"), [(8, 10), (4, 5), (3, 4)])
def test_bytes_are_codes_and_a_scale_for_each_row(bits, row):
    pool = QuantisedPool(SHAPE, torch.float32, CPU, bits=bits)
    rows = 6 * 4 * 2
    assert pool.nbytes == rows * (row + 2)
    assert empty_pool(SHAPE, torch.float32, CPU).nbytes == rows * 10 * 4


def test_an_engine_counts_the_bytes_of_its_cache(opinionated):
    small = Engine(opinionated, num_blocks=5, make_pool=quantised_pool(8))
    cache = compression.use_quantised_cache(copy.deepcopy(opinionated), 8).make_cache(1, 5 * 16)
    assert small.runner.nbytes == sum(each.nbytes for each in cache)
    assert small.runner.nbytes == 2 * 5 * 16 * 2 * 2 * (6 + 2)


def test_keys_that_are_not_numbers_end_one_request_only(opinionated):
    broken = copy.deepcopy(opinionated)
    broken.model.embed_tokens.weight[60] = torch.nan
    engine = Engine(broken, num_blocks=20, make_pool=quantised_pool(8))
    good, bad = engine.add(Request((1, 2), 3)), engine.add(Request((1, 60), 3))
    engine.run()
    assert bad.finish == "error"
    assert "NaN" in bad.error
    assert (
        good.new
        == generate_all(Engine(opinionated, make_pool=quantised_pool(8)), [good.request])[0]
    )


def test_bits_that_cannot_be_raise():
    with pytest.raises(ValueError, match="got 9"):
        quantised_pool(9)


def test_logits_of_both_caches_agree(opinionated):
    text = torch.randint(61, (1, 17), generator=seeded(3))
    runner = PagedRunner(opinionated, 8, 4, quantised_pool(4))
    (paged,) = runner.run([Row(text[0].tolist(), 0, [6, 1, 3, 0, 7])], [17])
    contiguous = compression.use_quantised_cache(copy.deepcopy(opinionated), 4)
    with torch.inference_mode():
        wanted = contiguous(text, cache=contiguous.make_cache(1, 17)).logits[0]
        exact = opinionated(text).logits[0]
    torch.testing.assert_close(paged, wanted)
    assert (paged - exact).abs().max() > 1e-3
