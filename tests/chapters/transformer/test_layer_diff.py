"""The report must agree with itself where models are equal, and name each planted fault."""

from types import MethodType

import pytest
import torch
import transformers

from course_lib.attention import MultiHeadAttention, merge_heads, split_heads
from course_lib.chapters.transformer.layer_diff import find_divergence
from course_lib.checkpoint import load_model, save_model
from course_lib.device import seeded
from course_lib.model import ModelConfig, build_model

SIZES = (101, 48, 72, 3, 6, 2, 10, 64)
FAMILIES = {
    "qwen3": ModelConfig(
        *SIZES,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    ),
    "qwen3_moe": ModelConfig(
        *SIZES,
        model_type="qwen3_moe",
        num_experts=6,
        num_experts_per_tok=2,
        moe_intermediate_size=20,
        sparse_layers=(False, True, True),
    ),
    "qwen2": ModelConfig(
        *SIZES, model_type="qwen2", qkv_bias=True, qk_norm=False, tie_word_embeddings=False
    ),
    "mistral": ModelConfig(*SIZES, model_type="mistral", qk_norm=False, sliding_window=4),
    "gpt2": ModelConfig(
        101, 48, 72, 3, 6, 6, 8, 64, model_type="gpt2", qk_norm=False, hidden_act="gelu_new"
    ),
}
IDS = torch.randint(101, (2, 17), generator=seeded(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a checkpoint of each family, with weights large enough to matter."""
    root = tmp_path_factory.mktemp("families")
    torch.manual_seed(0)
    for name, config in FAMILIES.items():
        model = build_model(config)
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
        save_model(model, root / name)
    return root


def pair(folders, name):
    reference = transformers.AutoModelForCausalLM.from_pretrained(
        folders / name, attn_implementation="eager"
    )
    return load_model(folders / name), reference


@pytest.mark.parametrize("name", FAMILIES)
def test_equal_models_differ_nowhere(name, folders):
    report = find_divergence(*pair(folders, name), IDS)
    assert report.faults == ()
    assert "nowhere: all agree within 1e-05" in str(report)
    names = {row.name for row in report.rows}
    wanted = {"lm_head"} | {
        f"transformer.h.{i}.{part}" if name == "gpt2" else f"model.layers.{i}.{part}"
        for i in range(3)
        for part in (("ln_1", "attn", "mlp") if name == "gpt2" else ("self_attn", "mlp"))
    }
    assert wanted <= names


def wrong_eps(model):
    model.model.layers[1].post_attention_layernorm.eps = 1e-2


def missing_query_norm(model):
    model.model.layers[0].self_attn.q_norm = torch.nn.Identity()


def wrong_base(model):
    other = build_model(
        ModelConfig(*SIZES, rope_parameters={"rope_type": "default", "rope_theta": 1e4})
    )
    model.rotation = other.rotation


def swapped_matrices(model):
    mlp = model.model.layers[2].mlp
    mlp.gate_proj, mlp.up_proj = mlp.up_proj, mlp.gate_proj


def activation_on_the_wrong_half(model):
    def forward(self, x):
        gate, up = x @ self.gate_proj.weight.T, x @ self.up_proj.weight.T
        return (gate * self.activation(up)) @ self.down_proj.weight.T

    mlp = model.model.layers[2].mlp
    mlp.forward = MethodType(forward, mlp)


def interleaved_groups(model):
    """Let query head i read key/value head i % G instead of i // (H / G)."""

    class Interleaved(MultiHeadAttention):
        def forward(self, x, *rest, **named):
            order = torch.arange(6).view(3, 2).T.flatten()
            q = self.q_proj

            def reordered(x):
                return merge_heads(split_heads(q_forward(x), 6)[:, order])

            def restored(x):
                return o_forward(merge_heads(split_heads(x, 6)[:, order.argsort()]))

            q_forward, o_forward = q.forward, self.o_proj.forward
            q.forward, self.o_proj.forward = reordered, restored
            try:
                return super().forward(x, *rest, **named)
            finally:
                q.forward, self.o_proj.forward = q_forward, o_forward

    model.model.layers[1].self_attn.__class__ = Interleaved


def residual_from_the_normed_input(model):
    def forward(self, x, mask, rotate=None, cache=None, return_weights=False, causal=False):
        x = self.input_layernorm(x)
        x = x + self.self_attn(x, mask, rotate=rotate)[0]
        return x + self.mlp(self.post_attention_layernorm(x)), None

    block = model.model.layers[1]
    block.forward = MethodType(forward, block)


def no_mask(model):
    inner = model.model.layers[2].self_attn.forward
    model.model.layers[2].self_attn.forward = lambda x, mask, **named: inner(
        x, None, **{**named, "causal": False}
    )


def wrong_embedding_row(model):
    model.model.embed_tokens.weight.data = model.model.embed_tokens.weight.data.roll(1, 0)


@pytest.mark.parametrize(
    ("plant", "faults"),
    [
        (wrong_eps, ["model.layers.1.post_attention_layernorm"]),
        (missing_query_norm, ["model.layers.0.self_attn.q_norm"]),
        (wrong_base, ["model.rotary_emb"]),
        (swapped_matrices, ["model.layers.2.mlp.gate_proj", "model.layers.2.mlp.up_proj"]),
        (activation_on_the_wrong_half, ["model.layers.2.mlp"]),
        (interleaved_groups, ["model.layers.1.self_attn"]),
        (residual_from_the_normed_input, ["model.layers.1"]),
        (no_mask, ["model.layers.2.self_attn"]),
        (wrong_embedding_row, ["model.embed_tokens", "lm_head"]),  # tied: one tensor
    ],
)
@torch.no_grad()
def test_a_planted_fault_is_named(plant, faults, folders):
    model, reference = pair(folders, "qwen3")
    plant(model)
    report = find_divergence(model, reference, IDS)
    assert list(report.faults) == faults
    assert sum("<- here" in line for line in str(report).splitlines()) == len(faults)
    assert (model(IDS).logits - reference(IDS).logits).abs().max() > 1e-4


def test_what_comes_after_a_fault_has_only_an_accumulated_error(folders):
    model, reference = pair(folders, "qwen3")
    wrong_eps(model)
    report = {row.name: row for row in find_divergence(model, reference, IDS).rows}
    after = report["model.layers.2.input_layernorm"]
    assert after.isolated < 1e-5 < 1e-3 < after.accumulated
    before = report["model.layers.0.mlp"]
    assert before.isolated < 1e-5 > before.accumulated


@pytest.mark.parametrize("tokens", [17, 6, 2])  # 6 and 2 are the numbers of heads, too
def test_heads_before_tokens_are_compared_with_heads_after_them(tokens, folders):
    report = find_divergence(*pair(folders, "qwen3"), IDS[:, :tokens])
    rows = {row.name: row for row in report.rows}
    for name in ("q_norm", "k_norm"):
        assert rows[f"model.layers.0.self_attn.{name}"].accumulated < 1e-5
    model, reference = pair(folders, "qwen3")
    wrong_embedding_row(model)
    rows = {row.name: row for row in find_divergence(model, reference, IDS[:, :tokens]).rows}
    assert rows["model.layers.0.self_attn.q_norm"].accumulated > 1e-2


def test_two_faults_are_both_named(folders):
    model, reference = pair(folders, "qwen3")
    wrong_base(model)
    interleaved_groups(model)
    found = find_divergence(model, reference, IDS).faults
    assert found == ("model.rotary_emb", "model.layers.1.self_attn")


def test_hooks_are_gone_afterwards(folders):
    model, reference = pair(folders, "qwen3")
    find_divergence(model, reference, IDS)
    assert not any(each._forward_hooks for part in (model, reference) for each in part.modules())


def test_models_without_common_names(folders):
    model, _ = pair(folders, "qwen3")
    with pytest.raises(ValueError, match=r"modules.*none"):
        find_divergence(model, torch.nn.Embedding(101, 3), IDS)
