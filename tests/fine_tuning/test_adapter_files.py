"""Adapters in peft's format: written by either, read by the other, with the same outputs."""

import json
import shutil

import pytest
import torch

from course_lib.device import seeded
from course_lib.fine_tuning.adapter_files import (
    adapter_tensors,
    load_adapter,
    save_adapter,
    set_adapter_tensors,
)
from course_lib.fine_tuning.lora import LoRAConfig, inject_lora, lora_layers, merge_lora
from course_lib.fine_tuning.new_tokens import embedding

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
CONFIGS = [
    LoRAConfig(rank=3, alpha=7.0, targets=("q_proj", "v_proj")),
    LoRAConfig(rank=4, alpha=8.0, rank_stabilised=True),
]
ROWS = (5, 7)


def stir(model, seed=5):
    for _, layer in lora_layers(model):
        layer.lora_B.data = 0.3 * torch.randn(layer.lora_B.shape, generator=seeded(seed))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("rows", [(), ROWS])
def test_peft_reads_what_we_write(model, theirs, ids, config, rows, tmp_path):
    from peft import PeftModel

    inject_lora(model, config)
    stir(model)
    with torch.no_grad():
        embedding(model)[list(rows)] += 0.2
        expected = model(ids).logits
        save_adapter(model, config, tmp_path, rows)
        read = PeftModel.from_pretrained(theirs, tmp_path)
        torch.testing.assert_close(read(ids).logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("rows", [(), ROWS])
def test_we_read_what_peft_writes(model, theirs, ids, config, rows, tmp_path):
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=list(config.targets),
        use_rslora=config.rank_stabilised,
        trainable_token_indices=list(rows) or None,
    )
    wrapped = get_peft_model(theirs, settings)
    with torch.no_grad():
        for name, part in wrapped.named_parameters():
            if "lora_B" in name or "trainable_tokens" in name:
                part += 0.2 * torch.randn(part.shape, generator=seeded(2))
        expected = wrapped(ids).logits
        wrapped.save_pretrained(tmp_path)
        found = load_adapter(model, tmp_path)
        assert (found.rank, found.scale) == (config.rank, config.scale)
        torch.testing.assert_close(model(ids).logits, expected, rtol=0, atol=1e-5)
        merge_lora(model)
        merged = wrapped.merge_and_unload()
        for layer in (0, 1):
            ours = model.model.layers[layer].self_attn.q_proj.base_layer.weight
            part = merged.model.layers[layer].self_attn.q_proj.weight
            torch.testing.assert_close(ours, part, rtol=0, atol=1e-6)


def test_gradients_are_those_of_peft(model, theirs, ids):
    from peft import LoraConfig, get_peft_model

    config = CONFIGS[0]
    inject_lora(model, config)
    stir(model)
    settings = LoraConfig(r=3, lora_alpha=7.0, target_modules=["q_proj", "v_proj"])
    wrapped = get_peft_model(theirs, settings)
    own = adapter_tensors(model)
    parts = {n.replace(".default", ""): p for n, p in wrapped.named_parameters() if "lora_" in n}
    for name, part in parts.items():
        part.data = own[name].clone()
    model(ids).logits.square().mean().backward()
    wrapped(ids).logits.square().mean().backward()
    for name, layer in lora_layers(model):
        for factor in ("lora_A", "lora_B"):
            expected = parts[f"base_model.model.{name}.{factor}.weight"].grad
            torch.testing.assert_close(getattr(layer, factor).grad, expected, rtol=1e-4, atol=1e-6)


def test_several_adapters_share_one_base(model, ids, tmp_path):
    config, outputs = CONFIGS[0], []
    inject_lora(model, config)
    with torch.no_grad():
        for seed in (1, 2):
            stir(model, seed)
            outputs.append(model(ids).logits)
            save_adapter(model, config, tmp_path / str(seed))
        for seed in (1, 2):
            load_adapter(model, tmp_path / str(seed))
            assert torch.equal(model(ids).logits, outputs[seed - 1])
    assert not torch.equal(*outputs)


def test_an_adapter_of_another_model_is_refused_by_name_and_shape(model, tmp_path):
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("sizes", Path(__file__).with_name("conftest.py"))
    sizes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sizes)
    other = sizes.make_model(hidden_size=28)
    inject_lora(other, CONFIGS[0])
    save_adapter(other, CONFIGS[0], tmp_path)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"layers\.0.*\(3, 24\) in the model, \(3, 28\)"):
        load_adapter(model, tmp_path)
    inside = {n.replace(".base_layer", ""): p for n, p in model.state_dict().items()}
    assert all(torch.equal(before[name], inside[name]) for name in before)


def test_a_merged_adapter_is_not_replaced(model):
    inject_lora(model, CONFIGS[0])
    tensors = {name: part.clone() for name, part in adapter_tensors(model).items()}
    merge_lora(model)
    with pytest.raises(ValueError, match="un-merge"):
        set_adapter_tensors(model, tensors)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_dora": True}, "use_dora must be False.*got True"),
        ({"bias": "all"}, "bias must be 'none'.*got 'all'"),
        ({"peft_type": "LOHA"}, "peft_type.*'LOHA'"),
        ({"target_modules": "all-linear"}, "'all-linear'"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
    ],
)
def test_what_would_be_computed_differently_is_refused(model, tmp_path, changes, said):
    inject_lora(model, CONFIGS[0])
    save_adapter(model, CONFIGS[0], tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=said):
        load_adapter(model, tmp_path)
    shutil.rmtree(tmp_path)
