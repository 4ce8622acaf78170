"""Whole models: packed, unpacked, saved, read back; caches in few bits."""

import copy
import json

import pytest
import torch

import course_lib
from course_lib import compression
from course_lib.attention import KVCache
from course_lib.compression import QuantisedKVCache, Scheme
from course_lib.compression.files import load_quantised, save_quantised
from course_lib.device import seeded
from course_lib.generation import generate
from course_lib.pretrained import course_tokenizer
from course_lib.serving import Engine, Request, generate_all


@pytest.mark.parametrize("method", ["nearest", "gptq", "awq"])
def test_a_packed_model_is_the_dequantised_one(small, ids, method):
    statistics = compression.calibrate(small, ids)
    whole = compression.model_bytes(small)
    packed = compression.quantise_model(
        copy.deepcopy(small), Scheme(4, 8), method, statistics, embedding=True
    )
    assert len(dict(compression.quantised_layers(packed))) == 16
    assert compression.model_bytes(packed) < 0.35 * whole
    plain = compression.dequantise_model(copy.deepcopy(packed))
    assert not dict(compression.quantised_layers(plain))
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    torch.testing.assert_close(packed(ids).logits, plain(ids).logits, atol=1e-4, rtol=1e-4)
    assert not torch.equal(packed(ids).logits, small(ids).logits)


def test_each_layer_is_quantised_by_its_method(small, ids):
    statistics = compression.calibrate(small, ids)
    packed = compression.quantise_model(copy.deepcopy(small), Scheme(3), "gptq", statistics)
    name = "model.layers.1.self_attn.o_proj"
    alone = compression.gptq(
        small.get_parameter(f"{name}.weight"), statistics[name].gram, Scheme(3)
    )
    assert torch.equal(packed.get_submodule(name).packed, alone.packed)


@pytest.mark.parametrize("embedding", [False, True])
def test_a_folder_gives_the_same_model_back(course, tmp_path, embedding):
    packed = compression.quantise_model(course, Scheme(4, 64), embedding=embedding)
    folder = save_quantised(packed, tmp_path, course_tokenizer(), dtype=torch.float32)
    found = course_lib.load(folder, device="cpu")
    ids = torch.tensor([course_tokenizer().encode("import os\nimport sys\n")])
    assert torch.equal(load_quantised(folder)(ids).logits, packed(ids).logits)
    torch.testing.assert_close(found.model(ids).logits, packed(ids).logits, atol=1e-4, rtol=1e-4)
    layers = dict(compression.quantised_layers(found.model))
    assert len(layers) == (30 if embedding else 28)
    assert found.generate("import", 5) == found.generate("import", 5)
    on_disk = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert on_disk < (1.9e6 if embedding else 3.8e6)


def test_half_precision_keeps_scales(course, tmp_path):
    packed = compression.quantise_model(course, Scheme(4, 64), embedding=True)
    save_quantised(packed, tmp_path)
    found = load_quantised(tmp_path)
    assert found.lm_head.weight.dtype == torch.float16
    name = "model.layers.0.mlp.up_proj"
    assert torch.equal(found.get_submodule(name).scale, packed.get_submodule(name).scale)


def test_smoothed_and_biased_layers_come_back(small, ids, tmp_path):
    statistics = compression.calibrate(small, ids)
    packed = compression.quantise_model(
        small, Scheme(8, "channel", "zero point"), "awq", statistics, activation_bits=8
    )
    save_quantised(packed, tmp_path, dtype=torch.float32)
    assert torch.equal(load_quantised(tmp_path)(ids).logits, packed(ids).logits)


def test_foreign_and_broken_folders_are_named(small, ids, tmp_path):
    with pytest.raises(ValueError, match="plain model"):
        save_quantised(small, tmp_path)
    save_quantised(compression.quantise_model(small, Scheme(4, 8)), tmp_path)
    path = tmp_path / "config.json"
    words = json.loads(path.read_text("utf-8"))

    def changed(**block):
        new = words | {"quantization_config": words["quantization_config"] | block}
        path.write_text(json.dumps(new), encoding="utf-8")

    changed(version=7)
    with pytest.raises(ValueError, match=r"version 1 .* got 7"):
        load_quantised(tmp_path)
    changed(layers=None)
    with pytest.raises(ValueError, match="by name; got None"):
        load_quantised(tmp_path)
    changed(layers={"model.layers.0.mlp.up_proj": {"bits": 4}})
    with pytest.raises(ValueError, match="up_proj"):
        load_quantised(tmp_path)
    changed(layers={})
    with pytest.raises(ValueError, match="belong together"):
        load_quantised(tmp_path)
    changed(quant_method="gptq")
    with pytest.raises(ValueError, match="quantization_config"):
        course_lib.checkpoint.load_model(tmp_path)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantised_cache_is_a_cache_of_rounded_rows(bits):
    rows = [torch.randn(2, 3, 5, 16, generator=seeded(n)) for n in (0, 1)]
    cache = QuantisedKVCache(2, 3, 9, 16, bits=bits)
    cache.append(*(each[:, :, :3] for each in rows))
    keys, values = cache.append(*(each[:, :, 3:] for each in rows))
    for found, given in ((keys, rows[0]), (values, rows[1])):
        step = given.abs().amax(-1, keepdim=True) / compression.largest_code(bits)
        # A scale in bfloat16 may be 1/256 too small, and then the largest number is clamped.
        limit = step * max(0.51, compression.largest_code(bits) / 256)
        assert bool(((found - given).abs() <= limit).all())
    plain = KVCache(2, 3, 9, 16)
    assert cache.nbytes == plain.nbytes / 4 * (bits / 8 + 2 / 16)
    cache.truncate(2)
    cache.select_rows(torch.tensor([1, 1]))
    assert torch.equal(cache.keys[0], keys[1, :, :2])
    assert cache.next_positions(2).tolist() == [2, 3]
    with pytest.raises(ValueError, match="compiled"):
        cache.next_place()
    with pytest.raises(ValueError, match="room for 9"):
        cache.append(*(torch.zeros(2, 3, 8, 16) for _ in range(2)))


def test_generation_with_a_cache_in_eight_bits(course):
    ids = torch.tensor([course_tokenizer().encode("import os\nimport")])
    plain = generate(course, ids, 12)
    assert torch.equal(generate(compression.use_quantised_cache(course, 8), ids, 12), plain)


def test_the_engine_serves_a_packed_model(course):
    packed = compression.quantise_model(course, Scheme(8))
    requests = [Request((5, 6, 7), 4), Request((9, 8), 5)]
    texts = generate_all(Engine(packed, num_blocks=16), requests)
    for request, text in zip(requests, texts, strict=True):
        alone = generate(packed, torch.tensor([request.prompt]), request.max_new_tokens)
        assert alone[0].tolist() == text


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
@pytest.mark.parametrize("sparsity", [0.5, None])
def test_a_pruned_model_has_its_zeros(small, ids, method, sparsity):
    statistics = compression.calibrate(small, ids)
    pruned = compression.prune_model(small, method, sparsity, statistics)
    for layer in compression.linear_layers(pruned).values():
        assert (layer.weight == 0).float().mean() == 0.5
    with pytest.raises(ValueError, match="'random'"):
        compression.prune_model(small, "random")
    with pytest.raises(ValueError, match="Call `calibrate`"):
        compression.prune_model(small, "wanda")
