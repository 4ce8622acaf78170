"""Length scalings, against transformers' function for each and against hand-worked values."""

import math
from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from course_lib.rope import (
    dynamic_ntk_base,
    interpolated_frequencies,
    llama3_frequencies,
    longrope_attention_factor,
    longrope_frequencies,
    ntk_aware_base,
    proportional_frequencies,
    rope_angles,
    rope_cos_sin,
    rope_frequencies,
    scaled_frequencies,
    yarn_attention_factor,
    yarn_frequencies,
)

HEAD_DIM, LONGEST, TRAINED = 20, 4096, 1024
FACTORS = [1.0 + 0.3 * i for i in range(HEAD_DIM // 2)]

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 4.0},
    "linear, partial": {"factor": 4.0, "partial_rotary_factor": 0.6},
    "dynamic": {"factor": 3.0},
    "dynamic, partial": {"factor": 3.0, "partial_rotary_factor": 0.6},
    "dynamic, original length given": {
        "factor": 3.0,
        "original_max_position_embeddings": TRAINED,
    },
    "yarn": {"factor": 4.0, "original_max_position_embeddings": TRAINED},
    "yarn, whole numbers": {"factor": 4, "original_max_position_embeddings": TRAINED},
    "yarn, partial": {
        "factor": 4.0,
        "original_max_position_embeddings": TRAINED,
        "partial_rotary_factor": 0.6,
    },
    "yarn, betas": {
        "factor": 8.0,
        "original_max_position_embeddings": TRAINED,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
        "truncate": False,
    },
    "yarn, ramp of no width": {
        "factor": 8.0,
        "original_max_position_embeddings": TRAINED,
        "beta_fast": 1.5,
        "beta_slow": 1.5,
        "truncate": False,
    },
    "yarn, ramp from the first plane": {
        "factor": 8.0,
        "original_max_position_embeddings": TRAINED,
        "beta_fast": 2000.0,
    },
    "yarn, mscale": {
        "factor": 40.0,
        "original_max_position_embeddings": TRAINED,
        "mscale": 0.707,
        "mscale_all_dim": 1.3,
    },
    "yarn, attention factor": {
        "factor": 4.0,
        "original_max_position_embeddings": TRAINED,
        "attention_factor": 1.7,
    },
    "yarn, factor from lengths": {
        "factor": None,
        "original_max_position_embeddings": TRAINED,
    },
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": TRAINED,
    },
    "longrope": {
        "short_factor": FACTORS,
        "long_factor": [3 * f for f in FACTORS],
        "original_max_position_embeddings": TRAINED,
    },
    "longrope, attention factor": {
        "short_factor": FACTORS,
        "long_factor": [3 * f for f in FACTORS],
        "original_max_position_embeddings": TRAINED,
        "attention_factor": 1.2,
        "factor": 9.0,
    },
    "proportional": {"partial_rotary_factor": 0.5},
    "proportional, slowed": {"partial_rotary_factor": 0.3, "factor": 2.0},
}


def parameters(case: str) -> dict[str, Any]:
    return {"rope_type": case.split(",")[0], "rope_theta": 5e3} | CASES[case]


def config_for(case: str) -> LlamaConfig:
    config = LlamaConfig(
        hidden_size=3 * HEAD_DIM, num_attention_heads=3, max_position_embeddings=LONGEST
    )
    config.head_dim = HEAD_DIM
    config.rope_parameters = parameters(case)
    return config


@pytest.mark.parametrize("length", [None, 100, TRAINED, TRAINED + 1, LONGEST, 10_000])
@pytest.mark.parametrize("case", [case for case in CASES if case != "default"])
def test_agrees_with_transformers(case, length):
    compute = ROPE_INIT_FUNCTIONS[parameters(case)["rope_type"]]
    theirs, their_factor = compute(config_for(case), "cpu", seq_len=length)
    ours, our_factor = scaled_frequencies(parameters(case), HEAD_DIM, LONGEST, length)
    assert torch.allclose(ours, theirs, rtol=2e-6, atol=0)
    assert our_factor == pytest.approx(their_factor, rel=1e-12)


def test_every_scaling_of_transformers_is_compared():
    assert {parameters(case)["rope_type"] for case in CASES} == {*ROPE_INIT_FUNCTIONS, "default"}


@pytest.mark.parametrize("case", [case for case in CASES if "partial" not in case])
def test_cosines_agree_with_transformers_rotary_module(case):
    # fresh modules, since transformers' own remember the longest text they have seen
    for positions in (torch.arange(60)[None], torch.tensor([[3, 9000, 7], [1, 2, 5000]])):
        cos, sin = LlamaRotaryEmbedding(config_for(case))(torch.zeros(1), positions)
        ours = rope_cos_sin(positions, HEAD_DIM, parameters(case), LONGEST)
        half = HEAD_DIM // 2
        for mine, theirs in zip(ours, (cos, sin), strict=True):
            assert (mine - theirs[..., :half]).abs().max() < 5e-3  # 9000 radians in float32
            near = positions < 100
            assert (mine - theirs[..., :half])[near].abs().max() < 2e-5


def test_default_is_plain_rope():
    frequencies, factor = scaled_frequencies(parameters("default"), HEAD_DIM, LONGEST)
    assert torch.equal(frequencies, rope_frequencies(HEAD_DIM, 5e3))
    assert factor == 1.0
    cos, sin = rope_cos_sin(torch.arange(9), HEAD_DIM, parameters("default"), LONGEST)
    angles = rope_angles(torch.arange(9), HEAD_DIM, 5e3)
    assert torch.equal(cos, angles.cos())
    assert torch.equal(sin, angles.sin())
    half, _ = scaled_frequencies(
        parameters("default") | {"partial_rotary_factor": 0.5}, HEAD_DIM, LONGEST
    )
    assert torch.equal(half, rope_frequencies(HEAD_DIM // 2, 5e3))


def test_interpolation_squeezes_positions():
    frequencies = rope_frequencies(8)
    squeezed = 20 * interpolated_frequencies(frequencies, 4.0)
    assert torch.allclose(squeezed, 5 * frequencies)


def test_ntk_aware_base_by_hand():
    # Width 4: the slow plane has base ** -(1/2); to halve it, the base must grow fourfold.
    assert ntk_aware_base(10_000.0, 2.0, 4) == pytest.approx(40_000)
    assert ntk_aware_base(10_000.0, 1.0, 4) == 10_000


@pytest.mark.parametrize("factor", [2.0, 8.0])
def test_ntk_aware_slows_the_last_plane_by_the_factor_and_the_first_not_at_all(factor):
    plain = rope_frequencies(16)
    slowed = rope_frequencies(16, ntk_aware_base(10_000.0, factor, 16))
    ratio = plain / slowed
    assert ratio[0] == 1
    assert ratio[-1].item() == pytest.approx(factor, rel=1e-5)
    assert (ratio.diff() > 0).all()
    # negative control: the base times the factor does less than that
    less = plain / rope_frequencies(16, 10_000.0 * factor)
    assert less[-1].item() < 0.95 * factor


def test_dynamic_starts_at_the_trained_length():
    assert dynamic_ntk_base(1e4, 3.0, 16, 50, 100) == 1e4
    assert dynamic_ntk_base(1e4, 3.0, 16, 100, 100) == 1e4
    assert dynamic_ntk_base(1e4, 3.0, 16, 200, 100) == pytest.approx(ntk_aware_base(1e4, 4.0, 16))


def test_yarn_leaves_fast_planes_and_slows_slow_ones():
    plain = rope_frequencies(64)
    turns = 2048 * plain / (2 * math.pi)
    ratio = plain / yarn_frequencies(plain, 10_000.0, 4.0, 2048)
    assert (ratio[turns > 60] == 1).all()
    assert torch.allclose(ratio[turns < 0.5], torch.tensor(4.0))
    assert (ratio.diff() >= 0).all()
    between = ratio[(turns > 2) & (turns < 16)]
    assert ((between > 1) & (between < 4)).all()


def test_attention_factors_by_hand():
    assert yarn_attention_factor(math.e) == pytest.approx(1.1)
    assert yarn_attention_factor(1.0) == yarn_attention_factor(0.5) == 1.0
    assert yarn_attention_factor(math.e, 2.0, 1.0) == pytest.approx(1.2 / 1.1)
    assert longrope_attention_factor(16.0, 16) == pytest.approx(math.sqrt(2))
    assert longrope_attention_factor(1.0, 16) == longrope_attention_factor(0.5, 16) == 1.0
    cos, sin = rope_cos_sin(torch.arange(3), HEAD_DIM, parameters("yarn"), LONGEST)
    sharper = 1 + 0.1 * math.log(4)
    assert torch.allclose((cos**2 + sin**2).sqrt(), torch.tensor(sharper))


def test_llama3_by_hand():
    trained = 25  # of the planes below, 7.96, 1.99 and 0.497 waves fit into it
    frequencies = torch.tensor([2.0, 0.5, 0.125])
    found = llama3_frequencies(frequencies, 10.0, 1.0, 4.0, trained)
    kept = (trained * 0.5 / (2 * math.pi) - 1) / 3
    expected = [2.0, 0.5 * kept + 0.05 * (1 - kept), 0.0125]
    assert found.tolist() == pytest.approx(expected)


def test_proportional_and_longrope_by_hand():
    frequencies = torch.tensor([1.0, 0.5, 0.25, 0.125])
    assert proportional_frequencies(frequencies, 0.5, 2.0).tolist() == [0.5, 0.25, 0, 0]
    factors = [1.0, 2.0, 5.0, 0.5]
    assert longrope_frequencies(frequencies, factors).tolist() == pytest.approx(
        [1, 0.25, 0.05, 0.25]
    )


def test_errors_say_what_is_wrong():
    plain = rope_frequencies(8)
    with pytest.raises(ValueError, match=r"\b1; .*\b0\.5\b"):
        interpolated_frequencies(plain, 0.5)
    with pytest.raises(ValueError, match=r"\b1; .*\b0\.25\b"):
        ntk_aware_base(1e4, 0.25, 8)
    with pytest.raises(ValueError, match=r"than 2 .*; .*\b2\b"):
        ntk_aware_base(1e4, 2.0, 2)
    with pytest.raises(ValueError, match=r"\b4\.0 and 1\.0\b.*\b1 and 4\b"):
        llama3_frequencies(plain, 8.0, 4.0, 1.0, 1024)
    with pytest.raises(ValueError, match=r"\b4 planes.*\b3\b.*short_factor"):
        longrope_frequencies(plain, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"'default', 'dynamic'.*'spiral'"):
        scaled_frequencies({"rope_type": "spiral", "rope_theta": 1e4}, 8, 64)
    with pytest.raises(ValueError, match=r"'factor'.*\['rope_theta', 'rope_type'"):
        scaled_frequencies({"rope_type": "linear", "rope_theta": 1e4}, 8, 64)
    with pytest.raises(ValueError, match="need 'rope_theta'"):
        scaled_frequencies({}, 8, 64)
    with pytest.raises(ValueError, match="need 'short_factor'"):
        scaled_frequencies({"rope_type": "longrope", "rope_theta": 1e4}, 8, 64)
    with pytest.raises(ValueError, match=r"head_dim.*even"):
        scaled_frequencies(parameters("default") | {"partial_rotary_factor": 0.6}, 5, 64)
