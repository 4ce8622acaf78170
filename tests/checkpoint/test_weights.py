"""Checkpoints of every family, to transformers and back, and broken folders."""

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from course_lib.checkpoint import load_model, save_model
from course_lib.device import seeded
from course_lib.model import DecoderLM

IDS = torch.randint(101, (2, 17), generator=seeded(0))


def same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert list(one) == list(other)
    return all(torch.equal(one[name], other[name]) for name in one)


def rewrite(folder, **changes):
    """Change words in a config.json; None removes one."""
    path = folder / "config.json"
    words = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: each for name, each in words.items() if each is not None}))


@pytest.fixture
def folder(tiny, tmp_path):
    """Return a folder with a small Llama."""
    save_model(tiny("llama3"), tmp_path / "llama")
    return tmp_path / "llama"


@torch.no_grad()
def test_round_trip_through_transformers(family, tiny, tmp_path):
    model = tiny(family)
    save_model(model, tmp_path / "ours")
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", attn_implementation="eager", output_loading_info=True
    )
    assert not any(report.values()), report
    torch.testing.assert_close(theirs(IDS).logits, model(IDS).logits, rtol=0, atol=1e-5)
    theirs.save_pretrained(tmp_path / "theirs")
    back = load_model(tmp_path / "theirs")
    assert same_weights(model, back)
    assert torch.equal(back(IDS).logits, model(IDS).logits)
    save_model(back, tmp_path / "again")
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "ours" / file).read_bytes()


@pytest.mark.parametrize("name", ["qwen3 tied", "qwen3_moe", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_stay_as_they_are(name, dtype, tiny, tmp_path):
    model = tiny(name).to(dtype)
    save_model(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] in str(dtype)
    back = load_model(tmp_path)
    assert {each.dtype for each in back.parameters()} == {dtype}
    assert same_weights(model, back)
    wide = load_model(tmp_path, torch.float32)
    assert {each.dtype for each in wide.parameters()} == {torch.float32}
    assert same_weights(wide, model.float())
    save_model(wide, tmp_path)
    assert same_weights(load_model(tmp_path, dtype), back)


def test_a_tied_head_is_one_tensor_in_file_and_model(tiny, tmp_path):
    save_model(tiny("qwen3 tied"), tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    for dtype in (None, torch.float64):
        model = load_model(tmp_path, dtype)
        assert model.lm_head.weight is model.model.embed_tokens.weight
    assert all(each.requires_grad for each in model.parameters())
    assert not model.training


def test_shards_of_transformers(tiny, tmp_path):
    save_model(tiny("qwen3_moe"), tmp_path / "whole")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "cut", max_shard_size="60KB")
    shards = sorted((tmp_path / "cut").glob("*.safetensors"))
    assert len(shards) > 3
    assert same_weights(load_model(tmp_path / "cut"), load_model(tmp_path / "whole"))
    shards[1].unlink()
    with pytest.raises(ValueError, match=rf"{shards[1].name} must be a whole .* fetch it again"):
        load_model(tmp_path / "cut")
    shutil.copy(shards[0], shards[1])
    with pytest.raises(ValueError, match=rf"{shards[1].name} without .* fetch the folder again"):
        load_model(tmp_path / "cut")


@pytest.fixture
def shards(tiny, tmp_path):
    """Return the shards of a checkpoint of two, in order."""
    save_model(tiny("llama3"), tmp_path / "whole")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "cut", max_shard_size="200KB")
    first, second = sorted((tmp_path / "cut").glob("*.safetensors"))
    return first, second


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"",
        lambda data: b"PK" + data[2:],  # the length of the header
        lambda data: data[:8] + b"[" + data[9:],  # the header itself
    ],
    ids=["cut off", "too long", "empty", "another format", "no header"],
)
def test_a_corrupt_shard_is_named(spoil, shards):
    _, second = shards
    second.write_bytes(spoil(second.read_bytes()))
    with pytest.raises(ValueError, match=rf"{second.name} must be a whole safetensors file; got "):
        load_model(second.parent)


def test_a_tensor_in_two_shards(shards):
    first, second = (load_file(each) for each in shards)
    name = min(first)
    save_file(second | {name: first[name] + 1}, shards[1])
    both = rf"got {name} in .*{shards[1].name} and in {shards[0].name}\. Remove shards"
    with pytest.raises(ValueError, match=both):
        load_model(shards[1].parent)


def test_weights_are_mapped_and_writing_to_them_leaves_the_file_alone(folder):
    before = (folder / "model.safetensors").read_bytes()
    model = load_model(folder)
    addresses = sorted(each.data_ptr() for each in model.parameters())
    assert addresses[-1] - addresses[0] < len(before)  # all within one mapping of the file
    with torch.no_grad():
        model.model.norm.weight.fill_(7.0)
    assert (folder / "model.safetensors").read_bytes() == before
    save_model(model, folder)  # onto the very file from which it is mapped
    assert load_model(folder).model.norm.weight.unique().tolist() == [7.0]
    assert sorted(each.name for each in folder.iterdir()) == ["config.json", "model.safetensors"]


@torch.no_grad()
def test_gpt2_as_it_was_published(tiny, tmp_path):
    model = tiny("gpt2")
    save_model(model, tmp_path)
    rewrite(tmp_path, n_ctx=64, tie_word_embeddings=None, dtype=None, n_inner=None)
    state = load_file(tmp_path / "model.safetensors")
    old = {name.removeprefix("transformer."): part for name, part in state.items()}
    for layer in range(3):
        old[f"h.{layer}.attn.bias"] = torch.ones(64, 64).tril().view(1, 1, 64, 64)
        old[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(old, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"h\.0\.mlp\.c_fc\.weight in model\.safetensors with shape"
    ):
        load_model(tmp_path)  # n_inner absent means 4 * n_embd
    rewrite(tmp_path, n_inner=72)
    back = load_model(tmp_path)
    assert same_weights(model, back)
    assert torch.equal(back(IDS).logits, model(IDS).logits)


def test_a_head_that_is_stored_though_tied(tiny, tmp_path):
    model = tiny("qwen3 tied")
    save_model(model, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    save_file(
        state | {"lm_head.weight": state["model.embed_tokens.weight"].clone()},
        tmp_path / "model.safetensors",
    )
    assert same_weights(load_model(tmp_path), model)
    save_file(
        state | {"lm_head.weight": state["model.embed_tokens.weight"] + 1},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(ValueError, match=r"differ\. Write tie_word_embeddings=false"):
        load_model(tmp_path)


def test_words_are_added_to_the_config(tiny, tmp_path):
    save_model(tiny("llama"), tmp_path, {"eos_token_id": 7})
    assert transformers.AutoConfig.from_pretrained(tmp_path).eos_token_id == 7


def replaced(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("model.norm.weight"), r"model\.norm\.weight missing"),
        (lambda s: s.update(extra=torch.ones(1)), "extra without a place in llama"),
        (
            lambda s: s.update({"model.norm.weight": torch.ones(47)}),
            r"model\.norm\.weight in model\.safetensors with shape \(47,\) instead of \(48,\)",
        ),
        (
            lambda s: s.update({"model.norm.weight": torch.ones(48, dtype=torch.int8)}),
            "quantised or integer tensors",
        ),
        (
            lambda s: s.update({"model.norm.weight": torch.ones(48).half()}),
            "several number types.*pass dtype=",
        ),
        (lambda s: s.clear(), "model.embed_tokens.weight, .* and 26 more missing"),
    ],
)
def test_misfits_name_tensor_and_folder_and_nothing_is_loaded(change, message, folder, monkeypatch):
    replaced(folder, change)
    loaded = []
    monkeypatch.setattr(DecoderLM, "load_state_dict", lambda *each, **how: loaded.append(each))
    with pytest.raises(
        ValueError, match=rf"got in .*{folder.name}: .*{message}.*Nothing was loaded"
    ):
        load_model(folder)
    assert not loaded


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"hidden_size": 50}, r"embed_tokens\.weight .* \(101, 48\) instead of \(101, 50\)"),
        ({"num_attention_heads": 4}, r"q_proj\.weight .* \(60, 48\) instead of \(40, 48\)"),
        ({"num_key_value_heads": 3}, r"k_proj\.weight .* \(20, 48\) instead of \(30, 48\)"),
        ({"intermediate_size": 96}, r"gate_proj\.weight .* \(72, 48\) instead of \(96, 48\)"),
        ({"num_hidden_layers": 2}, r"model\.layers\.2\.\S+, .* without a place in llama"),
        ({"num_hidden_layers": 4}, r"model\.layers\.3\.\S+, .* missing"),
        ({"model_type": "qwen3"}, r"q_norm\.weight, .* missing"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_a_config_for_other_weights(words, message, folder):
    rewrite(folder, **words)
    with pytest.raises(ValueError, match=rf"{message}.*belong together\? Nothing was loaded"):
        load_model(folder)


def test_an_architecture_that_is_not_known_here(folder):
    rewrite(folder, model_type="mamba", architectures=["MambaForCausalLM"])
    with pytest.raises(ValueError, match=r"config\.json does not describe a model .*got 'mamba'"):
        load_model(folder)


def test_missing_experts_are_named(tiny, tmp_path):
    save_model(tiny("qwen3_moe"), tmp_path)
    replaced(tmp_path, lambda s: s.pop("model.layers.1.mlp.experts.4.up_proj.weight"))
    with pytest.raises(
        ValueError, match=r"model\.layers\.1\.mlp\.experts\.4\.up_proj\.weight miss"
    ):
        load_model(tmp_path)


def test_mixed_types_load_when_one_is_named(folder):
    replaced(folder, lambda s: s.update({"model.norm.weight": torch.ones(48).half()}))
    assert {each.dtype for each in load_model(folder, torch.float32).parameters()} == {
        torch.float32
    }


def test_broken_files(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors must be a whole safetensors file"):
        load_model(folder)
    weights.unlink()
    with pytest.raises(ValueError, match=r"neither\. Older formats are converted by transformers"):
        load_model(folder)
    for content in ("{}", '{"weight_map": [1]}', '{"weight_map": {"a": 5}}', "{"):
        (folder / "model.safetensors.index.json").write_text(content)
        with pytest.raises(ValueError, match="an index maps each tensor to its shard"):
            load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"needs a config\.json in JSON; got .*JSONDecodeError"):
        load_model(folder)
