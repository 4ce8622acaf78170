"""The roofline and what follows from it, against numbers worked out by hand."""

import pytest

from course_lib.accounting import (
    DEVICES,
    MODELS,
    Device,
    arithmetic_intensity,
    decode_tokens_per_second,
    kv_cache_bytes,
    model_step,
    ridge_intensity,
    roofline,
    time_bound,
    total_parameters,
)

TOY = Device("toy", peak_flops=100.0, bandwidth=10.0, memory=1000.0)


def test_roofline_by_hand():
    assert arithmetic_intensity(50.0, 10.0) == 5
    assert ridge_intensity(TOY.peak_flops, TOY.bandwidth) == 10
    assert roofline(5.0, 100.0, 10.0) == 50
    assert roofline(10.0, 100.0, 10.0) == 100
    assert roofline(20.0, 100.0, 10.0) == 100


def test_decode_by_hand():
    assert decode_tokens_per_second(8.0, 2.0, 100.0) == 10
    assert decode_tokens_per_second(8.0, 2.0 * 4, 100.0, batch=4) == 25
    weights = 2 * total_parameters(MODELS["Qwen3-8B"])
    assert round(decode_tokens_per_second(weights, 0, 3.35e12)) == 204


@pytest.mark.parametrize("device", DEVICES.values(), ids=lambda each: each.name)
def test_prefill_computes_and_decode_waits_for_memory(device):
    config = MODELS["Qwen3-8B"]
    prefill, decode = model_step(config, 4096), model_step(config, 1, past=4095)
    ridge = ridge_intensity(device.peak_flops, device.bandwidth)
    assert decode.intensity < 2 < ridge < prefill.intensity
    assert time_bound(prefill, device) == (prefill.flops / device.peak_flops, "compute")
    assert time_bound(decode, device) == (decode.bytes_moved / device.bandwidth, "memory")


def test_a_decode_step_agrees_with_the_bound_on_tokens():
    config, device = MODELS["Qwen3-0.6B"], DEVICES["L4"]
    cache = kv_cache_bytes(28, 8, 128, 1000, batch=4)
    rate = decode_tokens_per_second(2 * total_parameters(config), cache, device.bandwidth, batch=4)
    step = model_step(config, 1, past=999, batch=4)
    assert 4 / time_bound(step, device)[0] == pytest.approx(rate)


def test_an_untied_embedding_is_looked_up_not_read():
    config = MODELS["Qwen3-8B"]
    moved = model_step(config, 1).bytes_moved
    table = 151936 * 4096
    assert moved == 2 * (total_parameters(config) - table + 4096) + 147_456


def test_experts_are_read_as_often_as_some_token_needs_them():
    config = MODELS["Qwen3-30B-A3B"]
    one, many, all_of_them = (model_step(config, 1, batch=b).bytes_moved for b in (1, 8, 10_000))
    cache = kv_cache_bytes(48, 4, 128, 1)
    expert, table = 2 * 48 * 3 * 2048 * 768, 2 * (151936 - 1) * 2048
    assert one == pytest.approx(2 * 30_532_122_624 - table - 120 * expert + cache)
    assert one < many < 8 * one
    assert all_of_them - 10_000 * cache == pytest.approx(2 * 30_532_122_624 - table, rel=0.02)


def test_int4_halves_what_int8_moves():
    config = MODELS["Qwen3-8B"]
    moved = [model_step(config, 1, dtype=dtype).bytes_moved for dtype in ("int8", "int4")]
    assert (moved[0] - 147_456) == 2 * (moved[1] - 147_456)


@pytest.mark.parametrize(
    "call",
    [
        lambda: arithmetic_intensity(1.0, 0.0),
        lambda: ridge_intensity(0.0, 1.0),
        lambda: roofline(-1.0, 1.0, 1.0),
        lambda: decode_tokens_per_second(1.0, 1.0, 1.0, batch=0),
    ],
)
def test_nothing_is_free(call):
    with pytest.raises(ValueError, match=r"positive.*per second"):
        call()
